import pytest

from experiments.learning_systems import quantization

TINY = quantization.Config(
    n_rows=8, exponents=(0.0, 2.0), repeats=2, n_inputs=64, n_outputs=8, n_texts=0
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
