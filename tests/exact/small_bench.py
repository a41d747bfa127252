"""One small bench that every test of twin, bench and learning rules shares: 3 layers of 24 x 24 px at 2 mm."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from optics.hardware import Imperfections, draw_twin
from optics.learning import truth
from optics.learning.protocols import GradientEstimate, Weights
from optics.media import Geometry
from optics.networks import IntensityTarget, make_network, make_readout

GEOMETRY = Geometry(shape=(24, 24), pixel_pitch=8e-6, wavelength=532e-9, distance=2e-3)


def twin(key=0, **imperfections):
    """Twin in double precision with the given errors."""
    return draw_twin(
        GEOMETRY, Imperfections(**imperfections), key=jax.random.key(key), dtype=jnp.complex128
    )


def network(n_layers=3, key=1, activation=None, train_amplitude=False, classes=4):
    """Network in double precision; `classes=None` asks for a pattern in place of classes."""
    readout = IntensityTarget() if classes is None else make_readout(GEOMETRY.shape, classes)
    net = make_network(
        GEOMETRY,
        n_layers,
        readout,
        key=jax.random.key(key),
        activation=activation,
        train_amplitude=train_amplitude,
        dtype=jnp.complex128,
    )
    if train_amplitude:
        amplitude = jax.random.uniform(jax.random.key(key + 50), net.phase.shape, minval=0.3)
        net = eqx.tree_at(lambda n: n.amplitude, net, amplitude)
    return net


def inputs(batch=3, key=2):
    """Random complex input fields and labels."""
    return _fields(jax.random.key(key), batch), jnp.asarray(np.arange(batch) % 4)


@partial(jax.jit, static_argnums=1)
def _fields(key, batch):
    draws = jax.random.normal(key, (2, batch, *GEOMETRY.shape))
    return jax.lax.complex(draws[0], draws[1])


@jax.jit
def true_gradient(hardware, net, field, labels) -> Weights:
    """Gradient through the very hardware, by automatic differentiation of the twin nobody else may touch."""
    return truth.true_gradient(net, hardware.run, field, labels).gradient


@eqx.filter_jit
def estimate(rule, net, bench, field, labels, key=None) -> GradientEstimate:
    """What a rule estimates on a bench; compiled whole: called as it is, it compiles its scans at each call."""
    return rule.gradient(net, bench, field, labels, key=jax.random.key(0) if key is None else key)


@eqx.filter_jit
def run(hardware, field, phase, amplitude=None):
    """Field behind the very hardware."""
    return hardware.run(field, phase, amplitude)


def relative_error(a, b) -> float:
    """|a - b| / |b| over all elements."""
    a, b = np.asarray(a), np.asarray(b)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def cosines(a, b) -> np.ndarray:
    """Cosine similarity of each layer."""
    a, b = np.asarray(a), np.asarray(b)
    inner = np.sum(a * b, axis=(-2, -1))
    return inner / np.sqrt(np.sum(a * a, axis=(-2, -1)) * np.sum(b * b, axis=(-2, -1)))
