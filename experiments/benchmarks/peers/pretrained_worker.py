"""Published weights in transformers: what it makes of the files that we read.

Runs as a script in an environment with transformers, torch, gguf and accelerate, so it imports nothing of this package:
    python pretrained_worker.py TASK.json ANSWER.npz
The task is {"gguf": FILE, "texts": [[token, ...], ...]}, answered with `nats0`, `nats1`, ... of each token after the
first. Single precision, one thread.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from transformers import AutoModelForCausalLM  # pyright: ignore[reportMissingImports]


def losses(task):
    """-log p of each next token, text by text."""
    file = Path(task["gguf"])
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    found = {}
    for i, text in enumerate(task["texts"]):
        tokens = torch.tensor(text)
        logits = model(tokens[None]).logits[0]
        nats = torch.nn.functional.cross_entropy(logits[:-1], tokens[1:], reduction="none")
        found[f"nats{i}"] = nats.numpy()
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    with open(sys.argv[1]) as file:
        task = json.load(file)
    with torch.no_grad():
        found = losses(task)
    np.savez(sys.argv[2], **found)
