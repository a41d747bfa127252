"""A decoder of dense attention that is given an index in every block (DSA), and what those indices tell.

First `give_index` with k None, and the indices alone are trained (`only_indices`, the loss of `index_reports`); then
`with_k`, and all is trained with few keys (`nn.layers.indexed_attention`). DeepSeek-AI, DeepSeek-V3.2-Exp (2025), whose
stages these are.
"""

import equinox as eqx
import jax
from jaxtyping import Array, Int, PRNGKeyArray

from nn.layers.indexed_attention import IndexedAttention, IndexReport
from nn.layers.indexer import make_indexer
from nn.layers.rotary import Rotary
from nn.models.decoder import Decoder


def give_index(
    model: Decoder, k: int | None, *, heads: int, dim: int, key: PRNGKeyArray
) -> Decoder:
    """The decoder with a new index in each attention, its first half with rotary positions.

    Args:
        model: Decoder of blocks that are run by a scan.
        k: Keys that a query keeps; None for all.
        heads: Heads of the index.
        dim: Size of an index key, even.
        key: PRNG key of the weights of the indices.
    """
    attention = model.body.blocks.mixer
    keys = jax.random.split(key, model.body.n_blocks)
    width = model.embedding.weight.shape[1]
    rotary = Rotary(dim // 2, attention.rotary.base)
    indexer = eqx.filter_vmap(
        lambda key: make_indexer(width, heads=heads, dim=dim, rotary=rotary, key=key)
    )(keys)
    return _with_mixer(model, IndexedAttention(attention, indexer, k))


def with_k(model: Decoder, k: int | None) -> Decoder:
    """The indexed decoder with another number of keys; None for all."""
    mixer = model.body.blocks.mixer
    return _with_mixer(model, IndexedAttention(mixer.attention, mixer.indexer, k))


def only_indices(model: Decoder) -> Decoder:
    """Filter for `equinox.partition`: the weights of the indices, and nothing else."""
    return eqx.tree_at(
        lambda m: m.body.blocks.mixer.indexer,
        jax.tree.map(lambda _: False, model),
        jax.tree.map(lambda _: True, model.body.blocks.mixer.indexer),
    )


def index_reports(model: Decoder, tokens: Int[Array, "batch n"]) -> IndexReport:
    """What the index of each block tells of whole texts, along a first axis."""
    arrays, rest = eqx.partition(model.body.blocks, eqx.is_array)

    def step(x, arrays):
        block = eqx.combine(arrays, rest)
        report = block.mixer.report(block.mixer_norm(x))
        return block(x)[0], report

    return jax.lax.scan(step, model.embedding(tokens), arrays)[1]


def _with_mixer(model: Decoder, mixer: IndexedAttention) -> Decoder:
    return eqx.tree_at(lambda m: m.body.blocks.mixer, model, mixer)
