"""The diffusion transformer of diffusers as an engine of `bench_generation`: its `DiTTransformer2DModel`.

A step is what the task says, as in `generation_worker`. Tokens are pixels of a picture here, with patches of one.
"""

from generation_task import dit_weights
from worker import on_one_core, serve


class Engine:
    """A model and what is done with it.

    Args:
        step: One step.
        check: What all engines have to agree on.
        versions: Versions of packages.
    """

    def __init__(self, step, check, versions):
        self.step, self.check, self.versions = step, check, versions


def build(task, arrays):
    """Makes the model."""
    on_one_core()
    import diffusers  # pyright: ignore
    import torch  # pyright: ignore
    from diffusers.models.transformers.dit_transformer_2d import (  # pyright: ignore
        DiTTransformer2DModel,
    )

    torch.set_num_threads(1)
    side, channels = task["side"], task["channels"]
    # Without dropout of classes, so `eval` for training too.
    model = DiTTransformer2DModel(
        sample_size=side,
        patch_size=1,
        in_channels=channels,
        out_channels=channels,
        num_layers=task["n_layers"],
        num_attention_heads=task["heads"],
        attention_head_dim=task["width"] // task["heads"],
        num_embeds_ada_norm=task["classes"],
    ).eval()
    weights = {name: torch.from_numpy(array) for name, array in dit_weights(task).items()}
    missing = model.load_state_dict(weights, strict=False)
    if missing.unexpected_keys or [k for k in missing.missing_keys if k != "pos_embed.pos_embed"]:
        raise ValueError(f"weights do not fit: {missing}")
    for block in model.transformer_blocks[1:]:
        block.norm1.emb = model.transformer_blocks[0].norm1.emb

    def picture(tokens):
        found = torch.from_numpy(tokens).reshape(len(tokens), side, side, channels)
        return found.permute(0, 3, 1, 2).contiguous()

    def tokens(found):
        return found.permute(0, 2, 3, 1).reshape(len(found), side * side, channels).numpy()

    start, labels = picture(arrays["x"]), torch.from_numpy(arrays["labels"]).long()
    versions = {"diffusers": diffusers.__version__, "torch": torch.__version__}
    if task["kind"] == "sample":
        n = task["n_times"]

        def sampled():
            x = start
            with torch.no_grad():
                for i in range(n):
                    times = torch.full((len(x),), 1000 * i / n)
                    x = x + model(x, timestep=times, class_labels=labels).sample / n
            return x

        return Engine(sampled, lambda: {"end": tokens(sampled())}, versions)
    times, wanted = torch.from_numpy(1000 * arrays["t"]), picture(arrays["wanted"])
    optimiser = torch.optim.Adam(model.parameters(), lr=task["rate"])
    first = {}

    def train():
        optimiser.zero_grad()
        said = model(start, timestep=times, class_labels=labels).sample
        loss = ((said - wanted) ** 2).mean()
        loss.backward()
        if not first:
            slope = model.pos_embed.proj.weight.grad[:, :, 0, 0]
            first.update(loss=loss.detach().numpy(), gradient=slope.clone().numpy())
        optimiser.step()
        return loss

    def check():
        train()
        return first | {"later": train().detach().numpy()}

    return Engine(train, check, versions)


if __name__ == "__main__":
    serve(build)
