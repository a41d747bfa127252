"""Learning systems: kernels, layers, models of language and pictures, their training, real weights.

The wings, each on what stands before it; a wing is imported when it is first used (`nn.training.train`), and two in one
line do not know each other:

    kernels | checkpoint             attention and linear recurrences, functions of arrays | any state on any store
    layers | weights                 the linear map, mixers and their caches | files of weights and how they are read
    training | models | generation   the one loop, losses | decoders, encoders, low-rank updates | tokens drawn, flows
    compression                      beside those three: four-bit formats, rounding that keeps the outputs
    roofline                         above the models: bytes, operations and time of a step on a described chip
"""

# Part of lightecho. By this line `lightecho.py` knows that no other distribution has overwritten the file.

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nn import (
        checkpoint,
        compression,
        generation,
        kernels,
        layers,
        models,
        roofline,
        training,
        weights,
    )

# In the order of dependency, which ruff would sort away.
# ruff: noqa: RUF022
__all__ = [
    "kernels",
    "checkpoint",
    "layers",
    "weights",
    "training",
    "models",
    "generation",
    "compression",
    "roofline",
]


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; its wings are {', '.join(__all__)}."
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
