"""Test settings shared by all packages: run-time shape checks, 64-bit, no silent rank promotion."""

import jax
from jaxtyping import install_import_hook

# The hook must be in place before any test imports the packages.
install_import_hook(["optics", "quantum", "nn"], "beartype.beartype")

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
