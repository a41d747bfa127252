"""Numbers of `otoc_noise`: ratios of signal to noise, fidelities of echoes, and the published ones beside them."""

from experiments.harness.measurement import Measurement, Reference
from quantum.estimates import std_with_error
from quantum.noise import device_signal_to_noise

_NOTE = "second-hand (notes on the paper); formula of the ratio and mitigation unknown; "
REFERENCES = (
    Reference("snr_rescaled.off_diagonal_normalised.n40", 3.9, None, "", "Fig. 4b", "stated in text", False,
              note=_NOTE + "40 qubits on hardware, whose sites are unknown to us"),
    Reference("snr_rescaled.normalised.n65", 2.5, 0.5, "", "text", "stated in text", False,
              note=_NOTE + "65 qubits, projected between 2 and 3; whether of the off-diagonal part is not said"),
    Reference("snr_rescaled.normalised.n18", None, None, "", "Fig. 4b", "read off a plot", False,
              note="shown in Fig. 4b, value not readable here"),
)  # fmt: skip


def ratio_metrics(stack, done, size: str) -> dict[str, Measurement]:
    """Of every method, raw and after the best rescale, and how much of the noise is our sampling."""
    metrics, n = {}, len(stack["exact"])
    parts = {"total": stack["exact"], "off_diagonal": stack["exact"] - stack["diagonal_exact"]}
    for part, exact in parts.items():
        spread = std_with_error(exact)
        metrics[f"signal.{part}.{size}"] = Measurement.of(spread, n=n)
    for name, (value, error) in done.items():
        exact = parts["off_diagonal" if name.startswith("off_diagonal") else "total"]
        for kind, prefix in (("raw", "snr"), ("rescaled", "snr_rescaled")):
            ratio, share = device_signal_to_noise(exact, value, error, kind)
            metrics[f"{prefix}.{name}.{size}"] = Measurement.of(ratio, n=n)
            if name in ("raw", "normalised", "off_diagonal_normalised"):
                metrics[f"trajectory_share.{prefix}.{name}.{size}"] = Measurement(
                    share, None, "", n
                )
    return metrics


def fidelity_metrics(stack, size: str) -> dict[str, Measurement]:
    """By counting errors, and as the undisturbed echoes have it."""
    return {
        # All circuits of a layout have the same gates in the same places.
        f"fidelity.gates.{size}": Measurement(stack["fidelity"][0]),
        f"fidelity.gates_and_idling.{size}": Measurement(stack["fidelity_idle"][0]),
        f"fidelity.reference_echo.{size}": Measurement.from_samples(stack["reference"][:, 0]),
        f"fidelity.reference_with_strings.{size}": Measurement.from_samples(
            stack["diagonal_reference"][:, 0]
        ),
    }
