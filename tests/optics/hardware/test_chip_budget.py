import dataclasses

import pytest

from optics.hardware import chip_budget
from optics.hardware.chip_budget import ChipAssumptions, ChipSize

SIZE = ChipSize(65, 16, 1, 2, 150e-6, 2e-6, 1.55e-6)
ASSUMED = ChipAssumptions()
OWN = ChipAssumptions(
    rate=2e9, heater_power=5e-3, modulator_energy=3e-12, receiver_energy=4e-12,
    wall_plug_efficiency=0.2, coupling_loss_db=10.0, cell_length=100e-6, port_pitch=10e-6,
    mask_length=50e-6, modulator_area=1e-9, receiver_area=2e-9,
)  # fmt: skip


def test_operations_are_the_products_of_the_matrices():
    # Dense: 65 x 65 and 16 x 65 on the way in, 16 x 16, and the same out.
    assert chip_budget.complex_macs(SIZE) == 2 * (65 * 65 + 16 * 65) + 16 * 16
    assert chip_budget.complex_macs(SIZE, core_only=True) == 256
    assert SIZE.n_phases == 256 + 130


def test_energy_by_hand():
    energy = chip_budget.energy_per_image(SIZE, OWN, 1e5)
    assert energy["heaters"] == pytest.approx(5e-3 * 386 / 2e9)
    assert energy["modulators"] == pytest.approx(65 * 3e-12)
    assert energy["receivers"] == pytest.approx(8e-12)
    # 1e5 photons of 0.8 eV, ten times for 10 dB, five times for the laser.
    assert energy["laser"] == pytest.approx(1e5 * 0.79990 * 1.602177e-19 * 10 * 5, rel=1e-4)


def test_static_heaters_weigh_less_the_faster_the_chip_and_the_rest_does_not():
    slow = chip_budget.energy_per_image(SIZE, dataclasses.replace(ASSUMED, rate=1e8), 1e5)
    fast = chip_budget.energy_per_image(SIZE, ASSUMED, 1e5)
    assert slow["heaters"] == pytest.approx(10 * fast["heaters"])
    assert {k: v for k, v in slow.items() if k != "heaters"} == {
        k: v for k, v in fast.items() if k != "heaters"
    }


def test_area_by_hand():
    area = chip_budget.footprint(SIZE, OWN)
    assert area["core"] == pytest.approx(16 * 100e-6 * 16 * 10e-6)
    assert area["slabs"] == pytest.approx(4 * 65 * 2e-6 * 150e-6)
    assert area["masks"] == pytest.approx(2 * 65 * 10e-6 * 50e-6)
    assert area["modulators"] == pytest.approx(65e-9)
    assert area["receivers"] == pytest.approx(65 * 2e-9)


def test_ratios_follow_from_energy_and_area():
    operations = 8 * chip_budget.complex_macs(SIZE)
    joules = sum(chip_budget.energy_per_image(SIZE, ASSUMED, 1e5).values())
    assert chip_budget.operations_per_joule(SIZE, ASSUMED, 1e5) == pytest.approx(
        operations / joules
    )
    square_metres = sum(chip_budget.footprint(SIZE, ASSUMED).values())
    assert chip_budget.macs_per_second_and_area(SIZE, ASSUMED) == pytest.approx(
        operations / 2 * 1e9 / square_metres
    )


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="`rate` must be positive and finite, but is 0"):
        ChipAssumptions(rate=0.0)
    with pytest.raises(ValueError, match="`photons` must be positive and finite, but is -1"):
        chip_budget.energy_per_image(SIZE, ASSUMED, -1)
