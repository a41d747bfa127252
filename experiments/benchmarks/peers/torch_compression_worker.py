"""The same work in torch as engines of `bench_compression`.

Variants: "dense", a product in single precision; "gptq", rounding as E. Frantar et al., arXiv 2210.17323, write it down
in algorithm 1: a loop over the inputs in blocks, errors passed on within the block at once and beyond it by one product
at its end, in single precision (factor of the inverse in double, so that codes can be compared); "loop", experts one
after the other, each on the tokens that chose it.
"""

from worker import on_one_core, serve


class Engine:
    """A function and its arguments.

    Args:
        function: Function of the arguments, returns arrays by name.
        versions: Versions of packages.
    """

    def __init__(self, function, versions):
        self.step, self.versions = function, versions

    def check(self):
        """What a step gives."""
        return {name: part.numpy() for name, part in self.step().items()}


def build(task, arrays):
    """Prepares an engine."""
    on_one_core()
    import torch  # pyright: ignore

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    versions = {"torch": str(torch.__version__)}
    if task["kind"] == "product":
        x, weight = tensors["x"], tensors["rounded"]
        return Engine(lambda: {"y": x @ weight}, versions)
    if task["kind"] == "gptq":
        weights = [tensors[f"weight{i}"].T.contiguous() for i in range(len(task["grams"]))]
        grams = [tensors[f"gram{k}"] for k in task["grams"]]

        def rounding():
            pairs = zip(weights, grams, strict=True)
            return {
                f"codes{i}": _gptq(torch, weight, gram, task["group"])
                for i, (weight, gram) in enumerate(pairs)
            }

        return Engine(rounding, versions)
    return Engine(lambda: {"y": _loop(torch, tensors)}, versions)


def _gptq(torch, weight, gram, group, block=128, damping=0.01):
    """Codes from -8 of weight (n_out, n_in)."""
    weight, codes = weight.clone(), torch.empty_like(weight)
    n_in = weight.shape[1]
    hessian = gram.double()
    hessian = hessian + damping * hessian.diagonal().mean() * torch.eye(n_in, dtype=hessian.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    factor = torch.linalg.cholesky(inverse, upper=True).float()
    for first in range(0, n_in, block):
        last = min(first + block, n_in)
        part, errors = weight[:, first:last].clone(), torch.empty(weight.shape[0], last - first)
        inner = factor[first:last, first:last]
        for j in range(last - first):
            if (first + j) % group == 0:
                # What the block has passed on within itself is in `part` alone.
                largest = part[:, j : j + group].abs().amax(dim=1)
                scale = (largest / 7).clamp(min=2.0**-14).half().float()
            column, diagonal = part[:, j], inner[j, j]
            code = (column / scale).round().clamp(-8, 7)
            codes[:, first + j] = code
            error = (column - code * scale) / diagonal
            part[:, j:] -= error[:, None] * inner[j, j:][None]
            errors[:, j] = error
        weight[:, last:] -= errors @ factor[first:last, last:]
    return codes


def _loop(torch, tensors):
    tokens, chosen, weights = (tensors[name] for name in ("tokens", "experts", "weights"))
    total = torch.zeros_like(tokens)
    for expert in range(tensors["gate"].shape[0]):
        row, rank = torch.where(chosen == expert)
        x = tokens[row]
        hidden = torch.nn.functional.silu(x @ tensors["gate"][expert]) * (x @ tensors["up"][expert])
        total.index_add_(0, row, (hidden @ tensors["down"][expert]) * weights[row, rank][:, None])
    return total


if __name__ == "__main__":
    serve(build)
