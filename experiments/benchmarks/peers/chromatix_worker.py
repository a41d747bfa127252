"""chromatix as an engine, with the same Fresnel transfer function on the same padded grid.

Variant "documented" calls `transfer_propagate` for each layer; variant "prepared" computes the kernel
once and calls `kernel_propagate`, which is the fastest way that its public functions offer.
"""

from worker import serve


def build(task, arrays):
    """Prepares fields and training."""
    import importlib.metadata

    import jax
    import jax.numpy as jnp
    from chromatix import MonoSpectrum, ScalarField, crop, pad  # pyright: ignore
    from chromatix import functional as cf  # pyright: ignore
    from jax_training import JaxTraining

    n = task["shape"][0]
    width, distance = n // 2, task["distance"]

    def field(u):
        spectrum = MonoSpectrum(task["wavelength"])
        return ScalarField(u, task["pixel_pitch"], 0.0, spectrum)

    kernel = cf.compute_transfer_propagator(
        pad(field(jnp.zeros((n, n), jnp.complex64)), width), distance, 1.0
    )

    def documented(u, phase):
        changed = cf.phase_change(field(u), phase)
        return cf.transfer_propagate(changed, distance, 1.0, width, mode="same").u

    def prepared(u, phase):
        changed = cf.phase_change(field(u), phase)
        return crop(cf.kernel_propagate(pad(changed, width), kernel), width).u

    layer = {"documented": documented, "prepared": prepared}[task["variant"]]
    versions = {"chromatix": importlib.metadata.version("chromatix")}
    return JaxTraining(task, arrays, jax.vmap(layer, in_axes=(0, None)), versions)


if __name__ == "__main__":
    serve(build)
