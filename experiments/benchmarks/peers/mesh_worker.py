"""This package as an engine of `bench_mesh`, and plain matrix products beside it.

Variants: "scan" is `optics.meshes.mesh.Mesh`; "stored" the same columns, differentiated by JAX with the fields between
columns stored; "dense" multiplies N full matrices, one for each column.
"""

from worker import serve


def build(task, arrays):
    """Prepares the mesh."""
    import jax
    import jax.numpy as jnp
    from mesh_training import MeshGradient

    from optics.meshes import Mesh, apply_columns, cell_elements, cells

    n = task["n_ports"]
    there = cells(n)
    column, slot = there.nonzero()
    port = 2 * slot + column % 2

    def scan(phases, fields):
        return Mesh(*phases)(fields)

    def stored(phases, fields):
        elements = cell_elements(Mesh(*phases).cell())
        return apply_columns(elements, fields, method="stored") * jnp.exp(1j * phases[2])[None]

    def dense(phases, fields):
        elements = cell_elements(Mesh(*phases).cell())[:, column, slot]
        columns = jnp.zeros((n, n, n), elements.dtype) + jnp.eye(n, dtype=elements.dtype)[None]
        for i, (down, across) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            columns = columns.at[column, port + down, port + across].set(elements[i])
        identity = jnp.eye(n, dtype=elements.dtype)
        matrix = jax.lax.scan(lambda m, c: (c @ m, None), identity, columns)[0]
        return (fields @ matrix.T) * jnp.exp(1j * phases[2])[None]

    forward = {"scan": scan, "stored": stored, "dense": dense}[task["variant"]]
    return MeshGradient(arrays, forward, {})


if __name__ == "__main__":
    serve(build)
