import dataclasses

import numpy as np
import pytest
from scipy import special

from experiments.harness.settings import precision
from experiments.learning_systems import nesterov_ode

TINY = nesterov_ode.Config(
    starts=((8.0, 5.0),), r_values=(1.0, 2.0, 3.0), end_time=200.0, plateau_time=120.0, n_steps=2000
)


@pytest.fixture(scope="module")
def outcome():
    with precision("double"):
        return nesterov_ode.run(TINY)


def test_no_energy_rises_on_the_ball_or_in_the_steps(outcome):
    assert outcome.metrics["energy_increase.ball"].value < 1e-12
    assert outcome.metrics["energy_increase.steps"].value < 1e-12
    energy = outcome.arrays["polygon0.energy"]
    assert energy.shape == (5, 600)
    assert np.all(energy[:, -1] < 0.1)
    assert nesterov_ode._rise(np.array([[1.0, 0.5, 0.75], [1.0, 0.9, 0.8]])) == 0.25


def test_the_ball_enters_the_plateau_when_the_closed_forms_say(outcome):
    metrics = outcome.metrics
    # A cubic over intervals of 0.25: (0.25 / 2)^4 / 384 of a fourth derivative of about 1.
    assert metrics["last_outside.r2"].value == pytest.approx(np.pi, abs=1e-4)
    assert metrics["last_outside.r3"].value == pytest.approx(special.jn_zeros(1, 1)[0], abs=1e-4)
    assert metrics["rest.r3"].value == pytest.approx(1 - 2 * abs(special.j0(3.8317060)), abs=1e-5)
    assert [metrics[f"crossings.r{r}"].value for r in (2, 3)] == [1, 0]
    assert metrics["crossings.r1"].value > 3


def test_roots_lie_on_the_cubic_through_positions_and_velocities():
    times = np.linspace(0, 7, 15)
    found = nesterov_ode.roots(times, np.cos(times), -np.sin(times))
    np.testing.assert_allclose(found, np.pi * np.array([0.5, 1.5]), atol=1e-3)


def test_the_figure_shows_every_friction(outcome):
    panels = outcome.figure().axes
    assert len(panels) == 4
    assert len(panels[0].get_lines()) == 3 + 2


def test_frictions_must_rise_from_above_zero():
    with pytest.raises(ValueError, match="`r_values` must be rising numbers"):
        dataclasses.replace(TINY, r_values=(0.0, 1.0))
