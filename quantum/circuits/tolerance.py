"""When numbers count as equal: one rule for gates that are read, compiled, twirled or drawn as networks.

A matrix is accepted as unitary where it misses that by no more than 1e-6, so one in single precision passes. What is
accepted must also be understood, so two kinds of decision follow from the same number:

- what a gate *is* (virtual, Clifford, the same as another up to a phase) is decided to 1e-6: the gate stays as it came;
- what may be *replaced* (a block that is the identity and goes, a coordinate that is taken as 0) is decided to the
  precision in which the numbers came, `precision_of`, or weak couplings in double precision would be dropped: 1e-6 for
  numbers of single precision, 1e-11 for those of double precision that are unitary to rounding, and between them by
  how far a matrix is from unitary, as one printed with eight digits is.
"""

import numpy as np

ACCEPTED = 1e-6
EXACT = 1e-11  # far above rounding of a few products in double precision
# An element may be off by more than the worst row of U U^dagger shows, since errors of a row may cancel (our choice).
_SAFETY = 32


def precision_of(numbers) -> float:
    """How far numbers may be off by the precision in which they came: between `EXACT` and `ACCEPTED`.

    Numbers that fit into half precision (0, 1, 1/2) are taken as exact. Of those that fit into single precision and
    not into half at least one was rounded to it: a double has 2^29 values for each of them.

    Args:
        numbers: Angles, or a square matrix that should be unitary; real or complex.
    """
    array = np.asarray(numbers)
    parts = np.stack([np.real(array), np.imag(array)]).astype(float)
    if np.array_equal(parts, parts.astype(np.float32)):
        with np.errstate(over="ignore"):
            return EXACT if np.array_equal(parts, parts.astype(np.float16)) else ACCEPTED
    if array.ndim != 2:
        return EXACT
    return float(np.clip(_SAFETY * unitary_error(array), EXACT, ACCEPTED))


def unitary_error(matrix: np.ndarray) -> float:
    """Largest element of U U^dagger - 1."""
    return float(np.abs(matrix @ matrix.conj().T - np.eye(len(matrix))).max())


def nearest_unitary(matrix: np.ndarray) -> np.ndarray:
    """The unitary closest to a matrix that is one up to rounding, complex128."""
    left, _, right = np.linalg.svd(np.asarray(matrix, dtype=complex))
    return left @ right


def same_up_to_phase(a: np.ndarray, b: np.ndarray, tolerance: float = ACCEPTED) -> bool:
    """Whether two matrices differ by a phase and no more than `tolerance` in any element."""
    if a.shape != b.shape:
        return False
    overlap = np.vdot(b, a)
    size = abs(overlap)
    return bool(size > 0 and np.abs(a * (overlap.conjugate() / size) - b).max() < tolerance)


def is_diagonal(matrix: np.ndarray, tolerance: float = ACCEPTED) -> bool:
    """Whether all elements off the diagonal vanish."""
    return bool(np.abs(matrix - np.diag(np.diag(matrix))).max() < tolerance)


def split_product(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Factors A and B, unitary, of A x B = U for a (4, 4) unitary U, or None where it is no product."""
    table = np.asarray(matrix, dtype=complex).reshape(2, 2, 2, 2).transpose(0, 2, 1, 3)
    left, values, right = np.linalg.svd(table.reshape(4, 4))
    if values[1] > 2 * ACCEPTED:
        return None
    # The one singular value left is |A| |B| = 2, a root of 2 for each factor.
    first, second = (np.sqrt(2) * v.reshape(2, 2) for v in (left[:, 0], right[0]))
    return nearest_unitary(first), nearest_unitary(second)
