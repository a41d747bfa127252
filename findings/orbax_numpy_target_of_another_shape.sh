#!/usr/bin/env bash
# Orbax restores into a NumPy target of another shape without a word; a jax.Array target of that shape it refuses.
#
# With: orbax-checkpoint 0.12.8, jax 0.10.2, tensorstore 0.1.86 on the CPU, StandardCheckpointer with its defaults.
# Expected: a target states what is wanted, so that one of shape (2, 3) for a stored (3, 4) is refused whatever holds it.
# Seen: jax.Array and jax.ShapeDtypeStruct of (2, 3): ValueError, "not compatible with the stored shape". numpy.ndarray of (2, 3), (12,) or
#   (5, 5): an array of (3, 4) comes back. So a model whose layer was widened restores the old layer if its state is held on the host.
#   The type of the target is obeyed by both: 0.5 becomes 0 in an int8 target, silently.
# Way round: compare shapes and types of the tree before use. lightecho's `load` refuses both by the tensor's name unless told to convert.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet orbax-checkpoint==0.12.8 jax==0.10.2 tensorstore==0.1.86 numpy==2.4.6
cd "$folder"
cat >run.py <<'PYTHON'
import logging
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

logging.disable(logging.WARNING)
path = Path("saved").resolve()
with ocp.StandardCheckpointer() as saver:
    saver.save(path, {"w": jax.numpy.arange(12.0).reshape(3, 4) + 0.5})

found = {}
targets = {
    "numpy (2, 3)": np.zeros((2, 3), np.float32),
    "numpy (12,)": np.zeros(12, np.float32),
    "numpy (5, 5)": np.zeros((5, 5), np.float32),
    "jax (2, 3)": jax.numpy.zeros((2, 3)),
    "numpy int8": np.zeros((3, 4), np.int8),
    "jax int8": jax.numpy.zeros((3, 4), jax.numpy.int8),
}
for name, target in targets.items():
    try:
        with ocp.StandardCheckpointer() as loader:
            array = loader.restore(path, {"w": target})["w"]
        found[name] = f"{array.shape} {array.dtype}, first {float(array.ravel()[0])}"
    except ValueError as error:
        found[name] = "ValueError" + ", not compatible" * ("not compatible" in str(error))
    print(f"{name:14s} {found[name]}")
expected = {
    "numpy (2, 3)": "(3, 4) float32, first 0.5",
    "numpy (12,)": "(3, 4) float32, first 0.5",
    "numpy (5, 5)": "(3, 4) float32, first 0.5",
    "jax (2, 3)": "ValueError, not compatible",
    "numpy int8": "(3, 4) int8, first 0.0",
    "jax int8": "(3, 4) int8, first 0.0",
}
raise SystemExit(0 if found == expected else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py 2>/dev/null || { echo CHANGED; exit 1; }
echo "as found"
