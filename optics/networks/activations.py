"""Nonlinear functions of a measured field, applied in electronics or in a medium between two layers.

The nonlinearity of Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4, Fig. 2f, is unknown to us: the
candidates here and their parameters are our choice. Each first divides by the root-mean-square amplitude of the
sample, so that the operating point does not move with the brightness of the input or the loss of a layer; that division
is part of the function, and of its derivative.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from optics._numbers import takes_numbers
from optics.waves.field import intensity

Field = Complex[Array, "*batch y x"]


def _normalised(field):
    power = jnp.mean(intensity(field), axis=(-2, -1), keepdims=True)
    return field / jnp.sqrt(power + 1e-12)


@takes_numbers
def saturable(field: Field, saturation: float = 1.0) -> Field:
    """Amplitude loss that bleaches: y I / (I + I_s), with I_s in units of the mean intensity."""
    y = _normalised(field)
    power = intensity(y)
    return y * (power / (power + saturation))


@takes_numbers
def complex_relu(field: Field, threshold: float = 0.5) -> Field:
    """Passes what exceeds a threshold on |y|^2 (in mean intensities), keeping the phase: y max(1 - theta / I, 0)."""
    y = _normalised(field)
    power = intensity(y)
    return y * jnp.maximum(1 - threshold / (power + 1e-12), 0)


@takes_numbers
def square_law(field: Field) -> Field:
    """Camera read-out re-loaded as amplitude: |y|^2, phase dropped."""
    power = intensity(_normalised(field))
    return (power + 0j * power).astype(field.dtype)


@takes_numbers
def photorefractive(field: Field, saturation: float = 1.0, stroke: float = jnp.pi) -> Field:
    """Phase response of a photorefractive crystal such as SBN:60, y exp(i phi_max I / (I + I_s)).

    Form as in diffractive networks with an SBN layer; `stroke` phi_max (rad) and `saturation` are our choice.
    """
    y = _normalised(field)
    power = intensity(y)
    return y * jnp.exp(1j * stroke * power / (power + saturation))


ACTIVATIONS = {
    "linear": None,
    "saturable": saturable,
    "complex_relu": complex_relu,
    "square_law": square_law,
    "photorefractive": photorefractive,
}


@takes_numbers
def electro_optic(
    field: Complex[Array, "*batch port"],
    *,
    tapped: float = 0.1,
    modulation: float = 0.05 * np.pi,
    bias: float = np.pi,
) -> Complex[Array, "*batch port"]:
    """Electro-optic activation: a tap of the light drives a modulator for the rest.

        f(z) = i sqrt(1 - a) exp(-i psi) cos(psi) z,    psi = (g |z|^2 + b) / 2

    I. A. D. Williamson et al., "Reprogrammable electro-optic nonlinear activation functions for optical neural
    networks", IEEE J. Sel. Top. Quantum Electron. 26, 7700412 (2020), DOI 10.1109/JSTQE.2019.2930455.

    Args:
        field: Amplitudes at the ports.
        tapped: Share a of the power that is tapped.
        modulation: Phase g per power, rad over the square of the unit of `field`.
        bias: Phase b without light, rad; pi blocks weak light.
    """
    psi = 0.5 * (modulation * intensity(field) + bias)
    return (1j * np.sqrt(1 - tapped) * jnp.exp(-1j * psi) * jnp.cos(psi) * field).astype(
        field.dtype
    )
