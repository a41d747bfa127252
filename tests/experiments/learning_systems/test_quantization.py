import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems import quantization
from nn.models.encoder import EncoderConfig, make_encoder

TINY = quantization.Config(
    n_rows=8, exponents=(0.0, 2.0), n_seeds=2, n_inputs=64, n_outputs=8, n_texts=0
)


@pytest.fixture(scope="module")
def outcome():
    return quantization.run(TINY)


def test_integers_pass_nvfp4_on_normal_numbers_by_their_scale_rule_and_not_on_outliers(outcome):
    value = lambda law, name: outcome.metrics[f"snr.{law}.{name}"].value  # noqa: E731
    assert value("normal", "int4_32_zero_point") > value("normal", "nvfp4") + 0.5
    assert value("student3", "nvfp4") > value("student3", "int4_32_zero_point") + 0.3
    assert value("normal", "nvfp4") == pytest.approx(20.4, abs=0.3)


def test_what_gptq_saves_grows_with_the_fall_of_the_spectrum(outcome):
    assert outcome.metrics["gptq_gain.exponent0"].value == pytest.approx(1, abs=0.1)
    assert outcome.metrics["gptq_gain.exponent2"].value > 4


def test_without_the_encoder_two_panels_are_drawn(outcome):
    assert len(outcome.figure().axes) == 2


def test_maps_are_given_what_the_encoder_gives_them():
    config = EncoderConfig(11, 8, 2, 2, 12, max_length=6)
    model = make_encoder(config, key=jax.random.key(0))
    tokens = jnp.arange(10).reshape(2, 5)
    counts = jnp.ones(tokens.shape, bool)
    found = quantization._inputs(model, tokens, counts)
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
