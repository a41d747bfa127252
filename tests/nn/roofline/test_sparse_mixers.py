import pytest

from nn.kernels import BranchSizes
from nn.models import DecoderConfig
from nn.roofline import describe
from nn.roofline.conventions import Conventions
from nn.roofline.mixers import AttentionCost, IndexCost
from nn.roofline.sparse_mixers import (
    BlockMixtureCost,
    IndexedCost,
    NativeSparseCost,
    native_keys_read,
)

ATTENTION = AttentionCost(16, 4, 2, 8)
CASES = {
    "window": AttentionCost(16, 4, 2, 8, window=6),
    "native": NativeSparseCost(16, 4, 2, 8, BranchSizes(4, 2, 4, 4, window=6)),
    "blocks": BlockMixtureCost(ATTENTION, 4, 3),
    "index": IndexedCost(ATTENTION, IndexCost(16, 16, 2, 4, 5)),
}


def test_native_sparse_attention_reads_as_its_paper_says():
    # J. Yuan et al., arXiv 2502.11089, table 4: 2,048, 2,560, 3,584, 5,632 with n / stride; ours follow its formula.
    for n, paper, ratio in (
        (8192, 2046, 4.00),
        (16_384, 2558, 6.41),
        (32_768, 3582, 9.15),
        (65_536, 5630, 11.64),
    ):
        read = native_keys_read(BranchSizes(), n, Conventions(compressed="floor"))
        assert read == paper
        assert n / read == pytest.approx(ratio, abs=0.00501)
        assert native_keys_read(BranchSizes(), n, Conventions()) == read + 1
    assert native_keys_read(BranchSizes(), 100, Conventions()) == 100


def test_a_mixture_of_blocks_leaves_out_as_much_as_its_paper_says():
    # E. Lu et al., arXiv 2502.13189: 3 blocks of 512, the query's own among them.
    mixture = BlockMixtureCost(AttentionCost(4096, 32, 8, 128), 512, 3)
    for n, sparsity in ((8192, 0.8125), (32_768, 0.953125)):
        assert 1 - mixture.keys_seen(n) / n == sparsity
    assert [BlockMixtureCost(ATTENTION, 4, 2).keys_seen(n) for n in (0, 1, 4, 5, 9)] == [
        0,
        1,
        4,
        5,
        5,
    ]


@pytest.mark.parametrize("name", CASES)
def test_a_prompt_costs_what_its_tokens_cost_one_by_one(name):
    mixer, conventions = CASES[name], Conventions()
    whole = mixer.products(5, 9, conventions)
    single = [mixer.products(before, 1, conventions) for before in range(5, 14)]
    assert whole == {part: sum(one[part] for one in single) for part in whole}


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_what_is_kept_afterwards(name):
    mixer = CASES[name]
    if name == "window":  # a full ring keeps as much as before
        assert [v.count for v in mixer.written(9, 4)] == [2 * 2 * 4]
        return
    for before, new in ((8, 4), (7, 3), (0, 5)):
        grown = {v.format: v.count * v.size for v in mixer.kept(before + new)}
        for v in mixer.kept(before):
            grown[v.format] -= v.count * v.size
        written = {v.format: v.count * v.size for v in mixer.written(before, new)}
        # The sum of a block that was begun is written again.
        begun = {"state": 2 * 8} if name == "blocks" and before % 4 else {}
        assert written == {kind: size + begun.get(kind, 0) for kind, size in grown.items()}


def test_a_sparse_form_takes_the_place_of_attention_in_a_whole_model():
    sizes = {"vocabulary": 61, "width": 16, "n_layers": 3, "heads": 4, "kv_heads": 2, "head_dim": 8}
    dense = describe(DecoderConfig(**sizes, hidden=24))
    sparse = dense.with_mixers(lambda mixer: BlockMixtureCost(mixer, 4, 3))
    assert sparse.n_weights() == dense.n_weights()
    # Of 18 keys 3 blocks are read, and the sums of 4 whole ones; of each both heads' 8 numbers.
    for model, keys, sums in ((dense, 18, 0), (sparse, 10, 4)):
        read = [v for layer in model.layers for v in layer.count * layer.mixer.read(18, 1)]
        assert sum(v.count * v.size for v in read) == 3 * (2 * keys + sums) * 2 * 8


def test_a_token_that_begins_a_block_reads_the_other_chosen_ones_alone():
    mixer = BlockMixtureCost(ATTENTION, 4, 3)
    for before, keys in ((0, 0), (3, 3), (4, 4), (8, 8), (12, 8), (13, 9), (15, 11), (16, 8)):
        # Itself is among the keys that it sees, and not among those that are read.
        assert mixer.keys_seen(before + 1) - 1 == keys
        cache, sums = mixer.read(before, 1)
        assert cache.count * cache.size == sum(v.count * v.size for v in ATTENTION.kept(keys))
        assert sums.count == before // 4 * ATTENTION.kv_heads


def test_a_choice_reads_no_more_than_there_is_and_less_for_long_texts():
    for name, mixer in CASES.items():
        read = lambda n, mixer=mixer: sum(v.count * v.size for v in mixer.read(n, 1))  # noqa: E731
        dense = lambda n: sum(v.count * v.size for v in ATTENTION.read(n, 1))  # noqa: E731
        assert read(10_000) < 0.6 * dense(10_000), name
        assert read(0) == 0
    assert sum(v.count for v in CASES["window"].read(100, 1)) == 2 * 2 * 5  # itself is the sixth
