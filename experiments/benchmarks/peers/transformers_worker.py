"""Models of transformers with random weights: their tensors in the published form, and what they give.

Runs as a script in any environment with transformers and torch, so it imports nothing of this package:
    python transformers_worker.py TASKS.json
The file holds {folder: {"model": "LlamaForCausalLM", "config": {...}, "inputs": FILE}}. The inputs are `tokens`
(batch, n), with `counts` of the same shape for an encoder, or `pixels` (batch, channels, height, width). Into each
folder go `model.safetensors`, as `save_pretrained` writes it, and `outputs.npz` with `full`, the output for the whole
input, and for models of language `single`, token by token with their cache after a prompt of three.
"""

import json
import sys

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import transformers  # pyright: ignore[reportMissingImports]


def make(name, config):
    """The model in single precision, each weight drawn; norms vary about what they start with."""
    torch.manual_seed(0)
    settings = getattr(transformers, name.split("For")[0].removesuffix("Model") + "Config")
    model = getattr(transformers, name)(settings(**config)).eval()
    for key, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if key.endswith("inv_freq"):
            continue
        if "norm" in key.lower() or key.endswith(("A_log", "dt_bias")):
            tensor.data += 0.2 * torch.randn_like(tensor)
        elif tensor.is_floating_point():
            # Embeddings of size one: rounding errors of the layers do not grow on the way.
            fan_in = tensor.shape[-1] if tensor.ndim > 1 and "embed" not in key else 1
            spread = 1 if "embed" in key else 0.5
            tensor.data = torch.randn_like(tensor) * spread * fan_in**-0.5
    return model


def outputs(model, inputs):
    """Logits or last hidden states of the whole input, and token by token."""
    if "pixels" in inputs:
        return {"full": _first(model(pixel_values=torch.tensor(inputs["pixels"])))}
    tokens = torch.tensor(inputs["tokens"])
    if "counts" in inputs:
        mask = torch.tensor(inputs["counts"]).long()
        return {"full": _first(model(input_ids=tokens, attention_mask=mask))}
    full = model(input_ids=tokens, use_cache=False).logits
    step = model(input_ids=tokens[:, :3], use_cache=True)
    single = [step.logits]
    for i in range(3, tokens.shape[1]):
        step = model(input_ids=tokens[:, i : i + 1], cache=step.past_key_values)
        single.append(step.logits)
    return {"full": full, "single": torch.cat(single, dim=1)}


def _first(output):
    return output.logits if "logits" in output else output.last_hidden_state


if __name__ == "__main__":
    torch.set_num_threads(1)
    with open(sys.argv[1]) as file:
        tasks = json.load(file)
    for folder, task in tasks.items():
        model = make(task["model"], task["config"])
        model.save_pretrained(folder)
        with np.load(task["inputs"]) as arrays, torch.no_grad():
            found = outputs(model, dict(arrays))
        np.savez(f"{folder}/outputs.npz", **{name: array.numpy() for name, array in found.items()})
