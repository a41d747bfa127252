"""This package as an engine; `task["variant"]` is a method of `make_free_space`."""

from worker import serve


def build(task, arrays):
    """Prepares the operator and the training."""
    import jax.numpy as jnp
    from jax_training import JaxTraining

    from optics.media import make_free_space

    space = make_free_space(
        task["shape"],
        task["pixel_pitch"],
        task["wavelength"],
        task["distance"],
        method=task["variant"],
    )
    return JaxTraining(task, arrays, lambda u, phase: space(u * jnp.exp(1j * phase)), {})


if __name__ == "__main__":
    serve(build)
