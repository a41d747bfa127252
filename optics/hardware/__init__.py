"""Imperfect hardware that can be measured and not differentiated.

Reading order: `detectors`, `holography`, `modulator`; `imperfections`, `twin` (the physics of one bench, hidden);
`opaque` (what every bench shares), `bench` (what a learner sees of a twin); `mesh_imperfections`, `mesh_bench`,
`push_pull`, `self_configuration`; `chip`, `chip_budget`. Stands on `media` and `meshes`; a network never imports from
here.
"""
