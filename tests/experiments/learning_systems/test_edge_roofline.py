import dataclasses
import json

import pytest

from experiments.learning_systems import edge_roofline

CONFIG = edge_roofline.Config(contexts=(0, 2048, 32_768), batches=(1, 64), drafts=(0, 4))


@pytest.fixture(scope="module")
def outcome():
    return edge_roofline.run(CONFIG)


def test_experts_win_at_batch_one_and_lose_it_in_a_batch(outcome):
    value = lambda name: outcome.metrics[name].value  # noqa: E731
    assert value("rate.experts.context0") > 4 * value("rate.dense.context0")
    assert value("crossover.experts.context0") == 9
    assert value("crossover.experts.context32768") == 0
    # A quarter of the layers keeps keys: long texts cost a hybrid least.
    lost = lambda name: value(f"rate.{name}.context32768") / value(f"rate.{name}.context0")  # noqa: E731
    assert lost("hybrid") > lost("dense") > lost("experts")
    gain = lambda name: outcome.arrays[f"{name}.by_drafts"]  # noqa: E731
    assert gain("dense")[0] == gain("experts")[0] == 1
    assert gain("dense")[1] > 2.5 > gain("experts")[1]


def test_chosen_blocks_leave_short_texts_alone_and_save_nearly_all_of_a_long_one(outcome):
    rate = lambda name, n: outcome.metrics[f"rate.{name}.context{n}"].value  # noqa: E731
    assert rate("dense_by_blocks", 0) == pytest.approx(rate("dense", 0), rel=1e-4)
    # Behind 32,768 tokens, 64 whole blocks, two of 512 keys and values in 16 bits are read, and 64 sums in 32 bits;
    # the token that begins one writes no more than the first of all.
    read = 1e11 / rate("dense_by_blocks", 32_768) - 1e11 / rate("dense_by_blocks", 0)
    assert read == pytest.approx(40 * 8 * 128 * (2 * 2 * 1024 + 4 * 64), rel=1e-6)
    assert rate("dense", 32_768) < 0.65 * rate("dense_by_blocks", 32_768)


def test_the_small_decoder_holds_and_multiplies_what_is_predicted(outcome):
    assert outcome.metrics["law.bytes"].value == outcome.metrics["law.products"].value == 0


def test_the_figure_has_all_models_in_all_panels(outcome):
    panels = outcome.figure().axes
    assert [len(panel.get_lines()) for panel in panels] == [3, 3, 3, 4]


def test_a_chip_of_ones_own_is_read_and_a_file_at_fault_is_named(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine", "bandwidth": 2e11, "peak": {"int8": 1e14}}))
    config = dataclasses.replace(CONFIG, chip=str(path))
    assert config.files
    # Twice the bandwidth, weights of 16 bits.
    rate = edge_roofline.run(config).metrics["rate.dense.context0"].value
    assert rate == pytest.approx(2 * 12.71 * 4.5 / 16, rel=1e-3)
    path.write_text(json.dumps({"name": "mine", "bandwidth": 0, "peak": {"int8": 1e14}}))
    with pytest.raises(ValueError, match="`bandwidth` must be positive"):
        dataclasses.replace(CONFIG, chip=str(path))
    with pytest.raises(ValueError, match="`batches` must be rising numbers from 1"):
        dataclasses.replace(CONFIG, batches=(0, 1))
