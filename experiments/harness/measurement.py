"""The data types every experiment speaks: published reference, and measurement (an `Estimate` with unit and count).

An experiment is a module with `CLAIM`, `PAPER_FIGURE`, `EXPECTED_TIME`, a frozen dataclass `Config`, `SCALES`,
`REFERENCES`, `run(config, context=ALONE) -> Outcome` and `plot(outcome) -> Figure`. A reference and a metric of the
same name are compared with each other, so they carry the same unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantum.estimates import Estimate

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

    @classmethod
    def of(cls, estimate: Estimate, unit: str = "", n: int = 1) -> "Measurement":
        """A value with its standard error from the libraries, with its unit and the number of samples behind it."""
        return cls(estimate.value, estimate.stderr, unit, n)

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
        if array.size == 1:
            return cls(array[0], None, unit)
        # Not `mean_with_error`: what is not finite is refused by `Outcome`, which knows its name.
        return cls(array.mean(), array.std(ddof=1) / math.sqrt(array.size), unit, array.size)
