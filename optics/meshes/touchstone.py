"""S-matrices from and to Touchstone files (.s2p, .s4p, ...): a bridge to scikit-rf, the extra `touchstone`.

A file holds S_ij, from port j to port i, over frequency, with ports that have numbers only; scikit-rf reads its units
and formats (RI, MA, DB), versions 1 and 2, and the order S11 S21 S12 S22 that two-ports alone have. What it cannot know
is done here. Ports get their names, in the order of the file. And the time factor: Touchstone is a format of electrical
engineers, exp(+j omega t), where a delay is a negative phase; ours is exp(-i omega t), so that amplitudes are
conjugated both ways unless one says that the file was written by an optical solver with our sign.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from optics._numbers import takes_numbers
from optics.meshes.s_matrix import SDict


def read_touchstone(
    path: str | Path, ports: Sequence[str], *, conjugate: bool = True
) -> tuple[Float[np.ndarray, " frequency"], SDict]:
    """Frequencies in Hz, and amplitudes over them by (port_in, port_out), reflections included.

    Args:
        path: File; its ending says the number of ports, such as .s2p.
        ports: Names of ports 1, 2, ... of the file, such as ("in0", "out0"). The file does not know which are inputs.
        conjugate: True for a file with the time factor exp(+j omega t), as the format has it; False for one that was
            written with exp(-i omega t).

    Raises:
        ImportError: If scikit-rf is not installed.
        ValueError: If the file has another number of ports, or two ports one name.
    """
    network = _scikit_rf().Network(str(path))
    _check_ports(ports, network.nports, str(path))
    values = np.conj(network.s) if conjugate else np.asarray(network.s)
    pairs = {(a, b): values[:, i, j] for i, b in enumerate(ports) for j, a in enumerate(ports)}
    return np.asarray(network.f, float), pairs


@takes_numbers
def write_touchstone(
    path: str | Path,
    s_matrix: Mapping[tuple[str, str], Any],
    ports: Sequence[str],
    frequency_hz: Float[np.ndarray, " frequency"],
    *,
    conjugate: bool = True,
) -> None:
    """Writes amplitudes as a Touchstone file of version 1, real and imaginary parts, 50 ohm.

    Args:
        path: File to be written, with the ending of its number of ports, such as .s2p.
        s_matrix: Amplitude by (port_in, port_out), such as `to_s_dict` gives it; numbers, or arrays over the
            frequencies. A pair that is missing transmits nothing.
        ports: Names of what become ports 1, 2, ... of the file: all that `s_matrix` has.
        frequency_hz: Frequencies in Hz, rising.
        conjugate: True for the time factor exp(+j omega t) of the format, False to keep the numbers.

    Raises:
        ImportError: If scikit-rf is not installed.
        ValueError: If ports are missing or have one name, the ending is another, the frequencies do not rise, or an
            amplitude is neither a number nor one for each frequency.
    """
    path, rf = Path(path), _scikit_rf()
    names = {name for pair in s_matrix for name in pair}
    _check_ports(ports, len(ports), "`s_matrix`")
    if not names <= set(ports):
        missing = ", ".join(sorted(names - set(ports)))
        raise ValueError(f"`ports` must name all of `s_matrix`, but {missing} is not among them.")
    if path.suffix.lower() != f".s{len(ports)}p":
        raise ValueError(
            f"`path` must end with .s{len(ports)}p for {len(ports)} ports, but is {path.name!r}."
        )
    if np.any(np.diff(frequency_hz) <= 0) or not frequency_hz.size:
        raise ValueError("`frequency_hz` must hold frequencies that rise, at least one.")
    values = np.zeros((frequency_hz.size, len(ports), len(ports)), complex)
    for (a, b), amplitude in s_matrix.items():
        amplitude = np.asarray(amplitude)
        if amplitude.shape not in ((), frequency_hz.shape):
            raise ValueError(
                f"`s_matrix` must hold one number for each of {frequency_hz.size} frequencies, but {(a, b)} has shape "
                f"{amplitude.shape}."
            )
        values[:, ports.index(b), ports.index(a)] = amplitude
    network = rf.Network(
        f=frequency_hz, f_unit="Hz", s=np.conj(values) if conjugate else values, z0=50
    )
    network.write_touchstone(str(path.with_suffix("")), skrf_comment=False)


def _scikit_rf() -> Any:
    try:
        import skrf  # pyright: ignore[reportMissingImports] (extra)
    except ImportError as error:
        raise ImportError(
            "`scikit-rf` must be installed to read and write Touchstone files, but is missing; "
            'pip install "lightecho[touchstone]".'
        ) from error
    return skrf


def _check_ports(ports: Sequence[str], n_ports: int, where: str) -> None:
    if len(ports) != n_ports or len(set(ports)) != len(ports) or isinstance(ports, str):
        raise ValueError(
            f"`ports` must be {n_ports} different names for {where}, but is {ports!r}."
        )
