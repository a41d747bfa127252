"""Where the estimates of `nmr_geometry` and the truths meet: misses, pulls and coverage of one noise level."""

import math

import numpy as np

from experiments.harness.measurement import Measurement
from quantum.spins import candidates


def compare(
    name: str, suffix: str, unit: str, learned, truth: np.ndarray
) -> dict[str, Measurement]:
    """The only place where estimates and truths meet."""
    miss = learned["values"][:, 0] - truth[:, 0]
    pull = miss / learned["errors"][:, 0]
    n, inside = len(pull), np.abs(pull) < 1
    within = np.array(
        [
            np.interp(t, learned["profile_at"], p) < 1
            for t, p in zip(truth[:, 0], learned["profile"], strict=True)
        ]
    )
    value, error = learned["values"][0, 0], learned["errors"][0, 0]
    found = {
        "value": Measurement(value, error, unit),
        "miss": Measurement(miss[0], error, unit),
        "error": Measurement.from_samples(learned["errors"][:, 0], unit),
        "rms": Measurement(np.sqrt(np.mean(miss**2)), np.sqrt(np.mean(miss**2) / (2 * n)), unit, n),
        "pull_mean": Measurement.from_samples(pull),
        "pull_spread": Measurement(
            np.sqrt(np.mean(pull**2)), np.sqrt(np.mean(pull**2) / (2 * n)), "", n
        ),
        "coverage": Measurement(inside.mean(), math.sqrt(0.683 * 0.317 / n), "", n),
        "profile_coverage": Measurement(within.mean(), math.sqrt(0.683 * 0.317 / n), "", n),
        "bootstrap_ratio": Measurement(learned["bootstrap"][0] / error),
        "p_value": Measurement.from_samples(learned["p_value"]),
    }
    if "candidate" in learned:
        nearest = np.abs(np.rad2deg(candidates())[:, None] - truth[:, 0]).argmin(axis=0)
        close = np.abs(learned["candidate"] - nearest) <= 1
        found["within_one"] = Measurement.from_samples(close.astype(float))
    return {f"{name}.{key}.{suffix}": measured for key, measured in found.items()}
