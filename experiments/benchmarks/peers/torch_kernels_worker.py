"""Kernels of torch as engines of `bench_language_kernels`.

Variants: "chunk", the gated delta rule of transformers' Qwen3-Next in chunks of 64, in plain torch, which runs where
its compiled kernels are missing; "fused", `torch.nn.functional.scaled_dot_product_attention`, a flash kernel on a CPU.
Axes are turned before the clock starts, so that each has them as it wants.
"""

from functools import partial

from worker import on_one_core, serve


class Kernel:
    """A function of tensors, with its gradient where that is the work.

    Args:
        attend: Function of the operands.
        operands: Its arguments.
        pull: Cotangent of its result; None for no gradient.
        shown: Turns axes of a result back.
        versions: Versions of packages.
    """

    def __init__(self, attend, operands, pull, shown, versions):
        import torch  # pyright: ignore

        self._torch, self._attend, self._shown = torch, attend, shown
        self._operands, self._pull = operands, pull
        self.versions = versions

    def step(self):
        """One call."""
        if self._pull is None:
            with self._torch.no_grad():
                return (self._attend(*self._operands),)
        out = self._attend(*self._operands)
        return out.detach(), *self._torch.autograd.grad(out, self._operands, self._pull)

    def check(self):
        """Values and gradients."""
        return {f"part{i}": self._shown(part).numpy() for i, part in enumerate(self.step())}


def build(task, arrays):
    """Prepares the kernel."""
    on_one_core()
    import torch  # pyright: ignore

    torch.set_num_threads(1)
    versions = {"torch": str(torch.__version__)}
    tensors = [torch.from_numpy(arrays[name]) for name in task["operands"]]
    pull = torch.from_numpy(arrays["pull"]) if task["gradient"] else None
    same, turned = lambda x: x, lambda x: x.transpose(1, 2)
    shown = turned if task["variant"] == "fused" else same
    if task["variant"] == "fused":
        tensors = [turned(x).contiguous() for x in tensors]
        pull = None if pull is None else turned(pull).contiguous()
        attend = partial(torch.nn.functional.scaled_dot_product_attention, is_causal=True)
    else:
        import transformers  # pyright: ignore
        from transformers.models.qwen3_next import modeling_qwen3_next  # pyright: ignore

        versions["transformers"] = transformers.__version__
        attend = partial(_delta_rule, modeling_qwen3_next.torch_chunk_gated_delta_rule)
    for tensor in tensors:
        tensor.requires_grad_(pull is not None)
    return Kernel(attend, tensors, pull, shown, versions)


def _delta_rule(rule, q, k, v, log_decay, strength):
    # It scales queries, which ours does not.
    return rule(q * q.shape[-1] ** 0.5, k, v, log_decay, strength)[0]


if __name__ == "__main__":
    serve(build)
