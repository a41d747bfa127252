"""Autoencoders of diffusers with random weights: their tensors, and what they give.

Runs as a script in any environment with diffusers and torch, so it imports nothing of this package:
    python autoencoder_worker.py TASKS.json
The file holds {folder: settings of `AutoencoderKL`}. Into each folder go `model.safetensors` and `outputs.npz`: the
pictures, means and log variances of their latents, other latents, their pictures, and the picture of a bare middle.
"""

import json
import sys

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from diffusers.models.autoencoders.autoencoder_kl import (  # pyright: ignore[reportMissingImports]
    AutoencoderKL,
)
from safetensors.torch import save_file  # pyright: ignore[reportMissingImports]

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with open(sys.argv[1]) as file:
        tasks = json.load(file)
    for folder, settings in tasks.items():
        model = AutoencoderKL(**settings).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                spread = 0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
                mean = 1 if "norm" in name and name.endswith("weight") else 0
                parameter.copy_(mean + spread * torch.randn_like(parameter))
            images = torch.randn(2, 3, 16, 24)
            latents = torch.randn(2, settings["latent_channels"], 6, 8)
            spread = model.encode(images).latent_dist
            inside = torch.randn(2, settings["block_out_channels"][-1], 6, 8)
            arrays = {
                "images": images, "mean": spread.mean, "log_variance": spread.logvar,
                "latents": latents, "pictures": model.decode(latents).sample,
                "inside": inside, "middle": model.decoder.mid_block(inside),
            }  # fmt: skip
        save_file(model.state_dict(), f"{folder}/model.safetensors")
        np.savez(f"{folder}/outputs.npz", **{name: a.numpy() for name, a in arrays.items()})
