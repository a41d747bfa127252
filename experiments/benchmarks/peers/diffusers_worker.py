"""A diffusion transformer of diffusers with random weights: its tensors, and what it gives.

Runs as a script in any environment with diffusers and torch, so it imports nothing of this package:
    python diffusers_worker.py SETTINGS.json FOLDER
The settings are those of `DiTTransformer2DModel`. Into the folder go `model.safetensors` and `outputs.npz` with the
points, times and labels it was asked with and what it said. All blocks get one layer of times and one table of classes.
"""

import json
import sys

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from diffusers.models.transformers.dit_transformer_2d import (  # pyright: ignore[reportMissingImports]
    DiTTransformer2DModel,
)
from safetensors.torch import save_file  # pyright: ignore[reportMissingImports]

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with open(sys.argv[1]) as file:
        settings = json.load(file)
    model = DiTTransformer2DModel(**settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 1 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
            parameter.copy_(spread * torch.randn_like(parameter))
        told = model.transformer_blocks[0].norm1.emb.state_dict()
        for block in model.transformer_blocks[1:]:
            block.norm1.emb.load_state_dict(told)
        size, classes = settings["sample_size"], settings["num_embeds_ada_norm"]
        points = torch.randn(3, settings["in_channels"], size, size)
        times, labels = torch.tensor([0, 300, 999]), torch.tensor([1, classes, 3])
        said = model(points, timestep=times, class_labels=labels).sample
    save_file(model.state_dict(), f"{sys.argv[2]}/model.safetensors")
    arrays = {"points": points, "times": times, "labels": labels, "said": said}
    np.savez(f"{sys.argv[2]}/outputs.npz", **{name: a.numpy() for name, a in arrays.items()})
