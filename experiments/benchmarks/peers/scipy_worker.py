"""numpy and scipy as engines of `bench_nmr`: what one writes without a package for spins.

Variants: "eigh" diagonalises H of all spins once, "expm" exponentiates it for one interval and multiplies, both for the
full trace in double precision; H is real where it can be. "multiply" is `expm_multiply` with the sparse H on all random
states at a time, in single precision and with the trace given. H is built before the clock starts.
"""

from spin_task import (
    Work,
    echo_of_propagator,
    one_turn,
    prepared,
    read_along_x,
    sparse_hamiltonian,
    struck,
)
from worker import serve


def build(task, arrays):
    """Prepares H."""
    import numpy as np
    import scipy.linalg
    from scipy.sparse.linalg import expm_multiply

    matrix = sparse_hamiltonian(arrays["couplings"], arrays["fields"])
    spins, times = task["struck"], arrays["times"]
    turn = one_turn(task["angle"], arrays["axis"])
    variant = task["variant"]
    versions = {"numpy": np.__version__, "scipy": scipy.__version__}

    if variant == "multiply":
        generator = (-1j * matrix).astype(np.complex64)
        start = prepared(arrays["states"])

        def sampled():
            out = expm_multiply(
                generator, start, start=times[0], stop=times[-1], num=len(times), traceA=0.0
            )
            found = []
            for time, states in zip(times, out, strict=True):
                turned = struck(states, spins, turn.astype(np.complex64))
                found.append(read_along_x(expm_multiply(-time * generator, turned, traceA=0.0)))
            return np.stack(found, axis=1)

        return Work(sampled, versions)

    dense = matrix.toarray()

    def by_levels():
        energies, vectors = scipy.linalg.eigh(dense, driver="evd")
        strike = vectors.conj().T @ struck(vectors.astype(complex), spins, turn)
        half = len(dense) // 2
        probe = vectors.conj().T @ np.roll(vectors, half, 0)
        found = []
        for time in times:
            phases = np.exp(-1j * energies * time)
            walk = phases.conj()[:, None] * strike * phases
            # Tr[X W X W^dag] with W X = (X W^dag)^dag.
            found.append(np.vdot(walk @ probe, probe @ walk).real / len(dense))
        return found

    def by_exponential():
        step = scipy.linalg.expm(-1j * (times[1] - times[0]) * dense)
        unitary, found = step, []
        for _ in times:
            found.append(echo_of_propagator(unitary, spins, turn))
            unitary = step @ unitary
        return found

    return Work({"eigh": by_levels, "expm": by_exponential}[variant], versions)


if __name__ == "__main__":
    serve(build)
