"""Numbers of published models and papers, each by the convention under which it holds."""

import dataclasses

import pytest

from nn.roofline import EDGE_CHIP, Chip, Conventions, crossover_batch, describe, step
from nn.roofline.published import DEEPSEEK_V32, QWEN3_14B, QWEN3_30B_A3B, QWEN3_NEXT_80B_A3B

HALF = Chip("16 bits", 1e11, {"bf16": 1e14})
DENSE, EXPERTS = describe(QWEN3_14B), describe(QWEN3_30B_A3B)
HYBRID, SPARSE = describe(QWEN3_NEXT_80B_A3B), describe(DEEPSEEK_V32)
LATENT = describe(dataclasses.replace(DEEPSEEK_V32, index_heads=0))


def test_weights_are_those_of_the_releases():
    # With both tables; the names of the models say 14B, 30B-A3B, 80B-A3B, 671B-A37B.
    assert DENSE.n_weights() / 1e9 == pytest.approx(14.77, abs=0.005)
    assert EXPERTS.n_weights() / 1e9 == pytest.approx(30.53, abs=0.005)
    assert EXPERTS.n_active() / 1e9 == pytest.approx(3.35, abs=0.005)
    assert HYBRID.n_weights() / 1e9 == pytest.approx(79.7, abs=0.05)
    assert HYBRID.n_active() / 1e9 == pytest.approx(3.87, abs=0.005)
    assert LATENT.n_weights() / 1e9 == pytest.approx(671.0, abs=0.05)
    assert DENSE.n_active() == DENSE.n_weights()
    # Without the head as well: the name of EXPERTS says 3B.
    table = QWEN3_30B_A3B.vocabulary * QWEN3_30B_A3B.width
    assert EXPERTS.n_active("none") == EXPERTS.n_active() - 2 * table


def test_rows_share_the_weights_that_are_stored():
    weights, kept = 2 * DENSE.n_weights(), 163_840 * 100
    assert DENSE.stored_bytes(HALF, 100) == weights + kept
    assert DENSE.stored_bytes(HALF, 100, batch=3) == weights + 3 * kept


def test_what_a_token_leaves():
    kept = lambda model, n: model.kept_bytes(HALF, n)  # noqa: E731
    assert kept(DENSE, 1) == {"cache": 163_840}
    assert kept(EXPERTS, 1) == {"cache": 98_304}
    assert kept(SPARSE, 1) == {"cache": 70_272, "index": 8052}
    # 36 of 48 layers keep a state in 32 bits and three inputs of the convolution in 16, whatever came before.
    assert kept(HYBRID, 1) == {"cache": 24_576, "state": 75_497_472, "window": 1_769_472}
    assert kept(HYBRID, 1000) == {"cache": 24_576_000, "state": 75_497_472, "window": 1_769_472}


@pytest.mark.parametrize(
    ("tables", "at_nine", "crossover"), [("head", 1.001, 9), ("both", 0.969, 10), ("none", 1.036, 9)]
)  # fmt: skip
def test_where_experts_read_more_than_a_dense_model_hangs_on_the_tables(tables, at_nine, crossover):
    conventions = Conventions(tables=tables)
    ratio = lambda batch: (  # noqa: E731
        step(EXPERTS, HALF, batch=batch, conventions=conventions).total_bytes
        / step(DENSE, HALF, batch=batch, conventions=conventions).total_bytes
    )
    assert ratio(9) == pytest.approx(at_nine, abs=5e-4)
    assert crossover_batch(EXPERTS, DENSE, HALF, conventions=conventions) == crossover
    if tables == "head":
        expected = {1: 0.217, 2: 0.339, 4: 0.559, 8: 0.924, 16: 1.42, 32: 1.90}
        for batch, value in expected.items():
            assert ratio(batch) == pytest.approx(value, abs=5e-3 if batch > 9 else 5e-4)


@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        (HALF, {0: 9, 512: 10, 2048: 10, 8192: 13, 32_768: None}),
        (EDGE_CHIP, {0: 9, 2048: 12, 8192: None, 32_768: None}),
    ],
)
def test_keys_that_are_kept_move_that_batch_until_there_is_none(chip, expected):
    most = 64  # all experts are read by then, and the mixture keeps less of a token
    for before, batch in expected.items():
        assert crossover_batch(EXPERTS, DENSE, chip, before=before, most=most) == batch


@pytest.mark.parametrize(
    ("model", "tables", "rates"),
    [
        (DENSE, "head", (12.7, 12.2, 7.6)),
        (EXPERTS, "head", (58.4, 52.3, 20.3)),
        (DENSE, "both", (12.0, 11.6, 7.3)),
        (EXPERTS, "both", (53.0, 47.9, 19.6)),
    ],
)
def test_tokens_per_second_on_the_edge(model, tables, rates):
    conventions = Conventions(tables=tables)
    for before, rate in zip((0, 2048, 32_768), rates, strict=True):
        one = step(model, EDGE_CHIP, before=before, conventions=conventions)
        assert one.tokens_per_second(EDGE_CHIP) == pytest.approx(rate, abs=0.0501)


def mixing(model, new, before, **conventions):
    products = step(
        model, HALF, new=new, before=before, conventions=Conventions(**conventions)
    ).products
    return products["attention"] + products.get("index", 0)


def kept_read(model, n):
    found = step(model, HALF, before=n).bytes
    return found["cache"] + found.get("index", 0)


def test_what_the_index_saves_hangs_on_what_is_compared():
    sizes = (4096, 32_768, 65_536, 131_072)
    ways = {
        # DeepSeek-V3.2: products at the last position, both with absorbed latents.
        (1.79, 8.24, 11.1, 13.4): lambda n: mixing(LATENT, 1, n - 1) / mixing(SPARSE, 1, n - 1),
        # Summed over the whole prompt.
        (1.24, 5.56, 8.31, 11.1): lambda n: mixing(LATENT, n, 0) / mixing(SPARSE, n, 0),
        # And against the form in which a dense prompt is really read: less is saved than it costs.
        (0.36, 1.63, 2.44, 3.3): lambda n: (
            mixing(LATENT, n, 0, latent_form="expanded") / mixing(SPARSE, n, 0)
        ),
        # Bytes read by one token.
        (1.63, 5.65, 6.86, 7.7): lambda n: kept_read(LATENT, n) / kept_read(SPARSE, n),
    }
    for expected, way in ways.items():
        for n, value in zip(sizes, expected, strict=True):
            digits = 0.05 if value > 3.2 and value in (3.3, 7.7, 11.1, 13.4) else 0.00501
            assert way(n) == pytest.approx(value, abs=digits)
