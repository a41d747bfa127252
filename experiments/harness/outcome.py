"""What `run` returns and `plot` reads: all numbers and arrays of one experiment at one configuration."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.harness.comparison import compare, html_table, markdown_table, rich_table
from experiments.harness.errors import NonFiniteError
from experiments.harness.measurement import Measurement, Reference


@dataclass(frozen=True)
class Outcome:
    """What `run` returns and `plot` reads: all numbers and arrays of one experiment at one configuration.

    Attributes:
        experiment: Name of the experiment.
        config: Configuration it ran with.
        metrics: Measurements by name, such as `accuracy.ffm.depth4`.
        arrays: Numeric arrays for the figure.
        references: Published numbers to compare with.

    Raises:
        NonFiniteError: If a metric is NaN or infinite.
    """

    experiment: str
    config: Any
    metrics: Mapping[str, Measurement]
    arrays: Mapping[str, np.ndarray]
    references: tuple[Reference, ...] = ()

    def __post_init__(self):
        if not dataclasses.is_dataclass(self.config) or isinstance(self.config, type):
            raise TypeError(f"`config` must be an instance of a dataclass, but is {self.config!r}.")
        object.__setattr__(self, "arrays", {k: _numeric(k, v) for k, v in self.arrays.items()})
        object.__setattr__(self, "references", tuple(self.references))
        for name, measured in self.metrics.items():
            self._check_finite(name, measured)
        for reference in self.references:
            self._check_unit(reference)

    def _check_finite(self, name: str, measured: Measurement) -> None:
        for part in ("value", "stderr"):
            number = getattr(measured, part)
            if number is not None and not math.isfinite(number):
                raise NonFiniteError(
                    f"`{name}` of {self.experiment} must be finite, but its {part} is {number}."
                )

    def _check_unit(self, reference: Reference) -> None:
        measured = self.metrics.get(reference.name)
        if measured is not None and measured.unit != reference.unit:
            raise ValueError(
                f"`{reference.name}` must have one unit, but we measure in {measured.unit!r} "
                f"and the reference is in {reference.unit!r}."
            )

    def table(self):
        """Table of ours beside the paper, for the terminal (`rich.table.Table`)."""
        return rich_table(compare(self.metrics, self.references), title=self.experiment)

    def markdown(self) -> str:
        """The same table in Markdown."""
        return markdown_table(compare(self.metrics, self.references))

    def figure(self):
        """Figure drawn by `plot` of the module that defines the configuration; None where it has no `plot`."""
        # The class of the configuration lives in the experiment's module, so no registry is needed to find `plot`.
        plot = getattr(sys.modules.get(type(self.config).__module__), "plot", None)
        if plot is None:
            return None
        from experiments.harness.plotting import style

        with style():
            return plot(self)

    def _repr_html_(self) -> str:
        from experiments.harness.plotting import described, embedded_png

        figure = self.figure()
        picture = ""
        if figure is not None:
            picture = embedded_png(figure, alt=f"{self.experiment}: {described(figure)}")
        return picture + html_table(compare(self.metrics, self.references))


def _numeric(name: str, array) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "biufcU":
        raise TypeError(f"`{name}` must be a numeric array, but its type is {array.dtype}.")
    return array
