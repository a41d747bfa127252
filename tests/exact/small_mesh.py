"""One small network of meshes, and benches for it, that the tests of learning on meshes share."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from optics.hardware.chip import draw_core_twin
from optics.hardware.mesh_bench import MeshBench, draw_mesh_twin
from optics.hardware.mesh_imperfections import MeshImperfections
from optics.learning.truth import true_gradient
from optics.meshes.mesh import Mesh, cells, make_mesh
from optics.meshes.symmetric import make_symmetric_core
from optics.networks.activations import electro_optic
from optics.networks.mesh_network import make_mesh_network

N_PORTS = 9  # three by three for the error predictor


def plain_mesh(n_ports, seed=0):
    """Rectangular mesh with uniform phases and its packed phases, without compiling: fit for the head of a module."""
    there, rng = cells(n_ports), np.random.default_rng(seed)
    theta, phi, output = (rng.uniform(0, 6, n) for n in (there.shape, there.shape, n_ports))
    phases = np.concatenate([theta[there], phi[there], output])
    return Mesh(*map(jnp.asarray, (theta, phi, output))), jnp.asarray(phases)


def network(n_layers=3, key=1, *, symmetric=False, activation=electro_optic):
    """Network in double precision; a gain of 4 makes the loss less flat."""
    return _network(jax.random.key(key), n_layers, symmetric, activation)


# Drawn by compiled functions: one by one, each operation compiles anew for every shape.
@eqx.filter_jit
def _network(key, n_layers, symmetric, activation):
    make = make_symmetric_core if symmetric else make_mesh
    keys = jax.random.split(key, n_layers)
    cores = [make(N_PORTS, key=k, dtype=jnp.complex128) for k in keys]
    return make_mesh_network(cores, 4, activation=activation, gain=4.0)


def inputs(batch=6, key=2):
    """Random fields as bright as encoded images, and labels."""
    return _fields(jax.random.key(key), batch), jnp.asarray(np.arange(batch) % 4)


@partial(jax.jit, static_argnums=1)
def _fields(key, batch):
    draws = 3 * jax.random.normal(key, (2, batch, N_PORTS))
    return jax.lax.complex(draws[0], draws[1])


def mesh_bench(net, **sizes):
    """Bench and the hidden twin behind it; errors of all chips are drawn, so that they share compiled code."""
    twin = _mesh_twin(net.core, _drawn(sizes))
    return MeshBench(net.core, twin), twin


def core_bench(net, construction, *, tap_noise=0.0, **sizes):
    """The same for a symmetric core, folded or mirrored."""
    twin = _core_twin(net.core.mesh, _drawn(sizes), construction)
    return MeshBench(net.core, twin, tap_noise=tap_noise), twin


@partial(jax.jit, static_argnums=1)
def _mesh_twin(core, sizes):
    return draw_mesh_twin(core, sizes, key=jax.random.key(5))


@partial(jax.jit, static_argnums=(1, 2))
def _core_twin(mesh, sizes, construction):
    return draw_core_twin(mesh, sizes, construction=construction, key=jax.random.key(5))


def _drawn(sizes: dict) -> MeshImperfections:
    # Errors are arrays of the chip only where they are not zero.
    return dataclasses.replace(MeshImperfections(splitter_error=1e-30), **sizes)


@jax.jit
def true_loss(twin, net, field, labels):
    """Loss of the weights on the very hardware and its derivative, which no learner can ask for."""

    found = true_gradient(net, lambda x, phase, _: twin.realise(phase, None, 0)(x), field, labels)
    return found.loss, found.gradient


def estimate(rule, net, bench, field, labels, key=None):
    """What a rule estimates on a bench; the key is data, so that repeats share a program."""
    return _estimate(rule, net, bench, field, labels, jax.random.key(0) if key is None else key)


@jax.jit
def _estimate(rule, net, bench, field, labels, key):
    return rule.gradient(net, bench, field, labels, key=key)
