#!/usr/bin/env bash
# `is_causal=True` of jax.nn.dot_product_attention puts the first query at the first key, also where there are fewer queries than keys.
#
# With: jax 0.10.2 on the CPU, default implementation.
# Expected: with a cache the queries are the last tokens, so that the last query sees all keys and a single one sees everything.
# Seen: query i sees the keys 0 to i: of two queries behind five keys the second sees two keys; a single query, one step of decoding, sees
#   the first key alone. No error; the docstring does not say from which end it counts.
# Way round: no `is_causal` for one query; else a mask of positions, or `key_value_seq_lengths` and one's own mask. lightecho's kernels take
#   `query_positions` and `key_positions` and refuse `causal=True` for unequal lengths.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 numpy==2.4.6
cd "$folder"
cat >run.py <<'PYTHON'
import jax
import jax.numpy as jnp

n_keys = 5
keys = jax.random.normal(jax.random.key(0), (1, n_keys, 1, 4))
values = jnp.eye(n_keys)[None, :, None, :]  # the output is the weight of each key
same = True
for n_queries, seen in ((1, [1]), (2, [1, 2]), (5, [1, 2, 3, 4, 5])):
    queries = jax.random.normal(jax.random.key(1), (1, n_queries, 1, 4))
    # The widths of keys and values have to agree there.
    wide = jnp.pad(queries, ((0, 0), (0, 0), (0, 0), (0, 1))), jnp.pad(keys, ((0, 0), (0, 0), (0, 0), (0, 1)))
    weights = jax.nn.dot_product_attention(*wide, values, is_causal=True)[0, :, 0]
    found = [int(jnp.sum(row > 0)) for row in weights]
    first = all(bool(jnp.all(row[:number] > 0)) for row, number in zip(weights, found, strict=True))
    print(f"{n_queries} queries, {n_keys} keys: they see {found} keys, counted from the first: {first}")
    same &= found == seen and first
raise SystemExit(0 if same else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py 2>/dev/null || { echo CHANGED; exit 1; }
echo "as found"
