"""Imperfect hardware that can be measured and not differentiated.

Reading order: `detectors`, `holography`, `modulator`; `imperfections`, `twin` (the physics of one bench, hidden),
`bench` (what a learner sees of it); `mesh_imperfections`, `mesh_bench`, `push_pull`, `self_configuration`; `chip`,
`chip_budget`. Stands on `media` and `meshes`; a network never imports from here.
"""
