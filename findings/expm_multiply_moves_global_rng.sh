#!/usr/bin/env bash
# SciPy's `expm_multiply` draws from NumPy's global random generator, for some matrices and not for others.
#
# With: scipy 1.17.1, numpy 2.4.6.
# Expected: exp(A) v is deterministic, so calling it leaves `np.random` alone.
# Seen: for a small 1-norm nothing is drawn; beyond it the norms of powers of A are estimated from random signs out of the
#   global generator (`scipy.sparse.linalg.onenormest`), and whatever a seeded script draws next from `np.random` is
#   another number. The result itself was the same for six seeds here. Two runs of one script differ in their later draws
#   if a matrix is scaled, which looks like a physical effect of the scale.
# Way round: draw from generators of your own (`np.random.default_rng(seed)`), as lightecho does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet scipy==1.17.1 numpy==2.4.6
cd "$folder"
cat >look.py <<'PYTHON'
import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import expm_multiply

chain = sparse.random_array((512, 512), density=0.02, rng=np.random.default_rng(1))
generator = 1j * (chain + chain.T)
vector = np.random.default_rng(2).normal(size=512)


def next_draw(scale):
    np.random.seed(7)
    expm_multiply(scale * generator, vector)
    return np.random.random()


np.random.seed(7)
untouched = np.random.random()
for scale, moved in ((1e-3, False), (30.0, True)):
    drawn = next_draw(scale)
    print(f"scale {scale:6}: next global draw {drawn:.6f}, without the call {untouched:.6f}")
    assert (drawn != untouched) == moved, "CHANGED"
results = []
for seed in range(6):
    np.random.seed(seed)
    results.append(expm_multiply(30.0 * generator, vector))
spread = max(np.abs(result - results[0]).max() for result in results)
print(f"spread of the result over six seeds: {spread:.0e}")
assert spread == 0.0, "CHANGED"
PYTHON
"$folder/env/bin/python" look.py
echo "as found"
