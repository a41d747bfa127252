#!/usr/bin/env bash
# A scan over chunks of one text copies the whole text first, where its batch axis of size 1 was moved by `moveaxis`.
#
# With: jax 0.10.2 on the CPU.
# Expected: (1, 128, 32, 256) with the first two axes exchanged lies in memory as before, so that it is no work to scan over it.
# Seen: XLA gives the moved axis of one another layout than the loop asks for and copies all operands before the loop: temporary
#   memory of 1.07 of the operand, against 0.07 where the same is written as a reshape to (128, 32, 256).
# Way round: leave axes of size 1 out before the scan. lightecho's chunked recurrences do, which took 0.7 of their time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2
cd "$folder"
cat >run.py <<'PYTHON'
import jax
import jax.numpy as jnp


def chunks_moved(text):
    return jnp.moveaxis(text.reshape(1, 128, 32, 256), 1, 0)


def chunks_reshaped(text):
    return text.reshape(128, 32, 256)


def total(text, state, to_chunks):
    def step(state, chunk):
        rows = chunk.reshape(32, 256)
        return jnp.tanh(state + rows.T @ rows), None

    return jax.lax.scan(step, state, to_chunks(text))[0]


text, state = jnp.ones((1, 4096, 256), jnp.float32), jnp.zeros((256, 256), jnp.float32)
shares = []
for to_chunks in (chunks_moved, chunks_reshaped):
    program = jax.jit(total, static_argnums=2).lower(text, state, to_chunks).compile()
    shares.append(program.memory_analysis().temp_size_in_bytes / text.nbytes)
    print(f"{to_chunks.__name__}: temporary memory {shares[-1]:.3f} of the operand")
raise SystemExit(0 if shares[0] > 1 and shares[1] < 0.1 else 1)
PYTHON
JAX_PLATFORMS=cpu env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
