#!/usr/bin/env bash
# One flipped bit in the arrays of an Orbax checkpoint comes back as another number, without an error or a warning.
#
# With: orbax-checkpoint 0.12.8, jax 0.10.2, tensorstore 0.1.86 on the CPU, local disk, default StandardCheckpointer.
# Expected: what was stored is under a checksum, so that rot of a disk or a broken transfer is told when the state is restored.
# Seen: of 20 copies of one checkpoint of random numbers, each with one bit flipped in its largest file, all restore; in all of them
#   numbers differ from those that were saved, and nothing is raised. (Random numbers do not compress, so the flip lies in the numbers
#   themselves; in compressed data or small files of metadata it more often shows as an error of decoding.)
# Way round: checksums of one's own beside the folder. lightecho's checkpoints hold one for each chunk and each file, verified on load
#   (`nn/checkpoint/checksums.py`); `lightecho checkpoint verify` names tensor, file and byte.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet orbax-checkpoint==0.12.8 jax==0.10.2 tensorstore==0.1.86 numpy==2.4.6
cd "$folder"
cat >run.py <<'PYTHON'
import logging
import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

logging.disable(logging.WARNING)
state = {"weights": jax.numpy.asarray(np.random.default_rng(0).normal(size=16384), np.float32)}
whole = Path("whole").resolve()
with ocp.StandardCheckpointer() as saver:
    saver.save(whole, state)
largest = max((p for p in whole.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
size = largest.stat().st_size
rng = np.random.default_rng(1)
silent = told = same = 0
for trial in range(20):
    copy = Path(f"copy{trial}").resolve()
    shutil.copytree(whole, copy)
    path = copy / largest.relative_to(whole)
    data = bytearray(path.read_bytes())
    # The middle of the file: arrays, not the index at its end.
    data[int(rng.integers(size // 4, 3 * size // 4))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    try:
        with ocp.StandardCheckpointer() as loader:
            found = loader.restore(copy, state)
        if np.array_equal(found["weights"], state["weights"]):
            same += 1
        else:
            silent += 1
    except Exception:
        told += 1
print(f"one bit flipped, 20 copies: {silent} restored with other numbers, {told} refused, {same} unchanged")
raise SystemExit(0 if silent == 20 else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py 2>/dev/null || { echo CHANGED; exit 1; }
echo "as found"
