"""The dipolar echo of NMR: secular and average Hamiltonians, and the exact echo of a probe spin.

Spin 0 is the probe S (13C), the others are protons I. In a strong field, with D in Hz from `dipolar`,

    H / (2 pi hbar) = sum_(i<j) D_ij (3 I_iz I_jz - I_i . I_j) + sum_j 2 (D_0j + J_0j / 2) I_jz S_z - sum_i nu_i I_iz.

A cycle of pulses makes of it the reversible average (time counts the whole cycle)

    TARDIS-2: eta_homo sum D_ij (I_y I_y - I_x I_x)   + eta_heter sum 2 (D_0j + J_0j / 2) I_jz S_z,  1 and 2/9
    TARDIS-1: eta_homo sum D_ij (I_x I_y + I_y I_x)   + the same,                                    1/pi and 2/3

whose factors are second-hand (fact sheet 13.3 on arXiv:2510.19550). The factor 2 before the coupling to the probe is
that of the secular form; with it eta_heter = 2/3 exceeds what any cycle reaches (`dipolar_sequences`), so there 1/3 may
be meant: `scaling` takes other factors. Offsets average to nothing in these cycles; what is left is `offsets_hz`.

    C(t) = Tr[S_x W S_x W^dag] / Tr[S_x^2],   W = U^dag V U,   V = exp(-i theta n . sum_struck I)

is the echo of the probe, C^(2k) with W in place of B(t) and 2 S_x in place of M for k loops. S_z of the probe is
conserved, so U has a block U_+, U_- for each of its states, and so has W:

    C = Re Tr[W_+ W_-^dag] / 2^protons       for k = 1; alternating products of W_+, W_- beyond.

That halves the spins' states; each block is diagonalised once for all times. Its derivative is taken from divided
differences of exp(-i E t), which stay finite where levels coincide, as they do in a turning methyl group.

Left out: relaxation, pulse errors, what the average leaves out (`magnus`), Hamiltonians that turn the probe.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Complex, Float

from quantum._checks import check_array, check_choice, check_count, check_in_range
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian

# Form of the proton part, eta_homo, eta_heter; fact sheet 13.3, second hand.
VARIANTS = {"tardis-1": ("xy+yx", 1 / math.pi, 2 / 3), "tardis-2": ("yy-xx", 1.0, 2 / 9)}
FORMS = {
    "zz": np.diag([-1.0, -1.0, 2.0]),
    "yy-xx": np.diag([-1.0, 1.0, 0.0]),
    "xy+yx": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]),
}
GRID_STEP = 0.375e-3  # s, spacing of the published curves, fact sheet 13.3
_MOST_PROTONS = 10  # 2^10 squared in complex128 is 17 MB, held for both blocks at every time

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


def average_hamiltonian(
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


def echo(
    hamiltonian: SpinHamiltonian,
    struck: tuple[int, ...],
    angle: float | int | Float[Array, ""],
    times: Float[Array, " times"] | np.ndarray,
    *,
    axis: Float[Array, " 3"] | np.ndarray = BLEW_12_AXIS,
    probe: int = 0,
    order: int = 1,
) -> Float[Array, " times"]:
    """The echo of the probe, exact; differentiable once in Hamiltonian, angle, axis and times.

    Args:
        hamiltonian: One that holds no S_x and S_y of the probe, such as `average_hamiltonian`.
        struck: Spins that the butterfly turns, such as the protons of the methyl groups.
        angle: theta in radians; the published one is unknown.
        times: Time of one forward evolution in seconds, not negative.
        axis: n, of length one; by default that of BLEW-12, (0, 2, 1) / sqrt(5).
        probe: The spin that is measured.
        order: k; C^(2k), 1 for the echo of the NMR experiment.

    Returns:
        C at each time, 1 at time zero where the butterfly leaves the probe alone.

    Raises:
        ValueError: If a time is negative, the axis is not of length one, a struck spin is the probe or not there, the
            probe would turn, or there are more than 10 other spins.
    """
    check_count(order, "order", 1)
    _check_echo(hamiltonian, struck, times, axis, probe)
    check_array(angle, "angle", (), "rad", "give an angle")
    times = jnp.asarray(times, dtype=hamiltonian.couplings.dtype)
    return _echo(hamiltonian, tuple(struck), angle, times, jnp.asarray(axis), probe, order)


@partial(jax.jit, static_argnames=("struck", "probe", "order"))
def _echo(hamiltonian: SpinHamiltonian, struck, angle, times, axis, probe: int, order: int):
    up, down = (sector(hamiltonian, sign, probe=probe) for sign in (0.5, -0.5))
    others = [k for k in range(hamiltonian.n_spins) if k != probe]
    turn = butterfly(len(others), [others.index(k) for k in struck], angle, axis).astype(up.dtype)

    def one(forward):
        first, second = (u.conj().T @ turn @ u for u in forward)
        return _alternating_trace(first, second, order)

    return jax.lax.map(one, (_propagators(up, times), _propagators(down, times)))


def sector(
    hamiltonian: SpinHamiltonian, sz: float, *, probe: int = 0
) -> Complex[Array, "states states"]:
    """H / hbar in rad/s on the other spins where the probe has S_z = `sz`, without the probe's own energy."""
    others = np.array([k for k in range(hamiltonian.n_spins) if k != probe])
    tensor, fields = hamiltonian.couplings, hamiltonian.fields[others]
    fields = fields + sz * tensor[probe, others, 2]
    return _dense(tensor[others[:, None], others[None]], fields)


def butterfly(
    n_spins: int,
    struck,
    angle: float | int | Float[Array, ""],
    axis: Float[Array, " 3"] | np.ndarray = BLEW_12_AXIS,
) -> Complex[Array, "states states"]:
    """exp(-i angle axis . I) of every struck spin, as one matrix on `n_spins` spins."""
    generator = jnp.tensordot(jnp.asarray(axis), PAULIS, 1)
    one = jnp.cos(angle / 2) * np.eye(2) - 1j * jnp.sin(angle / 2) * generator
    total = jnp.eye(1, dtype=one.dtype)
    for spin in range(n_spins):
        total = jnp.kron(total, one if spin in struck else jnp.eye(2, dtype=one.dtype))
    return total


@jax.custom_jvp
def _propagators(matrix, times):
    """exp(-i H t) for all times from one diagonalisation."""
    energies, states = jnp.linalg.eigh(matrix)
    phases = jnp.exp(-1j * times[:, None] * energies[None])
    return jnp.einsum("ab,tb,cb->tac", states, phases, states.conj())


@_propagators.defjvp
def _propagators_jvp(primals, tangents):
    (matrix, times), (matrix_dot, times_dot) = primals, tangents
    energies, states = jnp.linalg.eigh(matrix)
    phases = jnp.exp(-1j * times[:, None] * energies[None])
    found = jnp.einsum("ab,tb,cb->tac", states, phases, states.conj())
    # Divided differences of exp(-i E t): -i t exp(-i t (E + E') / 2) sinc(t (E - E') / 2), finite where E = E'.
    half = times[:, None, None] / 2
    mean, gap = energies[:, None] + energies[None, :], energies[:, None] - energies[None, :]
    divided = -2j * half * jnp.exp(-1j * half * mean[None]) * jnp.sinc(half * gap[None] / math.pi)
    inner = states.conj().T @ matrix_dot @ states
    moved = jnp.einsum("ab,tbc,dc->tad", states, divided * inner[None], states.conj())
    return found, moved - 1j * times_dot[:, None, None] * (matrix[None] @ found)


def _alternating_trace(up, down, order: int):
    """Re Tr of (W^dag X)^k (W X)^k in the block where the probe begins up, over its states."""
    blocks = (up, down)
    product = up.conj().T
    for k in range(1, order):
        product = product @ blocks[k % 2].conj().T
    for k in range(order, 2 * order):
        last = blocks[k % 2]
        if k < 2 * order - 1:
            product = product @ last
    return jnp.real(jnp.sum(product * last.T)) / up.shape[0]


def _dense(tensor, fields):
    """Matrix of a Hamiltonian by scattering the 4 x 4 block of each pair and the 2 x 2 block of each spin."""
    n = fields.shape[0]
    spins = jnp.asarray(PAULIS / 2, dtype=jnp.result_type(fields.dtype, jnp.complex64))
    matrix = jnp.zeros((2**n, 2**n), spins.dtype)
    rows, columns = _places([(i,) for i in range(n)], n)
    blocks = jnp.einsum("ia,apq->ipq", fields, spins)
    matrix = matrix.at[rows, columns].add(blocks[..., None])
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if not pairs:
        return matrix
    first, second = np.array(pairs).T
    blocks = jnp.einsum("kab,apq,brs->kprqs", tensor[first, second], spins, spins)
    rows, columns = _places(pairs, n)
    return matrix.at[rows, columns].add(blocks.reshape(len(pairs), 4, 4)[..., None])


def _places(groups, n: int):
    """Rows and columns at which blocks on groups of spins stand, (groups, block, block, states of the rest)."""
    rows, columns = [], []
    for group in groups:
        rest = [k for k in range(n) if k not in group]
        within = _words(group, n)
        elsewhere = _words(rest, n)
        rows.append(within[:, None, None] + elsewhere[None, None, :])
        columns.append(within[None, :, None] + elsewhere[None, None, :])
    return np.stack(rows), np.stack(columns)


def _words(spins, n: int):
    """Basis states with all patterns on some spins, zeros on the rest; spin 0 is the most significant bit."""
    found = np.zeros(1, dtype=np.int64)
    for spin in spins:
        found = (found[:, None] + np.array([0, 1 << (n - 1 - spin)])[None]).ravel()
    return found


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


def _check_echo(hamiltonian: SpinHamiltonian, struck, times, axis, probe: int) -> None:
    n = hamiltonian.n_spins
    if not 2 <= n <= _MOST_PROTONS + 1:
        raise ValueError(
            f"`hamiltonian` must have 2 to {_MOST_PROTONS + 1} spins, but has {n}; more need "
            "`typicality.echo_by_typicality`."
        )
    _check_probe(probe, n)
    if probe in struck or not set(struck) <= set(range(n)):
        raise ValueError(
            f"`struck` must be spins of 0 to {n - 1} other than the probe {probe}, but is {tuple(struck)}."
        )
    check_times(times)
    check_axis(axis)
    if isinstance(hamiltonian.couplings, Tracer):
        return
    rows, fields = np.asarray(hamiltonian.couplings)[probe], np.asarray(hamiltonian.fields)[probe]
    if np.any(rows[:, :2]) or np.any(fields[:2]):
        raise ValueError("`hamiltonian` must keep S_z of the probe, but holds S_x or S_y of it.")


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


def check_times(times) -> None:
    """Raises ValueError unless times (s) are a list, finite and not negative; of traced ones the shape counts."""
    check_array(times, "times", ("times",), "s", "give a list of seconds")
    least = 0.0 if isinstance(times, Tracer) else float(np.min(times, initial=0))
    if least < 0:
        raise ValueError(
            f"`times` must be finite and not negative, but begin at {least:g} s; the echo itself runs back."
        )


def check_axis(axis) -> None:
    """Raises ValueError unless an axis is a vector of length one; of a traced one the shape counts."""
    check_array(axis, "axis", (3,), "", "give x, y and z")
    if not isinstance(axis, Tracer):
        length = float(np.linalg.norm(axis))
        check_in_range(length, "axis", 1 - 1e-6, 1 + 1e-6, "long", "Divide it by its length.")
