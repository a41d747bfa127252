"""The law: what is predicted is what the models hold and multiply, number by number, at published sizes too."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from nn.kernels import BranchSizes, gated_delta_rule, gated_delta_rule_chunked
from nn.layers.attention import make_attention
from nn.layers.block_mixture_attention import BlockMixtureAttention
from nn.layers.indexed_attention import make_indexed_attention
from nn.layers.mixture import MixtureConfig
from nn.layers.native_sparse_attention import make_native_sparse_attention
from nn.models.decoder import DecoderConfig, make_decoder
from nn.models.hybrid import HybridConfig, make_hybrid
from nn.models.latent_decoder import LatentConfig, make_latent_decoder
from nn.roofline import Chip, Conventions, count_bytes, count_products, describe, step
from nn.roofline.chip import NumberFormat
from nn.roofline.mixers import AttentionCost, DeltaCost, IndexCost
from nn.roofline.models import add_bytes
from nn.roofline.published import DEEPSEEK_V32, QWEN3_14B, QWEN3_30B_A3B, QWEN3_NEXT_80B_A3B
from nn.roofline.sparse_mixers import BlockMixtureCost, IndexedCost, NativeSparseCost
from tests.exact.language_model_laws import drawn

KEY = jax.eval_shape(lambda: jax.random.key(0))
# Weights, caches and index in 16 bits, states in 32, as the layers keep them for bfloat16.
HALF = Chip("half", 1e11, {"bf16": 1e14}, index=NumberFormat(16))
AS_COMPUTED = Conventions(pairs="square", logits="all", tables="both")
MIXTURE = MixtureConfig(6, 2, 5, shared_hidden=3, shared_gated=True, selection_bias=True)
MODELS = {
    "dense": (
        DecoderConfig(11, 8, 3, 4, 2, 6, 7, query_key_norm=True, tied=True), make_decoder
    ),
    "window": (DecoderConfig(11, 8, 3, 4, 2, 6, 7, window=9), make_decoder),
    "experts": (DecoderConfig(11, 8, 3, 4, 2, 6, 0, mixture=MIXTURE), make_decoder),
    "hybrid": (HybridConfig(11, 8, 6, 4, 2, 4, 2, 6, 3, 5, 7, MIXTURE, period=3, convolution=3), make_hybrid),
    "latent": (
        LatentConfig(11, 8, 3, 1, 2, 6, 5, 4, 2, 3, 10, MIXTURE, index_heads=0), make_latent_decoder
    ),
    "indexed": (
        LatentConfig(11, 8, 3, 1, 2, 6, 5, 4, 2, 3, 10, MIXTURE, index_heads=3, index_dim=4, n_kept=7),
        make_latent_decoder,
    ),
    "Qwen3-14B": (QWEN3_14B, make_decoder),
    "Qwen3-30B-A3B": (QWEN3_30B_A3B, make_decoder),
    "Qwen3-Next": (QWEN3_NEXT_80B_A3B, make_hybrid),
    "DeepSeek-V3.2": (DEEPSEEK_V32, make_latent_decoder),
}  # fmt: skip


def shapes(name):
    """The model and its description; shapes alone, so that 671 billion weights take no memory."""
    config, make = MODELS[name]
    model = eqx.filter_eval_shape(lambda key: make(config, key=key, dtype=jnp.bfloat16), KEY)
    return model, describe(config)


def caches_of(model, n_tokens, batch=2):
    return eqx.filter_eval_shape(lambda m: m.init_caches(batch, n_tokens), model)


def entries_of(caches):
    """Without the positions and counts by which the layers find what they keep."""
    return [leaf for leaf in jax.tree.leaves(caches) if leaf.dtype != jnp.int32]


def tokens_of(n, batch=2):
    return jax.ShapeDtypeStruct((batch, n), jnp.int32)


def extend(model, tokens, caches):
    return model.extend(tokens, caches)


@pytest.mark.parametrize("name", MODELS)
def test_bytes_are_those_of_the_arrays(name):
    model, cost = shapes(name)
    assert HALF.weights.bytes(cost.n_weights()) == count_bytes(model)
    for n_tokens in (1, 64):
        kept = cost.kept_bytes(HALF, n_tokens, batch=2)
        assert sum(kept.values()) == count_bytes(entries_of(caches_of(model, n_tokens)))


def test_a_real_model_holds_what_its_shapes_say():
    config, make = MODELS["hybrid"]
    model = drawn(lambda: make(config, key=jax.random.key(0)))  # in double precision
    assert count_bytes(model) == 8 * describe(config).n_weights()
    assert count_bytes(model) == sum(leaf.nbytes for leaf in jax.tree.leaves(model))


@pytest.mark.parametrize("name", MODELS)
def test_products_of_a_token_are_those_of_the_program(name, monkeypatch):
    # By the plain kernel: the one for a single query computes products that it throws away.
    monkeypatch.setattr("nn.layers.attention._SMALL", 0)
    model, cost = shapes(name)
    counted = count_products(extend, model, tokens_of(1), caches_of(model, 64))
    # 64 slots, which the kernels read whether filled or not; a ring has its window.
    found = step(cost, HALF, batch=2, before=63, conventions=AS_COMPUTED)
    assert found.matrix_products == counted


@pytest.mark.parametrize("name", ["dense", "latent", "indexed"])
def test_products_of_a_chunk_are_those_of_the_program(name):
    # Without experts: several tokens go through all of them in the layer's reference, see below.
    config, make = MODELS[name]
    changes = {} if name == "dense" else {"n_dense": config.n_layers}
    config = type(config)(**{**vars(config), **changes})
    model = eqx.filter_eval_shape(lambda key: make(config, key=key, dtype=jnp.bfloat16), KEY)
    counted = count_products(extend, model, tokens_of(5), caches_of(model, 64))
    cost = describe(config)
    found = step(cost, HALF, batch=2, new=5, before=59, conventions=AS_COMPUTED)
    assert found.matrix_products == counted
    if name == "dense":
        return
    # A text from its start, in the expanded form.
    counted = count_products(lambda model, tokens: model(tokens), model, tokens_of(64))
    expanded = Conventions(pairs="square", logits="all", latent_form="expanded")
    assert step(cost, HALF, batch=2, new=64, conventions=expanded).matrix_products == counted


DELTA = DeltaCost(2048, heads=32, key_heads=16, key_dim=128, value_dim=128)


def rule(kernel, n, **options):
    """Products of the delta rule over n tokens of one row, by a kernel."""
    shapes = [(1, n, 16, 128), (1, n, 16, 128), (1, n, 32, 128), (1, n, 32), (1, n, 32)]
    operands = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return count_products(lambda *x: kernel(*x, **options), *operands)


def test_products_of_the_delta_rule_are_those_of_the_program():
    expected = DELTA.products(0, 9, Conventions())
    assert rule(gated_delta_rule, 9) == expected["state"]
    assert expected["state update"] == expected["state"] // 2
    # Ours inverts blocks and sums decays by a product of matrices, which a chip need not.
    chunked = DELTA.products(0, 64, Conventions(delta_chunk=32))["state"]
    assert chunked <= rule(gated_delta_rule_chunked, 64, chunk=32) <= 1.1 * chunked


SIZES = BranchSizes(length=4, stride=2, block_size=4, n_chosen=4, window=6)
ATTENTION = AttentionCost(16, 4, 2, 8)


def attention(key):
    return make_attention(16, heads=4, kv_heads=2, head_dim=8, key=key, dtype=jnp.bfloat16)


LAYERS = {
    "native": (
        NativeSparseCost(16, 4, 2, 8, SIZES),
        lambda key: make_native_sparse_attention(
            16, heads=4, kv_heads=2, head_dim=8, sizes=SIZES, key=key, dtype=jnp.bfloat16
        ),
    ),
    "blocks": (
        BlockMixtureCost(ATTENTION, 4, 3),
        lambda key: BlockMixtureAttention(attention(key), 4, 3),
    ),
    "index": (
        IndexedCost(ATTENTION, IndexCost(16, 16, 2, 4, 5)),
        lambda key: make_indexed_attention(attention(key), k=5, index_heads=2, index_dim=4, key=key),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_sparse_layers_hold_and_multiply_what_is_predicted(name):
    cost, make = LAYERS[name]
    layer = eqx.filter_eval_shape(make, KEY)
    maps = sum(map_.products for map_ in cost.maps())
    assert count_bytes(layer) == 2 * (maps + cost.other_weights())
    cache = eqx.filter_eval_shape(lambda m: m.init_cache(1, 64, jnp.bfloat16), layer)
    kept = add_bytes(HALF, [(1, cost.kept(64))])
    assert count_bytes(entries_of(cache)) == sum(kept.values())
    token = jax.ShapeDtypeStruct((1, 1, 16), jnp.bfloat16)
    counted = count_products(lambda layer, x, cache: layer(x, cache), layer, token, cache)
    assert counted == maps + sum(cost.products(63, 1, Conventions(pairs="square")).values())


def test_products_are_counted_within_scans_and_branches():
    a = jnp.ones((3, 4))
    assert count_products(lambda x: x @ x.T, a) == 3 * 4 * 3

    def repeated(x):
        return jax.lax.scan(lambda c, _: (c @ c, None), x, None, length=5)[0]

    assert count_products(jax.jit(repeated), jnp.eye(2)) == 5 * 8
    branch = lambda x, f: jax.lax.cond(x[0, 0] > 0, lambda: x @ x, f)  # noqa: E731
    assert count_products(lambda x: branch(x, lambda: 2 * x @ x), jnp.eye(2)) == 8
    with pytest.raises(ValueError, match="`function` must have branches of equally many"):
        count_products(lambda x: branch(x, lambda: x), jnp.eye(2))
    with pytest.raises(ValueError, match="`function` must have no products in a loop of unknown"):
        count_products(
            lambda x: jax.lax.while_loop(lambda c: c[0, 0] < 9, lambda c: c @ c, x), jnp.eye(2)
        )
    lower = jax.lax.linalg.triangular_solve
    assert count_products(lambda x: lower(x, jnp.ones((2, 5))), jnp.eye(5)) == 2 * 15
