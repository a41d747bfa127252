"""Training methods that are more than a gradient rule. One file, one method.

`dual_adaptive` with `error_predictor`, `layerwise`, `forward_forward`, `swarm`. A new method goes here.
"""
