"""The dipolar Hamiltonians of NMR: secular between pulses, and the reversible average of a cycle.

Spin 0 is the probe S (13C), the others are protons I. In a strong field, with D in Hz from `dipolar`,

    H / (2 pi hbar) = sum_(i<j) D_ij (3 I_iz I_jz - I_i . I_j) + sum_j 2 (D_0j + J_0j / 2) I_jz S_z - sum_i nu_i I_iz.

A cycle of pulses makes of it the reversible average (time counts the whole cycle)

    TARDIS-2: eta_homo sum D_ij (I_y I_y - I_x I_x)   + eta_heter sum 2 (D_0j + J_0j / 2) I_jz S_z,  1 and 2/9
    TARDIS-1: eta_homo sum D_ij (I_x I_y + I_y I_x)   + the same,                                    1/pi and 2/3

whose factors are those of the supplement of arXiv:2510.19550 as reported by public study notes, unchecked by us. The
factor 2 before the coupling to the probe is that of the secular form; with it eta_heter = 2/3 exceeds what any cycle
reaches (`dipolar_sequences`), so there 1/3 may be meant: `scaling` takes other factors. Offsets average to nothing in
these cycles; what is left is `offsets_hz`.

Left out: relaxation, pulse errors, what the average leaves out (`magnus`). The echo itself: `methods`.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from quantum._checks import check_array, check_choice
from quantum.spins.hamiltonian import SpinHamiltonian

# Form of the proton part, eta_homo, eta_heter; arXiv:2510.19550 as reported by public study notes.
VARIANTS = {"tardis-1": ("xy+yx", 1 / math.pi, 2 / 3), "tardis-2": ("yy-xx", 1.0, 2 / 9)}
FORMS = {
    "zz": np.diag([-1.0, -1.0, 2.0]),
    "yy-xx": np.diag([-1.0, 1.0, 0.0]),
    "xy+yx": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]),
}
GRID_STEP = 0.375e-3  # s, spacing of the published curves as the same notes report it


Couplings = Float[Array, "spins spins"]


def homonuclear(
    couplings_hz: Couplings | np.ndarray, *, probe: int = 0, form: str = "zz"
) -> SpinHamiltonian:
    """Couplings between the protons alone: 2 pi D_ij I_i . F . I_j.

    Args:
        couplings_hz: D_ij in Hz.
        probe: Spin that is left out.
        form: "zz" for 3 I_z I_z - I.I; "yy-xx" or "xy+yx" for double quanta.

    Raises:
        ValueError: If the couplings are not symmetric, or probe or form unknown.
    """
    check_choice(form, "form", FORMS)
    table = _checked(couplings_hz, probe)
    others = np.arange(table.shape[0]) != probe
    pairs = others[:, None] & others[None, :] & ~np.eye(len(others), dtype=bool)
    tensor = 2 * math.pi * jnp.where(pairs, table, 0)[:, :, None, None] * _form(form)[None, None]
    return SpinHamiltonian(tensor, jnp.zeros((len(others), 3), table.dtype))


def heteronuclear(
    couplings_hz: Couplings | np.ndarray,
    *,
    probe: int = 0,
    scalar_hz: Float[Array, " spins"] | np.ndarray | None = None,
) -> SpinHamiltonian:
    """Couplings to the probe alone: 2 pi 2 (D + J / 2) I_z S_z.

    Args:
        couplings_hz: D_ij in Hz.
        probe: Spin that the others couple to.
        scalar_hz: J of each spin with the probe in Hz; its own entry is not used. None by default.

    Raises:
        ValueError: If the couplings are not symmetric, the probe unknown, or J has another length.
    """
    table = _checked(couplings_hz, probe)
    n = table.shape[0]
    scalar = jnp.zeros(n, table.dtype) if scalar_hz is None else jnp.asarray(scalar_hz)
    check_array(scalar, "scalar_hz", (n,), "Hz", "0 where it is not known")
    row = 4 * math.pi * (table[probe] + scalar / 2)
    row = jnp.where(np.arange(n) == probe, 0, row)
    tensor = jnp.zeros((n, n, 3, 3), table.dtype)
    tensor = tensor.at[probe, :, 2, 2].add(row).at[:, probe, 2, 2].add(row)
    return SpinHamiltonian(tensor, jnp.zeros((n, 3), table.dtype))


def offset(offsets_hz: Float[Array, " spins"] | np.ndarray) -> SpinHamiltonian:
    """Offsets from the carriers alone: -2 pi nu_i I_iz, the sign of a positive gyromagnetic ratio.

    Args:
        offsets_hz: Offset of each spin in Hz.

    Raises:
        ValueError: If they are not finite or no list.
    """
    check_array(offsets_hz, "offsets_hz", ("spins",), "Hz", "0 on the carrier")
    fields = -2 * math.pi * jnp.asarray(offsets_hz)[:, None] * _axis(2, offsets_hz)[None]
    n = fields.shape[0]
    return SpinHamiltonian(jnp.zeros((n, n, 3, 3), fields.dtype), fields)


def secular_hamiltonian(
    couplings_hz: Couplings | np.ndarray,
    probe: int = 0,
    *,
    scalar_hz: Float[Array, " spins"] | np.ndarray | None = None,
    offsets_hz: Float[Array, " spins"] | np.ndarray | None = None,
) -> SpinHamiltonian:
    """The Hamiltonian between pulses, in the frame that turns with the carriers.

    Args:
        couplings_hz: D_ij in Hz.
        probe: The rare spin.
        scalar_hz: J of each spin with the probe in Hz; J between protons is left out.
        offsets_hz: Offset of each spin from its carrier in Hz.

    Raises:
        ValueError: If shapes differ, the couplings are not symmetric, or the probe is unknown.
    """
    found = homonuclear(couplings_hz, probe=probe)
    found += heteronuclear(couplings_hz, probe=probe, scalar_hz=scalar_hz)
    return found if offsets_hz is None else found + _offset_of(found, offsets_hz)


def reversible_hamiltonian(
    couplings_hz: Couplings | np.ndarray,
    probe: int = 0,
    variant: str = "tardis-2",
    *,
    scalar_hz: Float[Array, " spins"] | np.ndarray | None = None,
    offsets_hz: Float[Array, " spins"] | np.ndarray | None = None,
    scaling: tuple[float | Array, float | Array] | None = None,
) -> SpinHamiltonian:
    """The reversible average of lowest order.

    Args:
        couplings_hz: D_ij in Hz.
        probe: The rare spin.
        variant: "tardis-1" or "tardis-2".
        scalar_hz: J of each spin with the probe in Hz.
        offsets_hz: What the cycle leaves of each offset, in Hz; nothing by default. It is not reversed with the rest,
            but `echo` reverses whatever it is given.
        scaling: eta_homo and eta_heter in place of those of the variant.

    Raises:
        ValueError: If shapes differ, the couplings are not symmetric, or probe or variant unknown.
    """
    check_choice(variant, "variant", VARIANTS)
    form, *factors = VARIANTS[variant]
    homo, heter = scaling or factors
    for factor in (homo, heter):
        check_array(factor, "scaling", (), "", "give eta_homo and eta_heter")
    found = homo * homonuclear(couplings_hz, probe=probe, form=form)
    found += heter * heteronuclear(couplings_hz, probe=probe, scalar_hz=scalar_hz)
    return found if offsets_hz is None else found + _offset_of(found, offsets_hz)


def _checked(couplings_hz, probe: int):
    check_couplings(couplings_hz)
    table = jnp.asarray(couplings_hz)
    _check_probe(probe, table.shape[0])
    return table


def _check_probe(probe: int, n_spins: int) -> None:
    if not 0 <= probe < n_spins:
        raise ValueError(f"`probe` must be a spin from 0 to {n_spins - 1}, but is {probe}.")


def _offset_of(hamiltonian: SpinHamiltonian, offsets_hz) -> SpinHamiltonian:
    check_array(offsets_hz, "offsets_hz", (hamiltonian.n_spins,), "Hz", "one for each spin")
    return offset(offsets_hz)


def _axis(k: int, like):
    return jnp.eye(3, dtype=jnp.result_type(like))[k]


def _form(name: str):
    return jnp.asarray(FORMS[name])


def check_couplings(couplings_hz) -> None:
    """Raises ValueError unless couplings (Hz) are a table, finite and symmetric; of a traced one the shape counts."""
    check_array(couplings_hz, "couplings_hz", ("spins", "spins"), "Hz", "give D_ij of every pair")
    if isinstance(couplings_hz, Tracer):
        return
    values = np.asarray(couplings_hz)
    error = np.abs(values - values.T).max(initial=0)
    if error > 1e-6 * np.abs(values).max(initial=0):
        raise ValueError(
            f"`couplings_hz` must be finite and symmetric, but differ by {error:.3g} Hz; "
            "give every pair in both orders."
        )
