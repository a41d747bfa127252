"""What is published of the OTOC(2) runs, second-hand, and the layouts and layer orders they are compared at.

Values of Google Quantum AI and collaborators, Nature 646, 825-830 (2025), DOI 10.1038/s41586-025-09526-6, as drawn and
written down by a third party from the published data: means from plot legends, standard deviations read by eye.
"""

import itertools
from typing import NamedTuple

from experiments.harness.measurement import Reference

# Lower case: the same letters with aligned groups.
ALL_ORDERS = tuple(
    "".join(word) for letters in ("ABCD", "abcd") for word in itertools.permutations(letters)
)
SD_READING = 0.001  # read by eye off a panel

_ORDER = "layer order and theta are our choice"
_BEYOND = "beyond our scales; shown for the trend"


class Golden(NamedTuple):
    """Off-diagonal part of OTOC(2) over circuits: mean, its standard error where known, spread, kind of value."""

    mean: float
    mean_error: float | None
    sd: float
    kind: str


# By the number of qubits.
GOLDEN = {
    18: Golden(-0.0203, 0.0025, 0.018, "exact; the mean's error is sd / sqrt(50 circuits)"),
    23: Golden(-0.0094, None, 0.011, "exact; number of circuits unknown"),
    27: Golden(-0.0255, None, 0.021, "exact"),
    31: Golden(-0.0145, None, 0.011, "exact"),
    36: Golden(-0.0144, None, 0.016, "exact, " + _BEYOND),
    40: Golden(-0.0150, None, 0.010, "exact, " + _BEYOND),
    65: Golden(-0.0064, None, 0.007, "experiment, " + _BEYOND),
}
REFERENCES = (
    *(
        Reference(f"off_diagonal.n{n}.mean", mean, error, "", "Fig. 4b (65: 4a, 40: 3e)", "read off a plot", False,
                  f"second-hand, from legends drawn of the published values; {kind}; {_ORDER}")
        for n, (mean, error, _, kind) in GOLDEN.items()
    ),
    *(
        Reference(f"off_diagonal.n{n}.sd", sd, SD_READING, "", "Fig. 4b (65: 4a, 40: 3e)", "read off a plot", False,
                  f"second-hand, read by eye; {kind}; {_ORDER}")
        for n, (_, _, sd, kind) in GOLDEN.items()
    ),
    Reference("off_diagonal.n18.share_negative", None, None, "", "Fig. 4b", "read off a plot", False,
              "second-hand: nearly all values are negative, without a number"),
    Reference("correlation.without_insertion", 0.998, None, "", "Fig. 3d", "stated in text", False,
              "second-hand; device data against simulation at an unknown size; ours has shot noise alone"),
    Reference("correlation.with_insertion", 0.555, None, "", "Fig. 3d", "stated in text", False,
              "second-hand; device data with insertion against simulation without, as read; size, strings unknown"),
)  # fmt: skip


def n_qubits(config, size: str) -> int:
    """Qubits of a layout of a configuration."""
    return config.layout(size).lattice.n_qubits


def order_name(order: str) -> str:
    """Name of an order in metrics; lower case stands for aligned groups."""
    return f"aligned_{order.upper()}" if order.islower() else f"staggered_{order}"
