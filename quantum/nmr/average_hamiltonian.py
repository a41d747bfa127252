"""The dipolar Hamiltonians of NMR: secular between pulses, and the reversible average of a cycle.

Two spins are like if they are of one nuclide. In a strong field, with D in Hz from `dipolar`, J in Hz,

    H / (2 pi hbar) = sum_like    D_ij (3 I_iz I_jz - I_i . I_j) + J_ij I_i . I_j
                    + sum_unlike  2 (D_ij + J_ij / 2) I_iz I_jz
                    - sum_i       sign(gamma_i) nu_i I_iz

with nu_i = |gamma_i| B (delta_i - delta_carrier) / 2 pi: a spin of negative gamma (15N, 29Si) turns the other way.
The signs of D_ij hold both gammas already.

Which pairs are like is known to a `CouplingTable`, such as `molecule_couplings` gives, or is told by `isotopes`. A
table of numbers alone is read as before there were nuclides: spins named by `probe` are of one rare nuclide (13C),
all others of another (1H), both of positive gamma; `probe=None` is a molecule without a rare spin.

A cycle of pulses on the protons, with pi pulses on the nuclide of the probe, makes of it the reversible average (time
counts the whole cycle)

    TARDIS-2: eta_homo sum D_ij (I_y I_y - I_x I_x)   + eta_heter sum 2 (D_ij + J_ij / 2) I_iz S_jz,  1 and 2/9
    TARDIS-1: eta_homo sum D_ij (I_x I_y + I_y I_x)   + the same,                                     1/pi and 2/3

whose factors are those of the supplement of arXiv:2510.19550 as reported by public study notes, unchecked by us. The
factor 2 before the coupling to the probe is that of the secular form; with it eta_heter = 2/3 exceeds what any cycle
reaches (`dipolar_sequences`), so there 1/3 may be meant: `scaling` takes other factors. Offsets average to nothing in
these cycles; what is left is `offsets_hz`.
Couplings among the probes, and J among like spins, no pulse of the cycle changes: they stay as they are and are not
turned round.

Left out: relaxation, pulse errors, what the average leaves out (`magnus`). The echo itself: `methods`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from quantum._checks import check_array, check_choice
from quantum._numbers import as_real
from quantum.nmr.species import Spins, read_spins
from quantum.spins.coupling_table import LARGEST_HZ, CouplingTable
from quantum.spins.hamiltonian import SpinHamiltonian

# Form of the proton part, eta_homo, eta_heter; arXiv:2510.19550 as reported by public study notes.
VARIANTS = {"tardis-1": ("xy+yx", 1 / math.pi, 2 / 3), "tardis-2": ("yy-xx", 1.0, 2 / 9)}
FORMS = {
    "zz": np.diag([-1.0, -1.0, 2.0]),
    "yy-xx": np.diag([-1.0, 1.0, 0.0]),
    "xy+yx": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]),
}
GRID_STEP = 0.375e-3  # s, spacing of the published curves as the same notes report it
_MOST_J_HZ = 1e5  # J of two heavy metals reaches some 10^4 Hz
_MOST_OFFSET_HZ = 1e8


Couplings = CouplingTable | Float[Array, "spins spins"] | np.ndarray
Probe = int | Sequence[int] | None
Scalar = Float[Array, "..."] | np.ndarray | None


def homonuclear(
    couplings_hz: Couplings,
    *,
    probe: Probe = 0,
    form: str = "zz",
    isotopes: Sequence[str] | None = None,
) -> SpinHamiltonian:
    """Couplings between like spins alone: 2 pi D_ij I_i . F . I_j.

    Args:
        couplings_hz: D_ij in Hz.
        probe: The rare spins, like each other and no others, where nuclides are not known.
        form: "zz" for 3 I_z I_z - I.I; "yy-xx" or "xy+yx" for double quanta.
        isotopes: Nuclide of each spin of a table that does not know them.

    Raises:
        ValueError: If the couplings are not symmetric, or probe or form unknown.
    """
    check_choice(form, "form", FORMS)
    spins = _read(couplings_hz, probe, isotopes)
    return _between(_table(couplings_hz), spins.like(), form, spins)


def heteronuclear(
    couplings_hz: Couplings,
    *,
    probe: Probe = 0,
    scalar_hz: Scalar = None,
    isotopes: Sequence[str] | None = None,
) -> SpinHamiltonian:
    """Couplings between unlike spins alone: 2 pi 2 (D + J / 2) I_z S_z.

    Args:
        couplings_hz: D_ij in Hz.
        probe: The rare spins, where nuclides are not known.
        scalar_hz: J in Hz, of each spin with the probe or of every pair.
        isotopes: Nuclide of each spin of a table that does not know them.

    Raises:
        ValueError: If the couplings are not symmetric, the probe unknown, or J has another shape.
    """
    spins = _read(couplings_hz, probe, isotopes)
    table = _table(couplings_hz)
    return _zz(table, _scalar(scalar_hz, spins, table.dtype), spins.unlike(), spins)


def offset(
    offsets_hz: Float[Array, " spins"] | np.ndarray, isotopes: Sequence[str] = ()
) -> SpinHamiltonian:
    """Offsets from the carriers alone: -2 pi sign(gamma_i) nu_i I_iz.

    Args:
        offsets_hz: Offset of each spin in Hz, positive where its nuclide turns faster than the carrier.
        isotopes: Nuclide of each; positive ratios by default.

    Raises:
        ValueError: If they are not finite or no list, or there is not one nuclide a spin.
    """
    check_array(offsets_hz, "offsets_hz", ("spins",), "Hz", "0 on the carrier")
    _check_size(offsets_hz, "offsets_hz", _MOST_OFFSET_HZ)
    own = as_real(offsets_hz)
    spins = read_spins(len(own), None, tuple(isotopes) or None)
    fields = -2 * math.pi * own[:, None] * _axis(2, own)[None]
    fields = fields * jnp.asarray(spins.signs(), fields.dtype)[:, None]
    return SpinHamiltonian(
        jnp.zeros((len(own),) * 2 + (3, 3), fields.dtype), fields, spins.isotopes
    )


def secular_hamiltonian(
    couplings_hz: Couplings,
    probe: Probe = 0,
    *,
    scalar_hz: Scalar = None,
    offsets_hz: Float[Array, " spins"] | np.ndarray | None = None,
    isotopes: Sequence[str] | None = None,
) -> SpinHamiltonian:
    """The Hamiltonian between pulses, in the frame that turns with the carriers.

    Args:
        couplings_hz: D_ij in Hz.
        probe: The rare spins, where nuclides are not known; where they are, it only says whose J are given.
        scalar_hz: J in Hz, of each spin with the probe or of every pair.
        offsets_hz: Offset of each spin from its carrier in Hz.
        isotopes: Nuclide of each spin of a table that does not know them.

    Raises:
        ValueError: If shapes differ, the couplings are not symmetric, or the probe is unknown.
    """
    spins = _read(couplings_hz, probe, isotopes)
    table = _table(couplings_hz)
    scalar = _scalar(scalar_hz, spins, table.dtype)
    found = _between(table, spins.like(), "zz", spins) + _zz(table, scalar, spins.unlike(), spins)
    found = found if scalar is None else found + _isotropic(scalar, spins.like())
    return found if offsets_hz is None else found + _offset_of(found, offsets_hz)


def reversible_hamiltonian(
    couplings_hz: Couplings,
    probe: Probe = 0,
    variant: str = "tardis-2",
    *,
    scalar_hz: Scalar = None,
    offsets_hz: Float[Array, " spins"] | np.ndarray | None = None,
    scaling: tuple[float | Array, float | Array] | None = None,
    isotopes: Sequence[str] | None = None,
) -> SpinHamiltonian:
    """The reversible average of lowest order.

    Args:
        couplings_hz: D_ij in Hz.
        probe: The rare spins, or one of them where nuclides are known; the pulses are on the other nuclide, and on all
            spins of a molecule that has but one.
        variant: "tardis-1" or "tardis-2".
        scalar_hz: J in Hz, of each spin with the probe or of every pair.
        offsets_hz: What the cycle leaves of each offset, in Hz; nothing by default. It is not reversed with the rest,
            but `echo` reverses whatever it is given.
        scaling: eta_homo and eta_heter in place of those of the variant.
        isotopes: Nuclide of each spin of a table that does not know them.

    Raises:
        ValueError: If shapes differ, the couplings are not symmetric, probe or variant is unknown, or there is a third
            nuclide, which no pulse of the cycle reaches.
    """
    check_choice(variant, "variant", VARIANTS)
    form, *factors = VARIANTS[variant]
    homo, heter = scaling or factors
    for factor in (homo, heter):
        check_array(factor, "scaling", (), "", "give eta_homo and eta_heter")
    spins = _read(couplings_hz, probe, isotopes)
    table = _table(couplings_hz)
    scalar = _scalar(scalar_hz, spins, table.dtype)
    pulsed = spins.pulsed()
    both, none = pulsed[:, None] & pulsed, ~pulsed[:, None] & ~pulsed
    found = homo * _between(table, spins.like() & both, form, spins)
    found += heter * _zz(table, scalar, spins.unlike() & ~both & ~none, spins)
    if none.sum() > 1:
        found += _between(table, spins.like() & none, "zz", spins)
        found += _zz(table, scalar, spins.unlike() & none, spins)
    if scalar is not None:
        found += _isotropic(scalar, spins.like())
    return found if offsets_hz is None else found + _offset_of(found, offsets_hz)


def _between(table, pairs, form: str, spins: Spins) -> SpinHamiltonian:
    """2 pi D_ij I_i . F . I_j for some of the pairs."""
    tensor = 2 * math.pi * jnp.where(pairs, table, 0)[:, :, None, None] * _form(form)[None, None]
    return SpinHamiltonian(tensor, jnp.zeros((len(pairs), 3), table.dtype), spins.isotopes)


def _zz(table, scalar, pairs, spins: Spins) -> SpinHamiltonian:
    """2 pi 2 (D_ij + J_ij / 2) I_iz I_jz for some of the pairs."""
    whole = table if scalar is None else table + scalar / 2
    n = len(pairs)
    tensor = jnp.zeros((n, n, 3, 3), whole.dtype)
    tensor = tensor.at[:, :, 2, 2].set(jnp.where(pairs, 4 * math.pi * whole, 0))
    return SpinHamiltonian(tensor, jnp.zeros((n, 3), whole.dtype), spins.isotopes)


def _isotropic(scalar, pairs) -> SpinHamiltonian:
    """2 pi J_ij I_i . I_j for some of the pairs."""
    unit = jnp.eye(3, dtype=scalar.dtype)[None, None]
    tensor = 2 * math.pi * jnp.where(pairs, scalar, 0)[:, :, None, None] * unit
    return SpinHamiltonian(tensor, jnp.zeros((len(pairs), 3), scalar.dtype))


def _read(couplings_hz, probe: Probe, isotopes: Sequence[str] | None) -> Spins:
    check_couplings(couplings_hz)
    own = couplings_hz.isotopes if isinstance(couplings_hz, CouplingTable) else None
    if own and isotopes is not None and tuple(isotopes) != own:
        raise ValueError(
            f"`isotopes` must be those of the table, but are {tuple(isotopes)} and {own}; leave them out."
        )
    return read_spins(len(couplings_hz), probe, own or isotopes)


def _table(couplings_hz):
    return couplings_hz.hz if isinstance(couplings_hz, CouplingTable) else as_real(couplings_hz)


def _scalar(scalar_hz, spins: Spins, dtype):
    """J of every pair, from those with the probe or from a table; None where there is none."""
    if scalar_hz is None:
        return None
    n = spins.n
    if np.ndim(scalar_hz) == 2:
        check_array(scalar_hz, "scalar_hz", (n, n), "Hz", "0 where it is not known")
        _check_symmetric(scalar_hz, "scalar_hz")
        _check_size(scalar_hz, "scalar_hz", _MOST_J_HZ)
        return jnp.where(np.eye(n, dtype=bool), 0, as_real(scalar_hz))
    check_array(scalar_hz, "scalar_hz", (n,), "Hz", "0 where it is not known")
    _check_size(scalar_hz, "scalar_hz", _MOST_J_HZ)
    if len(spins.probes) != 1:
        raise ValueError(
            f"`scalar_hz` must be a table of every pair, but is a list and `probe` is {spins.probes}; give ({n}, {n})."
        )
    row = jnp.where(np.arange(n) == spins.probes[0], 0, as_real(scalar_hz))
    found = jnp.zeros((n, n), dtype)
    return found.at[spins.probes[0]].add(row).at[:, spins.probes[0]].add(row)


def _offset_of(hamiltonian: SpinHamiltonian, offsets_hz) -> SpinHamiltonian:
    check_array(offsets_hz, "offsets_hz", (hamiltonian.n_spins,), "Hz", "one for each spin")
    return replace(offset(offsets_hz, hamiltonian.isotopes), isotopes=hamiltonian.isotopes)


def _axis(k: int, like):
    return jnp.eye(3, dtype=jnp.result_type(like))[k]


def _form(name: str):
    return jnp.asarray(FORMS[name])


def check_couplings(couplings_hz) -> None:
    """Raises ValueError unless couplings (Hz) are a table, finite and symmetric; of a traced one the shape counts."""
    values = _table(couplings_hz) if isinstance(couplings_hz, CouplingTable) else couplings_hz
    check_array(values, "couplings_hz", ("spins", "spins"), "Hz", "give D_ij of every pair")
    _check_symmetric(values, "couplings_hz")
    _check_size(values, "couplings_hz", LARGEST_HZ)


def _check_symmetric(table, name: str) -> None:
    if isinstance(table, Tracer):
        return
    values = np.asarray(table)
    error = np.abs(values - values.T).max(initial=0)
    if error > 1e-6 * np.abs(values).max(initial=0):
        raise ValueError(
            f"`{name}` must be finite and symmetric, but differ by {error:.3g} Hz; "
            "give every pair in both orders."
        )


def _check_size(values, name: str, most: float) -> None:
    """Raises ValueError if a frequency is beyond all of its kind."""
    if isinstance(values, Tracer):
        return
    size = float(np.abs(np.asarray(values)).max(initial=0))
    if size > most:
        raise ValueError(
            f"`{name}` must be at most {most:g} Hz in size, but reach {size:.3g} Hz; are they in Hz?"
        )
