#!/usr/bin/env bash
# A loop that writes one row of a cache of keys or values and multiplies by the cache, reshaped, copies all of it in each step.
#
# With: jax 0.10.2 on the CPU.
# Expected: `dynamic_update_slice` in the carry of a scan writes one row where the cache lies, and the product reads it there.
# Seen: XLA writes the row twice, once for the carry and once fused with the reshape for the product; as both cannot lie in one
#   place, each step of the loop copies the whole cache four times.
# Way round: read it through an addition of a zero that the compiler cannot foresee, such as min(|i|, 0): one pass in place of four
#   copies. lightecho's attention of one query does that (`nn.kernels.query_attention`).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2
cd "$folder"
cat >run.py <<'PYTHON'
import re

import jax
import jax.numpy as jnp

cache, query, new = jnp.zeros((191, 4, 64)), jnp.ones((8, 191)), jnp.ones((1, 4, 64))
back = jnp.ones((256, 191))


def as_it_is(cache, i):
    return cache


def with_unforeseen_zero(cache, i):
    return cache + jnp.minimum(jnp.abs(i), 0).astype(cache.dtype)


def decode(cache, query, new, back, read):
    def step(carry, i):
        cache, query = carry
        cache = jax.lax.dynamic_update_slice(cache, new * query[0, 0], (i, 0, 0))
        query = jnp.tanh(query @ read(cache, i).reshape(191, -1)) @ back
        return (cache, query), query[0]

    return jax.lax.scan(step, (cache, query), jnp.arange(100))[1]


found = []
for read in (as_it_is, with_unforeseen_zero):
    program = jax.jit(decode, static_argnums=4).lower(cache, query, new, back, read).compile()
    loops = [part for part in program.as_text().split("\n\n") if "ENTRY" not in part]
    found.append(sum(len(re.findall(r"= f32\[191,4,64\]\S* copy\(", part)) for part in loops))
    print(f"{read.__name__}: {found[-1]} copies of the cache in a step")
raise SystemExit(0 if found == [4, 0] else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
