"""Decoding by this package as an engine of `bench_language_kernels`: a prompt, then token by token the most probable.

Variants: "unrolled" is `nn.generation.generate`, whose layers run one by one; "scanned" the same loop with the layers
in a scan. The whole loop is one program.
"""

from decode_task import decoder_weights
from worker import on_one_core, serve


class Decoding:
    """A prompt that is gone on with.

    Args:
        run: (model, prompt) -> new tokens.
        model: Decoder.
        prompt: Tokens, (1, n).
        versions: Versions of packages.
    """

    def __init__(self, run, model, prompt, versions):
        self._run, self._model, self._prompt = run, model, prompt
        self.versions = versions

    def step(self):
        """All new tokens."""
        return self._run(self._model, self._prompt).block_until_ready()

    def check(self):
        """New tokens, and the logits of the prompt."""
        return {"tokens": self.step(), "logits": self._model(self._prompt)[0]}


def build(task, arrays):
    """Makes the decoder."""
    on_one_core()
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from nn.generation import generate, make_sampling
    from nn.models import DecoderConfig, make_decoder
    from nn.models.decoder import tensor_table
    from nn.weights import assign

    sizes = ("vocabulary", "width", "n_layers", "heads", "kv_heads", "head_dim", "hidden")
    config = DecoderConfig(**{name: task[name] for name in sizes}, query_key_norm=True)
    empty = eqx.filter_eval_shape(lambda key: make_decoder(config, key=key), jax.random.key(0))
    model = assign(empty, decoder_weights(task), tensor_table(config))
    prompt, n_new = jnp.asarray(arrays["prompt"]), task["n_new"]

    def unrolled(model, prompt):
        greedy = make_sampling(0)
        return generate(model, prompt, n_new, key=jax.random.key(0), sampling=greedy).tokens

    @eqx.filter_jit
    def scanned(model, prompt):
        def step(carry, _):
            token, caches = carry
            logits, caches = model.extend(token, caches)
            return (jnp.argmax(logits[:, -1:], axis=-1).astype(token.dtype), caches), token

        caches = model.init_caches(1, prompt.shape[1] + n_new)
        logits, caches = model.extend(prompt, caches)
        first = jnp.argmax(logits[:, -1:], axis=-1).astype(prompt.dtype)
        return jax.lax.scan(step, (first, caches), length=n_new)[1][:, :, 0].T

    versions = {"jax": jax.__version__}
    if task["variant"] == "scanned":
        return Decoding(scanned, model, prompt, versions)
    return Decoding(unrolled, model.unrolled(), prompt, versions)


if __name__ == "__main__":
    serve(build)
