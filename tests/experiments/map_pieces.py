"""Pieces for the tests of `Context.map`: functions of a module, so that other processes can import them."""

import os
import signal
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.errors import NonFiniteError, UserError


def spectrum(seed, n):
    """Sums and products whose last digits depend on the order of the additions, the precision and the device."""
    x = jax.random.normal(jax.random.key(seed), (n, n))
    y = jnp.fft.fft2(x @ x.T)
    return {
        "sum": jnp.abs(y).sum(),
        "row": (x @ jnp.sin(x)).mean(0),
        "values": jnp.linalg.svd(x)[1],
    }


def told(context, name, steps):
    context.log(f"{name} begins")
    with context.progress(name, steps) as ticker:
        for step in range(steps):
            ticker.advance(note=f"step {step}")
    return {"x": np.arange(steps)}


def process(pause):
    time.sleep(pause)
    return {"process": np.array(os.getpid()), "threads": np.array(int(os.environ["NPROC"]))}


def endless(folder, name):
    (Path(folder) / name).touch()
    time.sleep(600)
    return {}


def killed_once(folder, number):
    mark = Path(folder) / f"mark{number}"
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"x": np.array(number)}


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


class Locked(Exception):
    """An error that cannot be pickled."""

    def __init__(self):
        super().__init__("the door is locked")
        self.lock = threading.Lock()


def failing(kind):
    if kind == "user":
        raise UserError("`length` must be positive, but is -1 m.")
    if kind == "not finite":
        raise NonFiniteError("`loss` must be finite, but is nan.")
    if kind == "odd":
        raise Locked
    raise ZeroDivisionError("fault of ours")


def blocked_signals():
    """Numbers of the signals that do not reach the process."""
    return {"numbers": np.array(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), dtype=int)}
