"""One small network of meshes, and benches for it, that the tests of learning on meshes share."""

import dataclasses

import jax
import jax.numpy as jnp

from optics.hardware.chip import make_core_twin
from optics.hardware.mesh_bench import MeshBench, make_mesh_twin
from optics.hardware.mesh_imperfections import MeshImperfections
from optics.learning.truth import true_gradient
from optics.meshes.mesh import make_mesh
from optics.meshes.symmetric import make_symmetric_core
from optics.networks.activations import electro_optic
from optics.networks.mesh_network import make_mesh_network

N_PORTS = 9  # three by three for the error predictor
KEY = jax.random.key(5)


def network(n_layers=3, key=1, *, symmetric=False, activation=electro_optic):
    """Network in double precision; a gain of 4 makes the loss less flat."""
    make = make_symmetric_core if symmetric else make_mesh
    keys = jax.random.split(jax.random.key(key), n_layers)
    cores = [make(N_PORTS, key=k, dtype=jnp.complex128) for k in keys]
    return make_mesh_network(cores, 4, activation=activation, gain=4.0)


def inputs(batch=6, key=2):
    """Random fields as bright as encoded images, and labels."""
    draws = 3 * jax.random.normal(jax.random.key(key), (2, batch, N_PORTS))
    return jax.lax.complex(draws[0], draws[1]), jnp.arange(batch) % 4


def mesh_bench(net, **sizes):
    """Bench and the hidden twin behind it; errors of all chips are drawn, so that they share compiled code."""
    twin = make_mesh_twin(net.core, _drawn(sizes), key=KEY)
    return MeshBench(net.core, twin), twin


def core_bench(net, construction, *, tap_noise=0.0, **sizes):
    """The same for a symmetric core, folded or mirrored."""
    twin = make_core_twin(net.core.mesh, _drawn(sizes), construction=construction, key=KEY)
    return MeshBench(net.core, twin, tap_noise=tap_noise), twin


def _drawn(sizes: dict) -> MeshImperfections:
    # Errors are arrays of the chip only where they are not zero.
    return dataclasses.replace(MeshImperfections(splitter_error=1e-30), **sizes)


@jax.jit
def true_loss(twin, net, field, labels):
    """Loss of the weights on the very hardware and its derivative, which no learner can ask for."""

    found = true_gradient(net, lambda x, phase, _: twin.realise(phase, None, 0)(x), field, labels)
    return found.loss, found.gradient


@jax.jit
def estimate(rule, net, bench, field, labels):
    """What a rule estimates on a bench."""
    return rule.gradient(net, bench, field, labels, key=jax.random.key(0))
