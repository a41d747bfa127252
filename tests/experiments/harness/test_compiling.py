import jax
import jax.numpy as jnp
import pytest

from experiments.harness.compiling import jit_once


@jit_once
def _raised(x, power: int):
    # A power of the program, which a traced number could not be for `range`.
    for _ in range(power):
        x = x * 3
    return x


def test_numbers_are_those_of_the_function_and_constants_make_programs_of_their_own():
    x = jnp.arange(3.0)
    assert (_raised(x, 1) == 3 * x).all()
    assert (_raised(x, 2) == 9 * x).all()


def test_it_has_options_of_its_own_and_so_stands_in_no_other_program():
    with pytest.raises(ValueError, match="compiler_options"):
        jax.jit(lambda x: _raised(x, 1))(jnp.ones(2))
