"""One small bench with a medium in it for the tests of focusing: 16 x 16 px of 8 um, 1 mm, a strong screen mid-way."""

import jax
import jax.numpy as jnp

from optics.hardware.bench import OpticalBench
from optics.hardware.imperfections import Imperfections
from optics.hardware.twin import draw_twin
from optics.media.geometry import Geometry
from optics.media.scattering import phase_screen, place_scatterer

GEOMETRY = Geometry(shape=(16, 16), pixel_pitch=8e-6, wavelength=532e-9, distance=1e-3)
ILLUMINATION = jnp.ones(GEOMETRY.shape, jnp.complex128)


def scattering_twin(offset=0.0, key=3, **imperfections):
    """Twin in double precision with a screen of 3 rad and 20 um, `offset` (m) from mid-way."""
    screen = phase_screen(
        GEOMETRY.shape, 8e-6, 3.0, 2e-5, key=jax.random.key(key), dtype=jnp.float64
    )
    return draw_twin(
        GEOMETRY,
        Imperfections(**imperfections),
        key=jax.random.key(0),
        dtype=jnp.complex128,
        scatterer=place_scatterer(screen[None], GEOMETRY.distance, offset=offset),
    )


class CountingBench(OpticalBench):
    """Bench that notes at run time how many frames its camera takes, and when."""

    def __init__(self, geometry, twin):
        super().__init__(geometry, twin)

    def measure_field(self, *args, **kwargs):
        jax.debug.callback(lambda time: _TAKEN.append((4, int(time))), kwargs["time"])
        return super().measure_field(*args, **kwargs)

    def measure_intensity(self, *args, **kwargs):
        # Tied to the phase, so that a batch of modulator settings counts one by one.
        note = lambda phase, time: _TAKEN.append((1, int(time)))  # noqa: E731
        jax.debug.callback(note, args[1], kwargs["time"])
        return super().measure_intensity(*args, **kwargs)


_TAKEN: list[tuple[int, int]] = []


def counted(call) -> tuple[int, list[int]]:
    """Frames that the camera takes while `call()` runs, and the numbers of its measurements in order."""
    _TAKEN.clear()
    jax.block_until_ready(call())
    jax.effects_barrier()
    return sum(frames for frames, _ in _TAKEN), sorted(time for _, time in _TAKEN)
