"""What models are made of: the one linear map, and layers that mix along the sequence, each with its cache."""

# Order of dependency, which ruff would sort away.
from nn.layers.linear import AbstractLinear, Dense, linear_maps, make_dense, replace_linear

__all__ = [
    "AbstractLinear",
    "Dense",
    "linear_maps",
    "make_dense",
    "replace_linear",
]
