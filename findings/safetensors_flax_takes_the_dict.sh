#!/usr/bin/env bash
# safetensors.flax.save and save_file put NumPy arrays into the dictionary that they are given.
#
# With: safetensors 0.8.0, jax 0.10.2, numpy 2.4.6 on the CPU.
# Expected: saving reads the state; what trains goes on with the jax.Arrays it had.
# Seen: after save_file(state, ...) every value of `state` is a numpy.ndarray, so that `state["w"].at[0].set(...)` is an AttributeError.
#   safetensors.numpy leaves its dictionary alone. The same was told of safetensors.tensorflow 0.4.3 in issue 480 of the project.
# Way round: give it a copy, save_file(dict(state), ...). lightecho writes safetensors from its checkpoints and does not call either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet safetensors==0.8.0 jax==0.10.2 numpy==2.4.6
cd "$folder"
cat >run.py <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.flax
import safetensors.numpy


def state():
    return {"w": jnp.arange(6.0).reshape(2, 3), "scale": jnp.asarray(2.0)}


def kinds(of):
    return {type(value).__module__.split(".")[0] for value in of.values()}


found = {}
kept = state()
safetensors.flax.save_file(kept, "saved.safetensors")
found["save_file"] = kinds(kept)
bytes_only = state()
safetensors.flax.save(bytes_only)
found["save"] = kinds(bytes_only)
copied = state()
safetensors.flax.save_file(dict(copied), "saved.safetensors")
found["save_file of a copy"] = {
    "jax" if isinstance(value, jax.Array) else "numpy" for value in copied.values()
}
plain = {"w": np.arange(6.0)}
before = plain["w"]
safetensors.numpy.save_file(plain, "saved.safetensors")
found["safetensors.numpy keeps it"] = plain["w"] is before
try:
    kept["w"].at[0].set(5.0)
    found["at"] = "works"
except AttributeError:
    found["at"] = "AttributeError"
for name, value in found.items():
    print(f"{name:28s} {value}")
expected = {
    "save_file": {"numpy"},
    "save": {"numpy"},
    "save_file of a copy": {"jax"},
    "safetensors.numpy keeps it": True,
    "at": "AttributeError",
}
raise SystemExit(0 if found == expected else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
