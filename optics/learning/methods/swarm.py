"""Population searches: particle swarm and CMA-ES, which see the measured loss alone.

Both search offsets of super-pixels added to the first weights (`optics.learning.superpixels`), and all trials of one
step see the same batch, so that they are ranked on the same samples.
"""

from functools import partial
from typing import Any, ClassVar, NamedTuple

import cmaes
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from optics._checks import check_in_range, check_positive
from optics._numbers import takes_numbers
from optics.learning.method import AbstractMethod, MeasurementCost, StepReport
from optics.learning.passes import frames_per_output
from optics.learning.protocols import require_bench
from optics.learning.superpixels import (
    check_count,
    from_vector,
    moved,
    n_offsets,
    population_losses,
)

_LARGEST_COVARIANCE = (
    500  # A full covariance costs n^3 a generation: our choice of where to leave it.
)


class Swarm(NamedTuple):
    """Particles of a swarm.

    Attributes:
        position: Where each particle is.
        velocity: How far it moves next.
        best: Best place each has seen.
        best_loss: Loss there.
    """

    position: Float[Array, "particle n"]
    velocity: Float[Array, "particle n"]
    best: Float[Array, "particle n"]
    best_loss: Float[Array, " particle"]


@takes_numbers
def remember(swarm: Swarm, losses: Float[Array, " particle"]) -> Swarm:
    """Swarm that knows the losses at its positions."""
    better = losses < swarm.best_loss
    return swarm._replace(
        best=jnp.where(better[:, None], swarm.position, swarm.best),
        best_loss=jnp.where(better, losses, swarm.best_loss),
    )


def fly(swarm: Swarm, *, inertia, attraction, key: PRNGKeyArray, top_speed: float | Array) -> Swarm:
    """Moves each particle: v <- w v + c r1 (p - x) + c r2 (g - x), x <- x + v.

    Args:
        swarm: Swarm that has its losses.
        inertia: w.
        attraction: c, to the own best p and the common best g alike.
        key: PRNG key of r1 and r2, uniform on [0, 1), one for every coordinate.
        top_speed: Largest step along one coordinate.
    """
    draws = jax.random.uniform(key, (2, *swarm.position.shape), swarm.position.dtype)
    leader = swarm.best[jnp.argmin(swarm.best_loss)]
    pull_own = draws[0] * (swarm.best - swarm.position)
    pull_leader = draws[1] * (leader[None] - swarm.position)
    velocity = inertia * swarm.velocity + attraction * (pull_own + pull_leader)
    velocity = jnp.clip(velocity, -top_speed, top_speed)
    return swarm._replace(position=swarm.position + velocity, velocity=velocity)


class ParticleSwarmState(NamedTuple):
    """State of `ParticleSwarm`: the network offsets are added to, and the swarm."""

    network: Any
    swarm: Swarm


class ParticleSwarm(AbstractMethod):
    """Particle swarm optimisation with one common leader.

    J. Kennedy, R. Eberhart, Proc. ICNN 4, 1942 (1995), DOI 10.1109/ICNN.1995.488968. Defaults of inertia and attraction
    are the constriction of M. Clerc, J. Kennedy, IEEE Trans. Evol. Comput. 6, 58 (2002), DOI 10.1109/4235.985692.

    Attributes:
        spread: Particles start uniform on +-`spread`, rad, the first at zero; also their top speed.
        inertia: w.
        attraction: c.
        n_particles: Particles, each one run of the hardware a step.
        superpixel: Side of the blocks that move together, in weights.
        re_measure: Measures the remembered bests again on every batch, so that one lucky batch does not lead for ever;
            doubles the cost.
    """

    spread: Float[Array, ""] = eqx.field(default=1.0, converter=lambda x: jnp.asarray(x, float))
    inertia: Float[Array, ""] = eqx.field(default=0.7298, converter=lambda x: jnp.asarray(x, float))
    attraction: Float[Array, ""] = eqx.field(
        default=1.49618, converter=lambda x: jnp.asarray(x, float)
    )
    n_particles: int = eqx.field(static=True, default=20)
    superpixel: int = eqx.field(static=True, default=1)
    re_measure: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_positive(self.spread, "spread", "rad")
        check_in_range(self.inertia, "inertia", 0, 1)
        check_positive(self.attraction, "attraction")
        check_count(self.n_particles, "n_particles", 2)
        check_count(self.superpixel, "superpixel")

    def init(self, network, *, key, n_steps) -> ParticleSwarmState:
        """See `AbstractMethod.init`."""
        del n_steps
        dtype = network.phase.dtype
        shape = (self.n_particles, n_offsets(network, self.superpixel))
        places, speeds = jax.random.uniform(key, (2, *shape), dtype, -1, 1) * self.spread.astype(
            dtype
        )
        places = places.at[0].set(0)
        never = jnp.full(self.n_particles, jnp.inf, dtype)
        return ParticleSwarmState(network, Swarm(places, speeds / 2, places, never))

    def step(self, state, bench, field, labels, *, key, time=0):
        """See `AbstractMethod.step`; a bench is required."""
        bench = require_bench(bench, "particle-swarm")
        network, swarm = state
        noise_key, again_key, fly_key = jax.random.split(key, 3)
        measure = partial(
            population_losses, network, bench, field, labels, superpixel=self.superpixel
        )
        losses, correct = measure(vectors=swarm.position, key=noise_key, time=time)
        if self.re_measure:
            later = time + self.n_particles * network.n_layers
            again, _ = measure(vectors=swarm.best, key=again_key, time=later)
            # Before the first step there is nothing to remember.
            known = jnp.isfinite(swarm.best_loss)
            swarm = swarm._replace(best_loss=jnp.where(known, again, jnp.inf))
        swarm = remember(swarm, losses.astype(swarm.best_loss.dtype))
        report = StepReport(jnp.min(losses), correct[jnp.argmin(losses)])
        swarm = fly(
            swarm, inertia=self.inertia.astype(losses.dtype), attraction=self.attraction.astype(losses.dtype),
            key=fly_key, top_speed=self.spread.astype(losses.dtype),
        )  # fmt: skip
        return ParticleSwarmState(network, swarm), report

    def network(self, state):
        """See `AbstractMethod.network`: the best place seen."""
        network, swarm = state
        best = swarm.best[jnp.argmin(swarm.best_loss)]
        return moved(network, from_vector(network, self.superpixel, best), self.superpixel)

    def cost(self, network, batch_size, *, step=0, n_steps=1) -> MeasurementCost:
        """See `AbstractMethod.cost`."""
        del step, n_steps
        return _population_cost(network, batch_size, self.n_particles * (1 + self.re_measure))


class CmaEsState(NamedTuple):
    """State of `CmaEs`: the network offsets are added to, and the library's optimiser, which changes in place."""

    network: Any
    optimiser: Any


class CmaEs(AbstractMethod):
    """Covariance matrix adaptation; runs on the host, evaluations compiled. What is deployed is the mean.

    N. Hansen, A. Ostermeier, Evol. Comput. 9, 159 (2001), DOI 10.1162/106365601750190398; above 500 offsets the
    separable form with a diagonal covariance, R. Ros, N. Hansen, PPSN X, LNCS 5199, 296 (2008), DOI
    10.1007/978-3-540-87700-4_30. The algorithm is that of the library `cmaes` (M. Nomura, M. Shibata, arXiv
    2402.01373 (2024)): its many constants and safeguards are settled and tested there, and a baseline that we wrote
    ourselves would always be under the suspicion of being a weak one.

    Attributes:
        sigma: First standard deviation of the offsets, rad.
        population_size: Trials a step; None takes the library's 4 + 3 ln n.
        superpixel: Side of the blocks that move together, in weights.
    """

    host: ClassVar[bool] = True

    sigma: float = 0.5
    population_size: int | None = None
    superpixel: int = 1

    def __check_init__(self):
        check_positive(self.sigma, "sigma", "rad")
        check_count(self.superpixel, "superpixel")
        if self.population_size is not None:
            check_count(self.population_size, "population_size", 4)

    def init(self, network, *, key, n_steps) -> CmaEsState:
        """See `AbstractMethod.init`."""
        del n_steps
        n = n_offsets(network, self.superpixel)
        kind = cmaes.CMA if n <= _LARGEST_COVARIANCE else cmaes.SepCMA
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        optimiser = kind(
            mean=np.zeros(n), sigma=self.sigma, seed=seed, population_size=self._size(n)
        )
        return CmaEsState(network, optimiser)

    def step(self, state, bench, field, labels, *, key, time=0):
        """See `AbstractMethod.step`; a bench is required.

        Raises:
            ValueError: If there is no bench.
            FloatingPointError: If a measured loss is not finite.
        """
        bench = require_bench(bench, "CMA-ES")
        network, optimiser = state
        trials = np.stack([optimiser.ask() for _ in range(optimiser.population_size)])
        vectors = jnp.asarray(trials, network.phase.dtype)
        losses, correct = population_losses(
            network, bench, field, labels, vectors, self.superpixel, key=key, time=time
        )
        losses = np.asarray(losses, dtype=float)
        if not np.all(np.isfinite(losses)):
            raise FloatingPointError(
                f"`loss` of {type(self).__name__} must be finite, but is not for {int(np.sum(~np.isfinite(losses)))} "
                "trials; check the inputs."
            )
        optimiser.tell(list(zip(trials, losses.tolist(), strict=True)))
        best = int(np.argmin(losses))
        return state, StepReport(jnp.asarray(losses[best]), correct[best])

    def network(self, state):
        """See `AbstractMethod.network`: the mean of the search distribution."""
        network, optimiser = state
        mean = jnp.asarray(optimiser.mean, network.phase.dtype)
        return moved(network, from_vector(network, self.superpixel, mean), self.superpixel)

    def cost(self, network, batch_size, *, step=0, n_steps=1) -> MeasurementCost:
        """See `AbstractMethod.cost`."""
        del step, n_steps
        return _population_cost(
            network, batch_size, self._size(n_offsets(network, self.superpixel))
        )

    def _size(self, n: int) -> int:
        return self.population_size or 4 + int(np.floor(3 * np.log(n)))


def _population_cost(network, batch_size: int, trials: int) -> MeasurementCost:
    measurements = trials * network.n_layers
    frames = trials * batch_size * frames_per_output(network.n_layers)
    return MeasurementCost(measurements, batch_size * measurements, frames)
