"""What decides the last digit of a number besides code and configuration: precision, device, kernels, threads.

A process that computes a piece for another takes these from it, so that both get the same bits.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from experiments.harness.errors import UserError

Device = Literal["auto", "cpu", "gpu"]
_PLAIN = "jax_disable_most_optimizations"
_THREADS = (
    "NPROC",  # XLA
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Runs the block in single or double precision, whatever the global setting of JAX, which it leaves alone."""
    if name not in ("single", "double"):
        raise ValueError(f"`precision` must be single or double, but is {name!r}.")
    import jax

    with jax.enable_x64(name == "double"):
        yield


@contextlib.contextmanager
def on_device(device: Device) -> Iterator[None]:
    """Computes on the device of this kind within the block; "auto" leaves the choice to JAX."""
    if device == "auto":
        yield
        return
    import jax

    try:
        chosen = jax.devices(device)[0]
    except RuntimeError as error:
        raise UserError(
            f"JAX finds no {device} here; install lightecho[cuda] on a machine that has one, or leave out --device."
        ) from error
    with jax.default_device(chosen):
        yield


@dataclass(frozen=True)
class Settings:
    """Settings of JAX in one process, to be applied in another.

    Attributes:
        precision: "single" or "double".
        device: "auto", or the kind of device that was chosen.
        matmul_precision: Of matrix products, as JAX names it; None for its default.
        plain_programs: Programs are compiled without most optimisations, as tests have it.
    """

    precision: str
    device: Device
    matmul_precision: str | None
    plain_programs: bool

    @classmethod
    def here(cls) -> "Settings":
        """Those in force now."""
        import jax

        config: Any = jax.config
        chosen = config.jax_default_device
        device = "auto" if chosen is None else getattr(chosen, "platform", chosen)
        return cls(
            "double" if config.jax_enable_x64 else "single",
            device,
            config.jax_default_matmul_precision,
            bool(config.read(_PLAIN)),
        )

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Computes under these settings within the block."""
        import jax

        if bool(jax.config.read(_PLAIN)) != self.plain_programs:
            jax.config.update(_PLAIN, self.plain_programs)
        with (
            on_device(self.device),
            precision(self.precision),
            jax.default_matmul_precision(self.matmul_precision),
        ):
            yield


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def thread_share(processes: int) -> Iterator[None]:
    """Processes started within the block use their share of the cores; a number that the user set stays."""
    former = dict(os.environ)
    for name in _THREADS:
        os.environ.setdefault(name, str(max(1, cores() // processes)))
    try:
        yield
    finally:
        for name in set(_THREADS) - set(former):
            del os.environ[name]
