"""Numbers as users have them, as arrays to compute with.

Tables in hertz are often typed as whole numbers, measured in half precision, or read as complex numbers without an
imaginary part. What is computed from them (2 pi D) has a fraction, and an array of integers would cut it off.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array


def as_real(values: Any) -> Array:
    """Real array of JAX, of at least single precision; whole numbers take JAX's default one.

    Imaginary parts are dropped: `check_array` has refused those that are not 0.
    """
    array = jnp.real(jnp.asarray(values))
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array.astype(jnp.result_type(float))
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))
