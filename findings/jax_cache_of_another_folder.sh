#!/usr/bin/env bash
# JAX's cache of compiled programs is worth nothing in another folder, also on a CPU.
#
# With: jax 0.10.2, on the CPU.
# Expected: a copy of the cache (kept by a CI service, an image, a home that moved) gives hits wherever it lies, since
#   programs and machine are the same.
# Seen: the folder's own path is part of the key of every program. A copy of the folder, or the folder after a rename, gives
#   no hit and all programs are compiled again, without a word. By default XLA keeps caches of its own inside that folder,
#   whose path is among the compile options that make the key.
# Way round: jax_persistent_cache_enable_xla_caches="none" (environment JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES), which on a
#   CPU costs nothing; then a copy hits. lightecho's cache lies in the user's cache folder and is not moved.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 numpy==2.4.6
cd "$folder"
cat >run.py <<'PYTHON'
import sys

import jax
import jax.numpy as jnp

jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
if len(sys.argv) > 2:
    jax.config.update("jax_persistent_cache_enable_xla_caches", sys.argv[2])
seen = {"cache_hits": 0, "cache_misses": 0}


def count(event, **_):
    name = event.rpartition("/")[2]
    if name in seen:
        seen[name] += 1


jax.monitoring.register_event_listener(count)
jax.jit(lambda x: jnp.sin(x) * 2 + 1)(jnp.ones(7)).block_until_ready()
print("hit" if seen["cache_misses"] == 0 else "miss" if seen["cache_hits"] == 0 else "some")
PYTHON
look() { # what, wanted, folder, options
  local what=$1 wanted=$2 found
  shift 2
  found=$(JAX_PLATFORMS=cpu env/bin/python run.py "$@")
  printf '%-46s %s\n' "$what" "$found"
  [ "$found" = "$wanted" ] || { echo CHANGED; exit 1; }
}
look "first run" miss "$folder/a"
look "second run, same folder" hit "$folder/a"
cp -r a b
look "a copy of the folder" miss "$folder/b"
mv a c
look "the folder renamed" miss "$folder/c"
look "first run without XLA's caches" miss "$folder/d" none
cp -r d e
look "a copy of that folder" hit "$folder/e" none
echo "as found"
