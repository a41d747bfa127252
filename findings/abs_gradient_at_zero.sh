#!/usr/bin/env bash
# In JAX the gradient of `abs` at zero depends on whether the number is real or complex, and that of `angle` is NaN.
#
# With: jax 0.10.2, on the CPU, single and double precision.
# Expected: one convention for |x| at x = 0, the same for a real number and the same number written as complex.
# Seen: real 0.0 gives 1, complex 0j gives 0. `jnp.angle` gives NaN there, and so does `jnp.linalg.norm` of a zero
#   vector. A dark pixel thus pulls on a loss of |u| if its field happens to be stored as a real array and not if it is
#   complex, and once a propagation stands before it one such pixel makes the whole gradient of a loss on phases NaN.
# Way round: losses on intensities |u|^2, whose gradient at 0 is 0; where a phase is needed, a mask before `angle`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 numpy==2.4.6
cd "$folder"
cat >look.py <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
for real, complex_ in ((jnp.float32, jnp.complex64), (jnp.float64, jnp.complex128)):
    found = {
        "abs, real": jax.grad(jnp.abs)(real(0)),
        "abs, complex": jax.grad(jnp.abs)(complex_(0)),
        "|u|^2, complex": jax.grad(lambda u: jnp.abs(u) ** 2)(complex_(0)),
        "angle, complex": jax.grad(jnp.angle)(complex_(0)),
        "norm of a zero vector": jax.grad(jnp.linalg.norm)(jnp.zeros(2, real))[0],
    }
    for name, gradient in found.items():
        print(f"{real.__name__:8} {name:22} gradient at 0: {gradient}")
    assert found["abs, real"] == 1, "CHANGED"
    assert found["abs, complex"] == 0 and found["|u|^2, complex"] == 0, "CHANGED"
    assert np.isnan(found["angle, complex"]) and np.isnan(found["norm of a zero vector"]), "CHANGED"
PYTHON
JAX_PLATFORMS=cpu "$folder/env/bin/python" look.py
echo "as found"
