#!/usr/bin/env bash
# The small float types of JAX do not survive `np.savez`: they come back as raw bytes, without a warning.
#
# With: numpy 2.4.6, ml_dtypes 0.6.0, jax 0.10.2.
# Expected: an array of bfloat16 comes back as it was, or writing it is refused.
# Seen: `np.savez` writes it and says nothing; `np.load(..., allow_pickle=False)` gives dtype `|V2` (float8: `|V1`). NumPy
#   describes types that are not its own by their size alone. JAX refuses the array that comes back with a TypeError; the bits
#   are whole, and `.view(ml_dtypes.bfloat16)` gives the values back, if the reader knows the type from elsewhere.
# Way round: write a view as unsigned integers and the name of the type beside it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy==2.4.6 ml_dtypes==0.6.0 jax==0.10.2
cd "$folder"
cat >look.py <<'PYTHON'
import warnings

import jax.numpy as jnp
import ml_dtypes
import numpy as np

warnings.simplefilter("error")
kinds = {"bfloat16": "|V2", "float8_e4m3fn": "|V1", "float16": "<f2"}
values = [1.0, 2.5, -0.75]
np.savez("weights.npz", **{kind: np.asarray(jnp.array(values, kind)) for kind in kinds})
with np.load("weights.npz", allow_pickle=False) as archive:
    for kind, wanted in kinds.items():
        back = archive[kind]
        print(f"{kind:14} comes back as {back.dtype.str}")
        assert back.dtype.str == wanted, "CHANGED"
        if back.dtype.kind == "V":
            try:
                jnp.asarray(back)
            except TypeError:
                pass
            else:
                raise AssertionError("CHANGED: JAX takes it")
            viewed = back.view(getattr(ml_dtypes, kind)).astype(float)
            assert viewed.tolist() == values, "CHANGED: the bits are not whole"
PYTHON
JAX_PLATFORMS=cpu "$folder/env/bin/python" look.py
echo "as found"
