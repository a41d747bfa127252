#!/usr/bin/env bash
# JAX on one thread is not on one thread: a small triangular solve on the CPU runs in SciPy's BLAS, with that library's threads.
#
# With: jax 0.10.2, scipy 1.17.1 (OpenBLAS of its wheel) on the CPU, two cores or more.
# Expected: with XLA told to use one thread (`intra_op_parallelism_threads=1`), the CPU time of a program is at most its wall time.
# Seen: `lax.linalg.triangular_solve` calls the `trsm` of `scipy.linalg.cython_blas`. OpenBLAS spreads also a 32 x 32 system over
#   all cores, and its threads spin between calls: a scan of 2,000 solves took 22 ms of CPU time with one thread of BLAS and
#   130 ms with two. A product of matrices of that size, done by XLA itself, stays on one thread.
# Way round: OPENBLAS_NUM_THREADS=1 (or threadpoolctl) where solves are small; or substitution written out in jax.numpy, many systems
#   side by side. lightecho's chunked delta rule does the latter (`nn/kernels/triangular.py`).
set -euo pipefail
[ "$(getconf _NPROCESSORS_ONLN)" -gt 1 ] || { echo "needs two cores"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 numpy==2.4.6 scipy==1.17.1
cd "$folder"
cat >run.py <<'PYTHON'
import sys
import time

import jax
import jax.numpy as jnp
from jax import lax

what = sys.argv[1]
lower = jnp.tril(jnp.full((32, 32), 0.01), -1) + jnp.eye(32)


def solve(x):
    return lax.linalg.triangular_solve(lower, x, left_side=True, lower=True)


def product(x):
    return lower @ x


operation = {"solve": solve, "product": product}[what]
run = jax.jit(lambda x: lax.scan(lambda y, _: (0.9 * operation(y), None), x, length=2000)[0])
x = jnp.ones((32, 64))
run(x).block_until_ready()
least = []
for _ in range(7):
    wall, cpu = time.perf_counter(), time.process_time()
    run(x).block_until_ready()
    least.append((time.process_time() - cpu, time.perf_counter() - wall))
cpu, wall = min(least)
print(1e3 * cpu, 1e3 * wall)
PYTHON
export XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" JAX_PLATFORMS=cpu
one=$(OPENBLAS_NUM_THREADS=1 env/bin/python run.py solve)
more=$(OPENBLAS_NUM_THREADS=2 env/bin/python run.py solve)
product=$(OPENBLAS_NUM_THREADS=2 env/bin/python run.py product)
printf '2000 solves, BLAS on one thread: CPU %.1f ms, wall %.1f ms\n' $one
printf '2000 solves, BLAS on two threads: CPU %.1f ms, wall %.1f ms\n' $more
printf '2000 products, BLAS on two threads: CPU %.1f ms, wall %.1f ms\n' $product
set -- $one $more $product
awk -v one="$1" -v two="$3" -v cpu="$5" -v wall="$6" \
  'BEGIN { exit !(two > 1.4 * one && cpu < 1.2 * wall) }' || { echo CHANGED; exit 1; }
echo "as found"
