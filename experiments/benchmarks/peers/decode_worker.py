"""Decoding by this package as an engine of `bench_language_kernels`: a prompt, then token by token the most probable.

Variants: "unrolled" is `nn.generation.generate`, whose layers run one by one; "scanned" the same loop with the layers
in a scan. The whole loop is one program. "products" are the linear maps of all layers alone, one vector through each
for every token: every weight is read once, which no decoder of these weights can do without, so it is the limit.
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


class Products:
    """Vectors through the linear maps of a decoder, one after the other.

    Args:
        maps: Linear maps.
        n_tokens: Vectors through each.
        versions: Versions of packages.
    """

    def __init__(self, maps, n_tokens, versions):
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        @eqx.filter_jit
        def run(maps):
            def token(scale, _):
                # Hangs on the token before, so that nothing can leave the loop, and stays 1 but for rounding.
                ends = [linear(jnp.full((1, linear.n_in), scale))[0, 0] for linear in maps]
                return 1 + 1e-9 * sum(ends), None

            return jax.lax.scan(token, jnp.ones(()), length=n_tokens)[0]

        self._run, self._maps = run, maps
        self._wait = jax.block_until_ready
        self.versions = versions

    def step(self):
        """All tokens."""
        return self._wait(self._run(self._maps))

    def check(self):
        """What is left of the scale, 1."""
        return {"scale": self.step()}


def build(task, arrays):
    """Makes the decoder."""
    on_one_core()
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from nn.generation import generate, make_sampling
    from nn.layers import linear_maps
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
    if task["variant"] == "products":
        return Products([linear for _, linear in linear_maps(model.unrolled())], n_new, versions)
    if task["variant"] == "scanned":
        return Decoding(scanned, model, prompt, versions)
    return Decoding(unrolled, model.unrolled(), prompt, versions)


if __name__ == "__main__":
    serve(build)
