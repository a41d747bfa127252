"""neurophox (TensorFlow) as an engine of `bench_mesh`.

Its cells have the external phase behind them and its mesh the diagonal of phases in front. So our mesh is its inverse
on conjugate light, phase by phase and with the columns in reverse order: `inverse_transform` of the conjugate fields
is the conjugate of our output, for the work of `transform` in the other order. Reversed, a mesh of even size would
start with an odd column; so the permutations of a mesh that is one column longer are used, less the first.

Variants: "graph" is `tf.function`, "xla" the same with `jit_compile`.
"""

from worker import serve


def build(task, arrays):
    """Prepares the layer."""
    import importlib.metadata

    import numpy as np
    import tensorflow as tf  # pyright: ignore
    from neurophox.meshmodel import MeshModel, RectangularMeshModel  # pyright: ignore
    from neurophox.tensorflow import MeshLayer  # pyright: ignore

    n = task["n_ports"]
    first = n % 2 == 0  # with an odd count of columns the reversed mesh starts with an even one
    longer = RectangularMeshModel(n, n + first)
    model = MeshModel(longer.perm_idx[first:], num_tunable=longer.num_tunable[first:], basis="sm")
    layer = MeshLayer(model)
    layer.theta.assign(arrays["theta"][::-1])
    layer.phi.assign(arrays["phi"][::-1])
    layer.gamma.assign(arrays["output_phase"][None])
    variables = [layer.theta, layer.phi, layer.gamma]
    fields, target = tf.constant(np.conj(arrays["fields"])), tf.constant(arrays["target"])

    def intensity():
        return tf.abs(layer.inverse_transform(fields)) ** 2

    @tf.function(jit_compile=task["variant"] == "xla")
    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((intensity() - target) ** 2)
        return loss, tape.gradient(loss, variables)

    class Gradient:
        versions = {  # noqa: RUF012
            "neurophox": importlib.metadata.version("neurophox"),
            "tensorflow": tf.__version__,
        }

        def step(self):
            gradient()[0].numpy()

        def check(self):
            loss, slopes = gradient()
            theta, phi, gamma = (np.asarray(slope) for slope in slopes)
            flat = [theta[::-1].ravel(), phi[::-1].ravel(), gamma.ravel()]
            return {
                "loss": loss.numpy(),
                "gradient": np.concatenate(flat),
                "intensity": intensity().numpy(),
            }

    return Gradient()


if __name__ == "__main__":
    serve(build)
