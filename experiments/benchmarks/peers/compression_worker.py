"""Four-bit products, GPTQ and expert dispatch of this package as engines of `bench_compression`.

Variants of a product: "packed", weights that stay four-bit, and "dense", the same numbers in single precision. Of GPTQ:
"gptq". Of dispatch: "capacity", "groups", and the dense "loop", in which each expert is applied to all tokens.
"""

from worker import on_one_core, serve


class Compiled:
    """A compiled program with its arguments.

    Args:
        function: Function of the arguments.
        arguments: Its arguments.
        versions: Versions of packages.
    """

    def __init__(self, function, arguments, versions):
        import equinox as eqx
        import jax

        self._run, self._arguments = eqx.filter_jit(function), arguments
        self._wait = jax.block_until_ready
        self.versions = versions

    def step(self):
        """One call; the first compiles."""
        return self._wait(self._run(*self._arguments))

    def check(self):
        """The result."""
        return {"y": self.step()}


class Rounding:
    """Rounds all maps, one after the other.

    Args:
        weights: Maps with the Gram matrix of the inputs of each.
        group: Inputs that share a scale.
        versions: Versions of packages.
    """

    def __init__(self, weights, group, versions):
        import jax

        from nn.compression import gptq

        self._weights, self._group, self._round = weights, group, gptq
        self._wait = jax.block_until_ready
        self.versions = versions

    def step(self):
        """Codes of all maps; the first call compiles."""
        return self._wait([self._round(w, gram, self._group).codes for w, gram in self._weights])

    def check(self):
        """Codes, as numbers from -8."""
        return {f"codes{i}": codes.astype(float) - 8 for i, codes in enumerate(self.step())}


def build(task, arrays):
    """Prepares an engine."""
    on_one_core()
    import jax
    import jax.numpy as jnp

    versions = {"jax": jax.__version__}
    arrays = {name: jnp.asarray(array) for name, array in arrays.items()}
    if task["kind"] == "gptq":
        names = [(f"weight{i}", f"gram{k}") for i, k in enumerate(task["grams"])]
        pairs = [(arrays[weight], arrays[gram]) for weight, gram in names]
        return Rounding(pairs, task["group"], versions)
    if task["kind"] == "product":
        return Compiled(*_product(task, arrays), versions)
    return Compiled(*_dispatch(task, arrays), versions)


def _product(task, arrays):
    if task["variant"] == "dense":
        return lambda x, weight: x @ weight, (arrays["x"], arrays["rounded"])
    from experiments.benchmarks.peers.compression_task import ROUNDINGS
    from nn.compression.four_bit import make_four_bit

    linear = make_four_bit(ROUNDINGS[task["format"]](arrays["weight"].T))
    return lambda x, linear: linear(x), (arrays["x"], linear)


def _dispatch(task, arrays):
    from nn.layers import Dense
    from nn.layers.expert_dispatch import mix_by_capacity, mix_by_groups
    from nn.layers.feed_forward import SwiGLU
    from nn.layers.mixture import Routing, mix_by_loop

    experts = SwiGLU(*(Dense(arrays[name]) for name in ("gate", "up", "down")))
    routing = Routing(arrays["experts"], arrays["weights"], arrays["scores"])
    mix = {
        "capacity": lambda experts, x, routing: (
            mix_by_capacity(experts, x, routing, task["capacity"]).mixed
        ),
        "groups": mix_by_groups,
        "loop": mix_by_loop,
    }[task["variant"]]
    return mix, (experts, arrays["tokens"], routing)


if __name__ == "__main__":
    serve(build)
