"""The data types every experiment speaks: published reference, measurement, outcome.

An experiment is a module with `CLAIM`, `PAPER_FIGURE`, `EXPECTED_TIME`, a frozen dataclass `Config`, `SCALES`,
`REFERENCES`, `run(config, context=None) -> Outcome` and `plot(outcome) -> Figure`. A reference and a metric of the
same name are compared with each other, so they carry the same unit.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from experiments.errors import NonFiniteError

How = Literal["stated in text", "table", "read off a plot", "derived"]


@dataclass(frozen=True)
class Reference:
    """A number from a publication, with where and how it was obtained.

    Attributes:
        name: Metric it is compared with.
        value: Published value; None where the publication gives none, shown as unknown.
        uncertainty: One standard deviation, in `unit` (halve a bracket of 2 sd); None where none is given.
        unit: Unit, "" for a pure number.
        place: Where it stands, such as "Fig. 2d".
        how: How it was obtained.
        comparable: Whether our run measures the same thing under like conditions.
        note: Why not comparable, or what to keep in mind.
    """

    name: str
    value: float | None
    uncertainty: float | None
    unit: str
    place: str
    how: How
    comparable: bool
    note: str = ""

    def __post_init__(self):
        for field in ("value", "uncertainty"):
            number = getattr(self, field)
            if number is not None and not math.isfinite(number):
                raise ValueError(
                    f"`{field}` of reference `{self.name}` must be finite or None, but is {number}."
                )
        if not self.comparable and not self.note:
            raise ValueError(
                f"`note` of reference `{self.name}` must say why it is not comparable, but is empty."
            )


@dataclass(frozen=True)
class Measurement:
    """One of our numbers.

    Attributes:
        value: The value.
        stderr: Standard error of the value; None when it is deterministic or was measured once.
        unit: Unit, "" for a pure number.
        n: How many samples stand behind it.
    """

    value: float
    stderr: float | None = None
    unit: str = ""
    n: int = 1

    def __post_init__(self):
        # NumPy and JAX scalars become plain Python numbers, which is what JSON can hold exactly.
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "n", int(self.n))
        if self.stderr is not None:
            object.__setattr__(self, "stderr", float(self.stderr))
        if self.n < 1:
            raise ValueError(f"`n` must be at least 1, but is {self.n}.")

    @property
    def sd(self) -> float | None:
        """Standard deviation of one sample, stderr sqrt(n)."""
        return None if self.stderr is None else self.stderr * math.sqrt(self.n)

    @classmethod
    def from_samples(
        cls, samples: Sequence[float] | Sequence[np.ndarray] | np.ndarray, unit: str = ""
    ) -> "Measurement":
        """Mean of repeats with its standard error, sd / sqrt(n) with n - 1 in the variance."""
        array = np.asarray(samples, dtype=float).ravel()
        if array.size == 0:
            raise ValueError("`samples` must not be empty.")
        stderr = None if array.size == 1 else float(array.std(ddof=1) / math.sqrt(array.size))
        return cls(float(array.mean()), stderr, unit, int(array.size))


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
        from experiments.comparison import compare, rich_table

        return rich_table(compare(self.metrics, self.references), title=self.experiment)

    def markdown(self) -> str:
        """The same table in Markdown."""
        from experiments.comparison import compare, markdown_table

        return markdown_table(compare(self.metrics, self.references))

    def figure(self):
        """Figure drawn by `plot` of the module that defines the configuration; None where it has no `plot`."""
        from experiments.plotting import style

        # The class of the configuration lives in the experiment's module, so no registry is needed to find `plot`.
        plot = getattr(sys.modules.get(type(self.config).__module__), "plot", None)
        if plot is None:
            return None
        with style():
            return plot(self)

    def _repr_html_(self) -> str:
        from experiments.comparison import compare, html_table
        from experiments.plotting import embedded_png

        figure = self.figure()
        picture = "" if figure is None else embedded_png(figure, alt=self.experiment)
        return picture + html_table(compare(self.metrics, self.references))


def _numeric(name: str, array) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "biufcU":
        raise TypeError(f"`{name}` must be a numeric array, but its type is {array.dtype}.")
    return array
