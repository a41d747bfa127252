"""Networks of light as models: what is trained, whatever it runs on.

Reading order: `activations`, `encoders` (data to light), `readout` (light to classes); `diffractive` (phase layers),
`mesh_network`, `taichi` (chiplets), `output_codes`. Stands on `media` and `meshes`; hardware never imports from here.
"""
