"""This package as an engine; `task["variant"]` is a method of `make_free_space`.

The peers know the transfer function on the padded grid alone, which wraps what its response has beyond the window. So
that all do the same work the operator is made with it here too; how long it takes does not depend on what it holds.
"""

from unittest import mock

import numpy as np
from worker import serve


def build(task, arrays):
    """Prepares the operator and the training."""
    import jax.numpy as jnp
    from jax_training import JaxTraining

    from optics.media import free_space_kernels, make_free_space

    with mock.patch.object(free_space_kernels, "fresnel_spectra", _padded_twice):
        space = make_free_space(
            tuple(task["shape"]),
            task["pixel_pitch"],
            task["wavelength"],
            task["distance"],
            method=task["variant"],
        )
    return JaxTraining(task, arrays, lambda u, phase: space(u * jnp.exp(1j * phase)), {})


def _padded_twice(geometry):
    reach = geometry.wavelength * geometry.distance
    return tuple(
        np.exp(-1j * np.pi * reach * np.fft.fftfreq(n, geometry.pitch) ** 2)
        for n in geometry.padded_lengths()
    )


if __name__ == "__main__":
    serve(build)
