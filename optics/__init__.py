"""Differentiable wave optics, imperfect hardware that can be measured only, and the ways to train a system on it.

The wings, from the ground up; a wing imports from those above it in this list, and two in one line do not know each
other. Each wing's own text is its table of contents, and its names are what experiments use.

    waves                   fields, elements, propagation and its sampling
    media | meshes          free space prepared for one geometry, scatterers | interferometers and what they multiply by
    hardware | networks     errors, cameras, benches, chips | encoders, layers, readouts: the model of what is trained
    learning                rules, methods, the loop, the true gradient
    imaging | resonators    through scatterers, behind walls, in weak light | coupled modes and exceptional points

Beside them: `metrics`. A wing is imported when it is asked for: `optics.waves`, or `from optics import waves`.
"""

# Part of lightecho. By this line `lightecho.py` knows that no other distribution has overwritten the file.

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optics import (
        hardware,
        imaging,
        learning,
        media,
        meshes,
        metrics,
        networks,
        resonators,
        waves,
    )

# In the order of dependency, which ruff would sort away.
__all__ = [  # noqa: RUF022
    "metrics",
    "waves",
    "media",
    "meshes",
    "hardware",
    "networks",
    "learning",
    "imaging",
    "resonators",
]


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; its wings are {', '.join(__all__)}."
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
