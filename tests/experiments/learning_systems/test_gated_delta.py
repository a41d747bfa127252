import dataclasses

import numpy as np
import pytest

from experiments.learning_systems import gated_delta

TINY = gated_delta.Config(
    chunks=(16, 32), cosines=(0.0, 1.0), n_exact=96, exact_dim=16, n_timed=128, timed_dim=16, heads=1, repeats=1
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return gated_delta.run(TINY)


def digits(outcome, form, case):
    return outcome.metrics[f"digits.{form}.{case}"].value


def test_solving_is_exact_and_powers_fail_where_keys_are_equal(outcome):
    for case in ("cosine0", "cosine1", "reset"):
        # Single precision has 7.2 digits; sums of some ten terms.
        assert digits(outcome, "token", case) > 6
        assert digits(outcome, "solve16", case) > 6
        assert digits(outcome, "solve32", case) > 6
    assert digits(outcome, "powers32", "cosine0") > 6
    assert digits(outcome, "powers16", "cosine1") < 4.5
    assert digits(outcome, "powers32", "cosine1") < 0


def test_differences_of_sums_lose_small_decays_after_a_reset(outcome):
    assert digits(outcome, "differences", "cosine1") > 6
    # 1e4 in single precision is known to 1e-3.
    assert 2 < digits(outcome, "differences", "reset") < 4.5


def test_chunks_keep_fewer_states_for_the_gradient(outcome):
    memory = {
        name: outcome.metrics[f"memory.{name}"].value for name in ("token", "chunk16", "chunk32")
    }
    assert memory["chunk16"] < memory["token"] / 2
    assert memory["chunk32"] < memory["token"] / 2


def test_the_shortcut_is_right_on_paper():
    rng = np.random.default_rng(0)
    system, wanted = np.tril(rng.normal(size=(8, 8)), -1), rng.normal(size=(8, 3))
    exact = np.linalg.solve(np.eye(8) + system, wanted)
    np.testing.assert_allclose(gated_delta.by_powers(system, wanted), exact, atol=1e-11)


def test_the_figure_shows_each_form_and_chunk(outcome):
    exact, speed, memory = outcome.figure().axes
    assert len(exact.get_lines()) == 1 + 2 * 2
    np.testing.assert_array_equal(speed.get_lines()[1].get_xdata(), [16, 32])
    shown = memory.get_lines()[0].get_ydata()
    np.testing.assert_allclose(shown, [outcome.metrics[f"memory.chunk{c}"].value for c in (16, 32)])


def test_cosines_end_at_one():
    with pytest.raises(ValueError, match=r"`cosines` must be at most 1, but the last is 1\.5"):
        dataclasses.replace(TINY, cosines=(0.0, 1.5))
