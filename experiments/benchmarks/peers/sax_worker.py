"""sax as an engine of `bench_mesh`: one circuit of Mach-Zehnder models, its S-matrix applied to the fields.

The cell is one model with the closed form of its matrix, so that sax has as few instances and ports as can be.
"""

from worker import serve


def build(task, arrays):
    """Prepares the circuit."""
    import jax.numpy as jnp
    import sax  # pyright: ignore
    from mesh_training import MeshGradient

    n = task["n_ports"]

    def cell(theta=0.0, phi=0.0):
        common, turn = 1j * jnp.exp(0.5j * theta), jnp.exp(1j * phi)
        sine, cosine = jnp.sin(theta / 2), jnp.cos(theta / 2)
        return sax.reciprocal(
            {
                ("in0", "out0"): common * turn * sine,
                ("in1", "out0"): common * cosine,
                ("in0", "out1"): common * turn * cosine,
                ("in1", "out1"): -common * sine,
            }
        )

    def shifter(phase=0.0):
        return sax.reciprocal({("in0", "out0"): jnp.exp(1j * phase)})

    instances, connections, ports, ends, places = {}, {}, {}, {}, {}

    def place(name, component, at):
        instances[name] = component
        for i, port in enumerate(at):
            if port in ends:
                connections[ends[port]] = f"{name},in{i}"
            else:
                ports[f"in{port}"] = f"{name},in{i}"
            ends[port] = f"{name},out{i}"

    for column in range(n):
        for slot in range(n // 2):
            port = 2 * slot + column % 2
            if port <= n - 2:
                places[f"cell_{column}_{slot}"] = column, slot
                place(f"cell_{column}_{slot}", "cell", [port, port + 1])
    for port in range(n):
        place(f"output_{port}", "shifter", [port])
        ports[f"out{port}"] = ends[port]
    netlist = {"instances": instances, "connections": connections, "ports": ports}
    circuit, _ = sax.circuit(netlist, models={"cell": cell, "shifter": shifter})

    def forward(phases, fields):
        theta, phi, output_phase = phases
        settings = {name: {"theta": theta[at], "phi": phi[at]} for name, at in places.items()}
        settings |= {f"output_{i}": {"phase": output_phase[i]} for i in range(n)}
        found = sax.sdict(circuit(**settings))
        rows = [jnp.stack([found[f"in{i}", f"out{j}"] for i in range(n)]) for j in range(n)]
        return fields @ jnp.stack(rows).T

    return MeshGradient(arrays, forward, {"sax": sax.__version__})


if __name__ == "__main__":
    serve(build)
