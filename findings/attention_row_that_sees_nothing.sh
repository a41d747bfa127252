#!/usr/bin/env bash
# A query that may see no key: JAX's attention gives the mean of all values, and a gradient to them; torch's gives zeros.
#
# With: jax 0.10.2 (xla implementation, CPU), torch 2.13.0.
# Expected: nothing seen, nothing mixed: zeros, or NaN that shows, and no gradient to values that were masked out.
# Seen: jax.nn.dot_product_attention with a boolean mask that is all false in a row returns the plain mean of all values there,
#   so that padding and later tokens leak into it, and sends a gradient back into them. torch's scaled_dot_product_attention
#   returns zeros. A model moved from one to the other changes at padded rows.
# Way round: set such rows to zero after the call (and their weights before it, for the gradient). lightecho's attention gives
#   zeros and no gradient.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 numpy==2.4.6 torch==2.13.0
cd "$folder"
cat >run.py <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np
import torch

rng = np.random.default_rng(0)
q, k, v = (rng.normal(size=(1, 4, 1, 8)).astype(np.float32) for _ in range(3))
mask = np.tril(np.ones((4, 4), bool))
mask[2] = False  # the third query sees nothing


def attend(v):
    return jax.nn.dot_product_attention(q, k, v, mask=mask[None, None])


mixed = np.asarray(attend(v))[0, 2, 0]
gradient = np.asarray(jax.grad(lambda v: attend(v)[0, 2].sum())(jnp.asarray(v)))[0, :, 0]
swap = lambda x: torch.tensor(x).transpose(1, 2)  # noqa: E731 (torch has heads first)
other = torch.nn.functional.scaled_dot_product_attention(
    swap(q), swap(k), swap(v), attn_mask=torch.tensor(mask)
)[0, 0, 2].numpy()
mean = v[0, :, 0].mean(axis=0)
print("jax: distance from the mean of all values", np.abs(mixed - mean).max())
print("jax: gradient to each of the four values ", gradient[:, 0])
print("torch: largest number in that row        ", np.abs(other).max())
as_found = np.allclose(mixed, mean, atol=1e-6) and np.allclose(gradient, 0.25) and not other.any()
raise SystemExit(0 if as_found else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
