"""Kernels of language models in JAX as engines of `bench_language_kernels`: this package's, and JAX's own attention.

Variants of the delta rule: "chunks", "scan", and "segments", the scan that keeps every 16th state and makes the others
anew for its gradient. Of attention: "online", and "jax", `jax.nn.dot_product_attention`. "product" is one product of
square matrices, the limit of a core.
"""

from worker import on_one_core, serve


class Kernel:
    """A function of arrays, with its gradient where that is the work.

    Args:
        attend: Function of the operands.
        operands: Its arguments.
        pull: Cotangent of its result; None for no gradient.
        versions: Versions of packages.
    """

    def __init__(self, attend, operands, pull, versions):
        import jax

        def both(operands, pull):
            out, back = jax.vjp(attend, *operands)
            return out, *back(pull)

        self._run = jax.jit(both if pull is not None else lambda operands, _: (attend(*operands),))
        self._arguments = (operands, pull)
        self._compiled = None
        self._wait = jax.block_until_ready
        self.versions = versions

    def step(self):
        """One call; the first compiles."""
        if self._compiled is None:
            self._compiled = self._run.lower(*self._arguments).compile()
            memory = self._compiled.memory_analysis()
            self.temporary_mib = None if memory is None else memory.temp_size_in_bytes / 2**20
        return self._wait(self._compiled(*self._arguments))

    def check(self):
        """Values and gradients."""
        return {f"part{i}": array for i, array in enumerate(self.step())}


def build(task, arrays):
    """Prepares the kernel."""
    on_one_core()
    import jax
    import jax.numpy as jnp

    from nn.kernels import gated_delta_rule, gated_delta_rule_chunked, online_attention

    def delta(rule, **how):
        return lambda *operands: rule(*operands, **how)[0]

    attend = {
        "chunks": delta(gated_delta_rule_chunked),
        "scan": delta(gated_delta_rule),
        "segments": delta(gated_delta_rule, segment=16),
        "online": online_attention,
        "jax": lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=True),
        "product": lambda a, b: a @ b,
    }[task["variant"]]
    operands = [jnp.asarray(arrays[name]) for name in task["operands"]]
    pull = jnp.asarray(arrays["pull"]) if task["gradient"] else None
    return Kernel(attend, operands, pull, {"jax": jax.__version__})


if __name__ == "__main__":
    serve(build)
