#!/usr/bin/env bash
# The same cast to float8 is NaN in JAX and the largest number in torch; a zero block scale is NaN in one, 2^-127 in the other.
#
# With: jax 0.10.2, ml_dtypes 0.6.0, torch 2.13.0.
# Expected: two frameworks that name a type alike round and saturate alike.
# Seen: float32 to float8_e4m3fn: 1000 gives NaN in JAX and ml_dtypes and 448 in torch, infinity likewise. To float8_e8m0fnu, the
#   type of block scales: 0 gives NaN in JAX and 2^-127 in torch, -1 gives NaN and 1. float4_e2m1fn has no NaN and takes one as -0.
# Way round: clip to the range before the cast and refuse what is not finite, so that no framework has to choose.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 ml_dtypes==0.6.0 numpy==2.4.6 torch==2.13.0
cd "$folder"
cat >run.py <<'PYTHON'
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch

values = np.array([0.0, -1.0, 3.0, 448.0, 1000.0, np.inf], np.float32)
seen = {}
for name in ("float8_e4m3fn", "float8_e8m0fnu"):
    ours = jnp.asarray(values).astype(getattr(jnp, name)).astype(jnp.float32)
    theirs = torch.tensor(values).to(getattr(torch, name)).to(torch.float32).numpy()
    plain = values.astype(getattr(ml_dtypes, name)).astype(np.float32)
    for who, row in (("jax", np.asarray(ours)), ("ml_dtypes", plain), ("torch", theirs)):
        seen[name, who] = row
        print(f"{name:15} {who:10}", *(f"{x:10.4g}" for x in row))
four = np.array([np.nan, np.inf], np.float32).astype(ml_dtypes.float4_e2m1fn).astype(np.float32)
print("float4_e2m1fn   ml_dtypes  NaN and infinity become", *four)
small, scale = "float8_e4m3fn", "float8_e8m0fnu"
as_found = (
    all(np.isnan(seen[small, who][4:]).all() for who in ("jax", "ml_dtypes"))
    and (seen[small, "torch"][4:] == 448).all()
    and all(np.isnan(seen[scale, "jax"][:2]))
    and seen[scale, "torch"][0] == 2.0**-127
    and seen[scale, "torch"][1] == 1
    and four[0] == 0
    and four[1] == 6
)
raise SystemExit(0 if as_found else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
