#!/usr/bin/env bash
# safetensors writes other numbers than a NumPy view shows, without a word; and cannot load every type it saves.
#
# With: safetensors 0.8.0, NumPy 2.4.6, ml_dtypes 0.6.0.
# Expected: save(x) and load give x back, whatever its memory layout, or an error. What `save` takes, `load` gives back.
# Seen: the bytes are those of the memory, the shape is that of the view: a transpose, a column-ordered array and a slice with
#   steps come back with other numbers. Release 0.7.0 is right. bfloat16 and float8 are written, and `load` of the same module
#   fails on them with a KeyError.
# Way round: np.ascontiguousarray before saving; `safe_open` reads the types that `load` does not. lightecho only reads such
#   files, and its test writes views through that copy.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 0.7.0 0.8.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet "safetensors==$version" numpy==2.4.6 ml_dtypes==0.6.0
done
cd "$folder"
cat >views.py <<'PYTHON'
import ml_dtypes
import numpy as np
import safetensors
from safetensors.numpy import load, save

table = np.arange(6.0).reshape(2, 3)
views = {
    "as it is": table,
    "transposed": table.T,
    "column order": np.asfortranarray(table),
    "every second": np.arange(8.0)[::2],
    "transposed, copied": np.ascontiguousarray(table.T),
}
same = {name: bool(np.array_equal(load(save({"x": view}))["x"], view)) for name, view in views.items()}
for name, right in same.items():
    print(f"{safetensors.__version__} {name:20} {'right' if right else 'OTHER NUMBERS'}")
wrong = sorted(name for name, right in same.items() if not right)
changed = safetensors.__version__ == "0.8.0"
expected = ["column order", "every second", "transposed"] if changed else []
kinds = {}
for kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn):
    try:
        load(save({"x": table.astype(kind)}))
        kinds[kind.__name__] = "read back"
    except Exception as error:
        kinds[kind.__name__] = type(error).__name__
    print(f"{safetensors.__version__} {kind.__name__:20} {kinds[kind.__name__]}")
raise SystemExit(0 if wrong == expected else 1)
PYTHON
for version in 0.7.0 0.8.0; do
  "$version/bin/python" views.py >seen.txt || { cat seen.txt; echo CHANGED; exit 1; }
  cat seen.txt
done
grep -q "0.8.0 bfloat16 *KeyError" seen.txt && grep -q "0.8.0 float8_e4m3fn *KeyError" seen.txt || { echo CHANGED; exit 1; }
echo "as found"
