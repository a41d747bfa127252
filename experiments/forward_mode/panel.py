"""What the classification experiments share: data on a panel, one bench, training by a rule, accuracy on a system.

Only glue: the physics is in `optics`, the data in `experiments.data.datasets`.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from experiments.data.tasks import Task
from experiments.harness.context import Context
from optics.hardware import Imperfections, OpticalBench, draw_twin, flir_bfs_u3_89s6m
from optics.learning import AbstractLearningRule, FitResult, evaluate, fit
from optics.media import Geometry
from optics.networks import DiffractiveNetwork, encode_images, make_network, make_readout


@dataclass(frozen=True)
class Optics:
    """Panel, training and read-out settings that every method of an experiment shares.

    Attributes:
        pixels: Panel and camera size, pixels a side.
        pixel_pitch: Pixel pitch, m.
        wavelength: Wavelength, m.
        distance: From one plane to the next, m.
        readout_gain: From relative region power to logits (our choice).
        readout_fill: Side of a detector region over the distance of their centres (our choice).
        image_fill: Part of the panel that the enlarged image takes (our choice).
        initial_phase_range: Phases start uniform on [0, range), rad (our choice).
        n_steps: Optimiser steps, the same for every method.
        batch_size: Images a step.
        learning_rate: Adam's first step, rad; falls to a tenth along a cosine.
    """

    pixels: int = 64
    pixel_pitch: float = 8e-6
    wavelength: float = 532e-9
    distance: float = 12e-3
    readout_gain: float = 15.0
    readout_fill: float = 0.5
    image_fill: float = 0.9
    initial_phase_range: float = 1.5
    n_steps: int = 600
    batch_size: int = 32
    learning_rate: float = 0.1

    @property
    def geometry(self) -> Geometry:
        """Nominal geometry of the bench."""
        return Geometry(
            (self.pixels, self.pixels), self.pixel_pitch, self.wavelength, self.distance
        )

    def network(
        self,
        n_layers: int,
        n_classes: int,
        key,
        activation=None,
        *,
        depths: tuple[int, ...] = (),
        class_counts: tuple[int, ...] = (),
    ) -> DiffractiveNetwork:
        """Untrained network.

        Args:
            n_layers: Number of layers.
            n_classes: Number of classes.
            key: PRNG key of the first phases.
            activation: See `make_network`.
            depths: Numbers of layers in the experiment; where they differ, all share one compiled program.
            class_counts: Numbers of classes in it, likewise.
        """
        readout = make_readout(
            self.geometry.shape, n_classes, fill=self.readout_fill, gain=self.readout_gain
        )
        if len(set(class_counts)) > 1:
            readout = readout.padded(max(class_counts))
        network = make_network(
            self.geometry,
            max((n_layers, *depths)),
            readout,
            key=key,
            activation=activation,
            initial_phase_range=self.initial_phase_range,
        )
        return network.first(n_layers) if len(set(depths)) > 1 else network

    @property
    def encode(self):
        """Images -> input fields; the same function object for the same panel, so that nothing recompiles."""
        return _encoder(self.pixels, self.image_fill)


@lru_cache
def _encoder(pixels: int, fill: float):
    return lambda images: encode_images(images, (pixels, pixels), fill=fill)


def draw_bench(
    optics: Optics, hardware: Imperfections, key, *, camera: bool = True
) -> OpticalBench:
    """Draws a bench; with `camera` it measures through the paper's camera, else without noise."""
    twin = draw_twin(optics.geometry, hardware, key=key)
    return OpticalBench(optics.geometry, twin, camera=flir_bfs_u3_89s6m() if camera else None)


def train(
    context: Context,
    label: str,
    optics: Optics,
    network: DiffractiveNetwork,
    rule: AbstractLearningRule,
    task: Task,
    key,
    bench: OpticalBench | None = None,
) -> FitResult:
    """Trains with progress shown."""
    with context.progress(label, optics.n_steps) as ticker:
        return fit(
            network,
            rule,
            task.x_train,
            task.y_train,
            encode=optics.encode,
            key=key,
            bench=bench,
            n_steps=optics.n_steps,
            batch_size=optics.batch_size,
            learning_rate=optics.learning_rate,
            on_progress=lambda n, loss: ticker.advance(n, f"loss {loss:.3f}"),
        )


def accuracy(
    optics: Optics,
    network: DiffractiveNetwork,
    task: Task,
    key,
    bench: OpticalBench | None = None,
    time: int = 0,
) -> float:
    """Share of test images classified correctly, in percent, in the model or on a bench."""
    good = evaluate(
        network,
        task.x_test,
        task.y_test,
        encode=optics.encode,
        bench=bench,
        key=key,
        time=time,
        batch_size=optics.batch_size,
    )
    return 100 * float(np.mean(good))
