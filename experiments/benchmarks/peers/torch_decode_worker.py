"""Decoding by transformers as an engine of `bench_language_kernels`: its Qwen3, with torch's fused attention.

The variant names the cache of `generate`: "dynamic", its default, or "static".
"""

from decode_task import decoder_weights
from worker import on_one_core, serve


class Decoding:
    """A prompt that is gone on with.

    Args:
        model: Qwen3ForCausalLM.
        prompt: Tokens, (1, n).
        how: Arguments of `generate`.
        versions: Versions of packages.
    """

    def __init__(self, model, prompt, how, versions):
        import torch  # pyright: ignore

        self._no_grad, self._model, self._prompt, self._how = (
            torch.no_grad,
            model,
            prompt,
            how,
        )
        self.versions = versions

    def step(self):
        """All new tokens."""
        with self._no_grad():
            return self._model.generate(self._prompt, **self._how)[:, self._prompt.shape[1] :]

    def check(self):
        """New tokens, and the logits of the prompt."""
        with self._no_grad():
            logits = self._model(self._prompt).logits[0]
        return {"tokens": self.step().numpy(), "logits": logits.numpy()}


def build(task, arrays):
    """Makes the model."""
    on_one_core()
    import torch  # pyright: ignore
    import transformers  # pyright: ignore

    torch.set_num_threads(1)
    config = transformers.Qwen3Config(
        vocab_size=task["vocabulary"],
        hidden_size=task["width"],
        num_hidden_layers=task["n_layers"],
        num_attention_heads=task["heads"],
        num_key_value_heads=task["kv_heads"],
        head_dim=task["head_dim"],
        intermediate_size=task["hidden"],
        tie_word_embeddings=False,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        eos_token_id=None,
        pad_token_id=0,
        bos_token_id=None,
    )
    model = transformers.Qwen3ForCausalLM(config).eval()
    weights = {name: torch.from_numpy(a) for name, a in decoder_weights(task).items()}
    model.load_state_dict(weights)
    how = {"max_new_tokens": task["n_new"], "min_new_tokens": task["n_new"], "do_sample": False}
    if task["variant"] == "static":
        how["cache_implementation"] = "static"
    prompt = torch.from_numpy(arrays["prompt"]).long()
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    return Decoding(model, prompt, how, versions)


if __name__ == "__main__":
    serve(build)
