#!/usr/bin/env bash
# With 64-bit enabled, JAX divides and averages 32-bit counts in single precision, where NumPy goes over to double.
#
# With: jax 0.10.2, numpy 2.4.6 on the CPU, jax_enable_x64 on.
# Expected: a program that asked for 64-bit gets double precision out of counts of photons or shots, as in NumPy, whatever integers they are.
# Seen: mean, var, average, x / 2 and x / y of int32 and uint16 are float32, those of int64 are float64; x * 0.5 is float64. The
#   variance of the counts 2^24 + 1 and 2^24 + 3 is 4 where it is 1; NumPy gives 1.
# Way round: counts.astype(float) first. lightecho's measures of pictures (contrast, signal to noise, similarity) do that.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 numpy==2.4.6
cd "$folder"
cat >run.py <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
FUNCTIONS = {
    "mean": lambda xp, x: xp.mean(x),
    "var": lambda xp, x: xp.var(x),
    "average": lambda xp, x: xp.average(x),
    "x / 2": lambda xp, x: x / 2,
    "x / x": lambda xp, x: x / x,
    "x * 0.5": lambda xp, x: x * 0.5,
}
found = {}
for kind in ("uint16", "int32", "int64"):
    counts = np.asarray([3, 5], kind)
    for name, function in FUNCTIONS.items():
        ours, numpys = function(jnp, jnp.asarray(counts)), function(np, counts)
        found[kind, name] = str(ours.dtype), str(numpys.dtype)
        print(f"{kind} {name:8s} jax {ours.dtype}, numpy {numpys.dtype}")
counts = np.asarray([2**24 + 1, 2**24 + 3], np.int32)
variances = float(jnp.var(jnp.asarray(counts))), float(np.var(counts))
print("variance of", counts, "jax", variances[0], "numpy", variances[1])
expected = {(kind, name): ("float64", "float64") for kind, name in found}
for name in FUNCTIONS:
    if name != "x * 0.5":
        expected["int32", name] = expected["uint16", name] = ("float32", "float64")
raise SystemExit(0 if found == expected and variances == (4.0, 1.0) else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
