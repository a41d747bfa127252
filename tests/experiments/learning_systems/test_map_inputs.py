import jax
import jax.numpy as jnp
import numpy as np

from experiments.learning_systems.map_inputs import encoder_inputs
from nn.models.encoder import EncoderConfig, make_encoder


def test_maps_are_given_what_the_encoder_gives_them():
    config = EncoderConfig(11, 8, 2, 2, 12, max_length=6)
    model = make_encoder(config, key=jax.random.key(0))
    tokens = jnp.arange(10).reshape(2, 5)
    counts = jnp.ones(tokens.shape, bool)
    found = encoder_inputs(model, tokens, counts)
    assert [sorted(layer) for layer in found] == [sorted(found[0])] * 2
    assert {name: x.shape for name, x in found[0].items()} == {
        "mixer.query": (10, 8), "mixer.key": (10, 8), "mixer.value": (10, 8), "mixer.output": (10, 8),
        "feed.expand": (10, 8), "feed.contract": (10, 12),
    }  # fmt: skip
    # What leaves the last block follows from what its last map was given.
    block = jax.tree.map(lambda a: a[1], model.blocks)
    x = found[1]["feed.expand"].reshape(2, 5, 8)
    end = block.feed_norm(
        x + block.feed.contract(jnp.asarray(found[1]["feed.contract"])).reshape(2, 5, 8)
    )
    np.testing.assert_allclose(end, model(tokens, counts), atol=1e-6)
