import dataclasses

import pytest

from nn.layers.mixture import MixtureConfig
from nn.models.decoder import DecoderConfig
from nn.roofline import (
    EDGE_CHIP,
    Chip,
    Conventions,
    crossover_batch,
    describe,
    prefill,
    speculative_rate,
    step,
)
from nn.roofline.chip import NumberFormat
from nn.roofline.rates import accepted_tokens
from nn.roofline.steps import largest_chunk

DENSE = describe(DecoderConfig(50, 16, 2, 4, 2, 4, 24), "dense")
EXPERTS = describe(DecoderConfig(50, 16, 2, 4, 2, 4, 0, mixture=MixtureConfig(5, 2, 12)), "experts")
# 16 bits all over; one operation takes as long as one byte.
CHIP = Chip("plain", 1e6, {"all": 1e6})


@pytest.mark.parametrize(
    ("experts", "read"), [("apart", 4), ("all", 5), (3, 3), (2.5, 2.5), ("expected", 5 * (1 - 0.36))]
)  # fmt: skip
def test_experts_are_read_as_the_convention_says(experts, read):
    found = step(EXPERTS, CHIP, batch=2, conventions=Conventions(experts=experts))
    assert found.bytes["experts"] == pytest.approx(2 * 2 * read * 3 * 16 * 12)
    assert found.products["experts"] == 2 * 2 * 2 * 3 * 16 * 12


def test_a_step_is_bound_by_the_slower_of_reading_and_arithmetic():
    found = step(DENSE, CHIP, batch=3, new=2, before=7)
    assert found.tokens == 6
    fast = dataclasses.replace(CHIP, peak={"all": 1e12})
    assert found.seconds(fast) == found.total_bytes / 1e6
    slow = dataclasses.replace(CHIP, peak={"all": 1e3})
    assert found.seconds(slow) == 2 * found.total_products / 1e3
    assert found.tokens_per_second(slow) == pytest.approx(6e3 / (2 * found.total_products))
    assert found.intensity == pytest.approx(2 * found.total_products / found.total_bytes)


def test_bytes_of_a_step_by_hand():
    found = step(DENSE, CHIP, batch=3, before=7).bytes
    layer = 16 * (16 + 8 + 8 + 16) + 3 * 16 * 24 + 2 * 16
    assert found["weights"] == 2 * (2 * layer + 16)
    assert found["tables"] == 2 * 50 * 16
    assert found["cache"] == 2 * 3 * 2 * 2 * 7 * 8
    assert found["written"] == 2 * 3 * 2 * 2 * 8
    silent = step(DENSE, CHIP, conventions=Conventions(writes=False, spills=False, tables="none"))
    assert {"written", "spilled", "head"}.isdisjoint({*silent.bytes, *silent.products})
    assert silent.bytes["tables"] == 0


def test_a_prompt_in_chunks_multiplies_the_same_and_reads_weights_again():
    whole, parts = prefill(DENSE, CHIP, 10), prefill(DENSE, CHIP, 10, chunk=4)
    assert [s.tokens for s in parts] == [4, 4, 2]
    assert sum(s.products["attention"] for s in parts) == whole[0].products["attention"]
    assert sum(s.products["maps"] for s in parts) == whole[0].products["maps"]
    assert sum(s.bytes["weights"] for s in parts) == 3 * whole[0].bytes["weights"]
    assert sum(s.bytes["written"] for s in parts) == whole[0].bytes["written"]
    # Behind 4 and 8 tokens.
    assert sum(s.bytes["cache"] for s in parts) == step(DENSE, CHIP, before=12).bytes["cache"]
    # In which pairs are counted that a mask takes away.
    square = prefill(DENSE, CHIP, 10, conventions=Conventions(pairs="square"))[0]
    assert square.products["attention"] == whole[0].products["attention"] * 100 / 55


def test_what_does_not_fit_on_the_chip_goes_through_memory():
    small = dataclasses.replace(CHIP, on_chip_memory=1000.0)
    # The widest map takes and gives 40 numbers of two bytes.
    assert largest_chunk(DENSE, small) == 12
    assert step(DENSE, small, new=12).bytes["spilled"] == 0
    ends = 2 * (32 + 24 + 24 + 32 + 3 * 40)
    assert step(DENSE, small, new=13).bytes["spilled"] == 13 * 2 * ends
    assert step(DENSE, CHIP, new=500).bytes["spilled"] == 0
    # Of one byte each, 25 fit.
    bytewise = dataclasses.replace(small, activations=NumberFormat(8))
    assert step(DENSE, bytewise, new=26).bytes["spilled"] == 26 * ends
    assert largest_chunk(DENSE, bytewise) == 25
    with pytest.raises(ValueError, match="`on_chip_memory` must be known"):
        largest_chunk(DENSE, CHIP)


def test_drafts_pay_by_the_tokens_that_are_accepted():
    assert accepted_tokens(4, 0.5) == pytest.approx((1 - 0.5**5) / 0.5)
    assert accepted_tokens(4, 1) == 5
    assert accepted_tokens(4, 0) == 1
    reading = dataclasses.replace(CHIP, peak={"all": 1e12})
    rate = lambda n, a, **more: speculative_rate(  # noqa: E731
        DENSE, reading, n_drafted=n, acceptance=a, before=9, **more
    )
    plain = step(DENSE, reading, before=9).tokens_per_second(reading)
    assert rate(0, 0.7) == pytest.approx(plain, rel=1e-12)
    # Bound by reading, a step of five tokens takes hardly longer than one of one.
    assert rate(4, 1) == pytest.approx(5 * plain, rel=0.03)
    assert rate(4, 0) < plain
    # As good as the model itself, a draft costs as much as it gives.
    assert rate(4, 1, draft=DENSE) == pytest.approx(plain, rel=0.03)
    # A mixture reads more experts for more tokens.
    gain = [
        speculative_rate(model, reading, n_drafted=4, acceptance=0.8)
        / step(model, reading).tokens_per_second(reading)
        for model in (DENSE, EXPERTS)
    ]
    assert gain[1] < gain[0]


def test_no_crossover_is_none():
    found = crossover_batch(DENSE, EXPERTS, CHIP)
    assert found is None
    found = crossover_batch(EXPERTS, DENSE, CHIP)
    assert found == 1


def test_conventions_are_printed():
    text = str(Conventions(tables="both", delta_chunk=64))
    for part in ("tables both", "delta chunk 64", "latent form absorbed", "experts expected"):
        assert part in text


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: step(DENSE, CHIP, batch=0), "`batch` must be at least 1, but is 0"),
        (lambda: step(DENSE, CHIP, new=0), "`new` must be at least 1, but is 0"),
        (lambda: step(DENSE, CHIP, before=-1), "`before` must be at least 0, but is -1"),
        (lambda: prefill(DENSE, CHIP, 0), "`n_tokens` must be at least 1, but is 0"),
        (lambda: prefill(DENSE, CHIP, 4, chunk=0), "`chunk` must be at least 1, but is 0"),
        (lambda: accepted_tokens(-1, 0.5), "`n_drafted` must be at least 0, but is -1"),
        (lambda: accepted_tokens(1, 1.5), "`acceptance` must lie between 0 and 1, but is 1.5"),
        (lambda: crossover_batch(DENSE, EXPERTS, CHIP, most=0), "`most` must be at least 1"),
        (lambda: Conventions(experts=-1), "`experts` must lie between 0"),
        (lambda: Conventions(delta_chunk=0), "`delta_chunk` must be at least 1"),
        (lambda: DENSE.kept_bytes(EDGE_CHIP, 1, batch=0), "`batch` must be at least 1"),
        (lambda: DENSE.kept_bytes(EDGE_CHIP, -1), "`n_tokens` must be at least 0"),
        (
            lambda: step(EXPERTS, CHIP, conventions=Conventions(experts=6)),
            "`experts` must lie between 0 and 5, but is 6. So many experts there are",
        ),
    ],
)
def test_what_cannot_be_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
