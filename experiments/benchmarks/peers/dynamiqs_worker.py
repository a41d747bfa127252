"""dynamiqs as an engine of `bench_nmr`; H is built before the clock starts.

Variants: "expm" takes propagators of a dense H (`sepropagator` with `Expm`, which reuses that of one interval) in
double precision, for the full trace; "dopri8" and "tsit5" solve for all random states at a time (`sesolve`) with H as
sparse diagonals, in single precision, its default. The first is the faster and the more exact here; a dense H is slower
from 9 spins on.
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
    import importlib.metadata

    import dynamiqs as dq  # pyright: ignore
    import jax
    import jax.numpy as jnp
    import numpy as np

    spins, times = task["struck"], arrays["times"]
    turn = one_turn(task["angle"], arrays["axis"])
    matrix = sparse_hamiltonian(arrays["couplings"], arrays["fields"])
    versions = {"dynamiqs": importlib.metadata.version("dynamiqs"), "jax": jax.__version__}
    dq.set_progress_meter(False)

    if task["variant"] == "expm":
        dq.set_precision("double")
        dense = dq.asqarray(matrix.toarray().astype(complex))
        of_all = jax.jit(
            lambda all_: jax.lax.map(lambda u: echo_of_propagator(u, spins, turn, jnp), all_)
        )

        def exact():
            found = dq.sepropagator(dense, times, method=dq.method.Expm(), t0=0.0)
            return of_all(found.propagators.to_jax())

        return Work(exact, versions)

    lines = matrix.todia()
    by_offset = {int(k): lines.diagonal(k).astype(np.complex64) for k in lines.offsets}
    hamiltonian = dq.sparsedia_from_dict(by_offset)
    start = prepared(arrays["states"]).T[:, :, None]
    turn = turn.astype(np.complex64)
    strike = jax.jit(jax.vmap(lambda states: struck(states, spins, turn, jnp)))
    read = jax.jit(jax.vmap(lambda states: read_along_x(states, jnp)[0]))

    method = {"tsit5": dq.method.Tsit5, "dopri8": dq.method.Dopri8}[task["variant"]]()

    def solve(matrix, states, at):
        found = dq.sesolve(matrix, dq.asqarray(states), at, method=method, t0=0.0)
        return found.states.to_jax()

    def sampled():
        out = solve(hamiltonian, start, times)  # (states, times, 2^n, 1)
        found = []
        for k, time in enumerate(times):
            back = solve(-hamiltonian, strike(out[:, k]), np.array([time]))
            found.append(read(back[:, -1]))
        return jnp.stack(found, axis=1)

    return Work(sampled, versions)


if __name__ == "__main__":
    serve(build)
