import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression import token_rules
from nn.compression.pruned_prefill import (
    Stage,
    cache_bytes,
    masked_prefill,
    prefill_macs,
    pruned_prefill,
)
from nn.models import DecoderConfig
from nn.models.vision_language import VisionLanguageConfig, make_vision_language
from nn.models.vit import VitConfig

CONFIG = VisionLanguageConfig(
    VitConfig(8, 2, 1, 1, 8, 1, 2, 8),
    DecoderConfig(9, 8, 3, heads=2, kv_heads=1, head_dim=4, hidden=8, query_key_norm=True),
)
rng = np.random.default_rng(2)
IMAGE, TEXT = jnp.asarray(rng.random((1, 8, 8, 1))), jnp.asarray([[3, 1, 4]])
ANSWER = jnp.asarray([[5, 2]])


@pytest.fixture(scope="module")
def model():
    made = eqx.filter_jit(make_vision_language)(CONFIG, key=jax.random.key(1), dtype=jnp.float64)
    # Attention that prefers some tokens: keys and queries ten times as large as drawn.
    made = jax.tree.map(lambda a: 3 * a if a.ndim == 3 else a, made)
    return made


@pytest.fixture(scope="module")
def body(model):
    return model.decoder.unrolled().body


def read(model, body, stages=()):
    return compiled_prefill(body, vectors(model, TEXT), n_image=16, n_new=2, stages=tuple(stages))


# Compiled as wholes: one by one their operations would be some hundred programs.
compiled_prefill, compiled_hiding = map(eqx.filter_jit, (pruned_prefill, masked_prefill))
vectors = eqx.filter_jit(lambda model, text: model.vectors(IMAGE, text))
extend = eqx.filter_jit(lambda decoder, tokens, caches: decoder.extend(tokens, caches))


def test_without_stages_it_is_the_model(model, body):
    found = model.decoder.logits(read(model, body).hidden)
    np.testing.assert_allclose(found, eqx.filter_jit(model)(IMAGE, TEXT), rtol=0, atol=1e-12)


@pytest.mark.parametrize("keep", [16, 5, 1])
def test_removing_is_hiding(model, body, keep):
    # Two stages; that all 16 are kept is the identity.
    stages = [Stage(1, keep, token_rules.fastv), Stage(2, (keep + 1) // 2, token_rules.similar)]
    read_ = read(model, body, stages)
    kept = [(stage.layer, places) for stage, places in zip(stages, read_.kept, strict=True)]
    hidden = compiled_hiding(body, vectors(model, TEXT), n_image=16, kept=kept)
    np.testing.assert_allclose(read_.hidden, hidden, rtol=0, atol=1e-12)
    if keep == 16:
        whole = read(model, body, stages[:1]).hidden
        np.testing.assert_allclose(whole, read(model, body).hidden, rtol=0, atol=1e-12)


def test_what_is_decoded_after_it_is_the_whole_text_with_the_same_tokens_kept(model, body):
    stages = [Stage(1, 6, token_rules.fastv), Stage(2, 2, token_rules.fastv)]
    read_ = read(model, body, stages)
    decoder, caches, found = model.decoder.unrolled(), read_.caches, []
    for i in range(2):  # token by token
        logits, caches = extend(decoder, ANSWER[:, i : i + 1], caches)
        found.append(logits)
    kept = [(stage.layer, places) for stage, places in zip(stages, read_.kept, strict=True)]
    x = vectors(model, jnp.concatenate([TEXT, ANSWER], 1))
    wanted = model.decoder.logits(compiled_hiding(body, x, n_image=16, kept=kept))[:, -2:]
    np.testing.assert_allclose(jnp.concatenate(found, 1), wanted, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="room for 1 further tokens, but hold 21 of 21"):
        decoder.extend(ANSWER[:, :1], caches)


def test_layers_hold_what_they_saw_at_its_own_place(model, body):
    read_ = read(model, body, [Stage(1, 6, token_rules.fastv), Stage(2, 2, token_rules.fastv)])
    assert [int((c.positions >= 0).sum()) for c in read_.caches] == [19, 9, 5]
    for cache, kept in zip(read_.caches[1:], read_.kept, strict=True):
        np.testing.assert_array_equal(cache.positions[: len(kept)], kept)
        np.testing.assert_array_equal(cache.positions[len(kept) : len(kept) + 3], [16, 17, 18])
    # Keys and values of one head of 4 numbers of 8 bytes; no layer holds a token twice.
    assert cache_bytes(read_.caches) == (19 + 9 + 5) * 2 * 4 * 8


def test_the_rule_sees_what_the_last_token_looked_at_in_the_layer_before(model, body):
    @eqx.filter_jit
    def run(body, x):
        seen = []

        def spy(found, keep):
            seen.append(found)
            return token_rules.fastv(found, keep)

        read_ = pruned_prefill(body, x, n_image=16, n_new=0, stages=[Stage(2, 4, spy)])
        return seen[0], read_.kept[0], body.blocks[0](x)[0], body.blocks[1](body.blocks[0](x)[0])[0]

    seen, kept, x, after = run(body, vectors(model, TEXT))
    # By hand: softmax of the last query with all keys of layer 1, two heads that share keys.
    mixer = body.blocks[1].mixer
    q, k, _, _ = mixer.project(body.blocks[1].mixer_norm(x), jnp.arange(19))
    scores = np.einsum("hd,kd->hk", q[0, -1], k[0, :, 0]) / 2
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(seen.attention, weights.mean(0)[:16], rtol=1e-10)
    np.testing.assert_array_equal(kept, np.sort(np.argsort(-weights.mean(0)[:16])[:4]))
    np.testing.assert_allclose(seen.hidden, after[0, :16], rtol=0, atol=1e-12)
    np.testing.assert_allclose(seen.asking, after[0, -1], rtol=0, atol=1e-12)


def test_texts_side_by_side_are_pruned_each_for_itself(model, body):
    x = jnp.concatenate([vectors(model, TEXT), model.vectors(IMAGE[:, ::-1], TEXT[:, ::-1])])
    stages = (Stage(1, 3, token_rules.fastv),)
    one_text = lambda x: pruned_prefill(body, x[None], n_image=16, n_new=2, stages=stages)  # noqa: E731
    both = jax.jit(jax.vmap(one_text))(x)
    for i in range(2):
        one = compiled_prefill(body, x[i : i + 1], n_image=16, n_new=2, stages=stages)
        np.testing.assert_array_equal(both.kept[0][i], one.kept[0])
        np.testing.assert_allclose(both.hidden[i], one.hidden, rtol=0, atol=1e-12)


def test_the_formula_gives_the_published_shares():
    # LLaVA-13B: 40 layers, d 5120, m 13824, 576 tokens of the picture, half of them dropped after layer 2.
    def cut(text):
        layers = [576 + text] * 2 + [288 + text] * 38
        count = lambda n: prefill_macs(n, width=5120, hidden=13824)  # noqa: E731
        return 1 - count(layers) / count([576 + text] * 40)

    assert cut(64) == pytest.approx(0.434, abs=5e-4)
    assert cut(0) == pytest.approx(0.481, abs=5e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": [Stage(0, 4, token_rules.fastv)]}, "`layer` must lie between 1 and 2, but is 0"),
        ({"stages": [Stage(3, 4, token_rules.fastv)]}, "`layer` must lie between 1 and 2, but is 3"),
        ({"stages": [Stage(1, 0, token_rules.fastv)]}, "`keep` must lie between 1 and 16, but is 0"),
        ({"stages": [Stage(1, 4, token_rules.fastv), Stage(2, 5, token_rules.fastv)]},
         "`keep` must lie between 1 and 4, but is 5"),
        ({"n_image": 19}, "`n_image` must lie between 1 and 18, but is 19"),
        ({"first_image": 3}, "`n_image` must lie between 1 and 15, but is 16"),
        ({"n_new": -1}, "`n_new` must be at least 0, but is -1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(model, body, change, message):
    options = {"n_image": 16, "n_new": 0} | change
    with pytest.raises(ValueError, match=message):
        pruned_prefill(body, vectors(model, TEXT), **options)


def test_scanned_blocks_and_several_texts_are_refused(model, body):
    x = vectors(model, TEXT)
    with pytest.raises(ValueError, match="`body` must have its blocks one by one"):
        pruned_prefill(model.decoder.body, x, n_image=16, n_new=0)
    with pytest.raises(ValueError, match="`x` must be one text"):
        pruned_prefill(body, jnp.concatenate([x, x]), n_image=16, n_new=0)


def test_an_image_may_stand_behind_a_system_prompt(model, body):
    x = vectors(model, TEXT)
    before = jnp.asarray(rng.random((1, 2, 8)))
    x = jnp.concatenate([before, x], 1)
    stages = (Stage(1, 5, token_rules.fastv),)
    found = compiled_prefill(body, x, n_image=16, n_new=0, stages=stages, first_image=2)
    hidden = compiled_hiding(body, x, n_image=16, kept=[(1, found.kept[0])], first_image=2)
    np.testing.assert_allclose(found.hidden, hidden, rtol=0, atol=1e-12)
    assert found.caches[1].n_dropped == 11
