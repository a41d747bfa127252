"""This package as an engine of `bench_nmr`.

Variants: "blocks" is `quantum.nmr.methods.echo` by "sectors" and "ruler" by "real_sectors", the full trace
in double precision; "typicality" is `echo_by_typicality` and "krylov" `evolve_krylov` on the whole space, random
states in single precision. All that has to be done for new couplings is in the step. "krylov" has one thread for its
products, which are small: threads that wait by spinning for a core that others use cost it up to fifty times.
"""

from spin_task import Work, one_turn, prepared, read_along_x, struck
from worker import serve


def build(task, arrays):
    """Prepares the Hamiltonian."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    variant = task["variant"]
    jax.config.update("jax_enable_x64", variant in ("blocks", "ruler"))

    from threadpoolctl import threadpool_limits

    from quantum.nmr import echo
    from quantum.nmr.typicality import echo_by_typicality
    from quantum.spins import evolve_krylov, make_hamiltonian

    hamiltonian = make_hamiltonian(arrays["couplings"], arrays["fields"])
    spins, angle, axis, times = task["struck"], task["angle"], arrays["axis"], arrays["times"]

    def typicality():
        found = echo_by_typicality(
            hamiltonian, spins, angle, times,
            n_states=task["n_states"], seed=task["seed"], axis=axis,
        )  # fmt: skip
        return found.samples

    def krylov():
        with threadpool_limits(1):
            return on_the_whole_space()

    def on_the_whole_space():
        states, turn = prepared(arrays["states"]), one_turn(angle, axis).astype(np.complex64)
        found = []
        for step, time in zip(np.diff(times, prepend=0), times, strict=True):
            states = np.asarray(evolve_krylov(hamiltonian, jnp.asarray(states.T), float(step))).T
            turned = jnp.asarray(struck(states, spins, turn).T)
            back = evolve_krylov(hamiltonian, turned, -float(time))
            found.append(read_along_x(np.asarray(back).T))
        return np.stack(found, axis=1)

    run = {
        "blocks": lambda: echo(hamiltonian, spins, angle, times, axis=axis).values,
        "ruler": lambda: (
            echo(hamiltonian, spins, angle, times, axis=axis, method="real_sectors").values
        ),
        "typicality": typicality,
        "krylov": krylov,
    }[variant]
    return Work(run, {"jax": jax.__version__})


if __name__ == "__main__":
    serve(build)
