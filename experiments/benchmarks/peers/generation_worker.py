"""A diffusion transformer of this package as an engine of `bench_generation`.

Variants: "scanned", blocks in a scan, as models are made; "unrolled", blocks one by one. What a step is says the task:
"sample", Euler steps from noise, their number data of the program; "train", one step of Adam on a batch.
"""

from generation_task import dit_weights
from worker import on_one_core, serve


class Sampling:
    """Pictures out of noise.

    Args:
        run: () -> tokens at the end.
        versions: Versions of packages.
    """

    def __init__(self, run, versions):
        self._run, self.versions = run, versions

    def step(self):
        """All pictures."""
        return self._run().block_until_ready()

    def check(self):
        """The pictures."""
        return {"end": self.step()}


class Training:
    """Steps of Adam on one batch.

    Args:
        advance: (weights, memory) -> (weights, memory, loss, gradient of the first map).
        start: Weights and memory.
        versions: Versions of packages.
    """

    def __init__(self, advance, start, versions):
        self._advance, self._state, self.versions = advance, start, versions
        self._first = None

    def step(self):
        """One step, from where the last one left off."""
        *self._state, loss, gradient = self._advance(*self._state)
        if self._first is None:
            self._first = {"loss": loss, "gradient": gradient}
        return loss.block_until_ready()

    def check(self):
        """Loss and gradient of the first step, and the loss two steps later."""
        assert self._first is not None
        self.step()
        return self._first | {"later": self.step()}


def build(task, arrays):
    """Makes the model."""
    on_one_core()
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    from nn.generation import make_grid, sample_flow
    from nn.models.dit import DitConfig, flatten_tensors, make_dit, tensor_table
    from nn.weights import assign

    config = DitConfig(
        rows=task["side"], columns=task["side"], channels=task["channels"], classes=task["classes"],
        width=task["width"], n_layers=task["n_layers"], heads=task["heads"], hidden=4 * task["width"],
        frequency_shift=1, feed_norm_eps=1e-5,
    )  # fmt: skip
    empty = eqx.filter_eval_shape(lambda key: make_dit(config, key=key), jax.random.key(0))
    model = assign(empty, flatten_tensors(dit_weights(task), config), tensor_table(config))
    if task["variant"] == "unrolled":
        model = eqx.tree_at(lambda m: m.body, model, model.body.unrolled())
    x, labels = jnp.asarray(arrays["x"]), jnp.asarray(arrays["labels"])
    versions = {"jax": jax.__version__}
    if task["kind"] == "sample":
        grid = make_grid(task["n_times"])
        return Sampling(lambda: sample_flow(model, x, grid, condition=labels).end, versions)
    t, wanted = jnp.asarray(arrays["t"]), jnp.asarray(arrays["wanted"])
    weights, rest = eqx.partition(model, eqx.is_inexact_array)
    optimiser = optax.adam(task["rate"])

    @eqx.filter_jit(donate="all")
    def advance(weights, memory):
        def loss(weights):
            return jnp.mean((eqx.combine(weights, rest)(x, t, labels) - wanted) ** 2)

        value, slope = jax.value_and_grad(loss)(weights)
        change, memory = optimiser.update(slope, memory)
        # Torch has (output, input).
        return eqx.apply_updates(weights, change), memory, value, slope.embedding.weight.T

    return Training(advance, (weights, optimiser.init(weights)), versions)


if __name__ == "__main__":
    serve(build)
