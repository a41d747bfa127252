"""Schedulers of diffusers on Gaussian data of deviation 0.5, whose noise and velocity are known.

Runs as a script in any environment with diffusers and torch, so it imports nothing of this package:
    python schedulers_worker.py TASK.npz ANSWER.npz
The task holds points `x`, numbers of steps `flow_steps` and `ddim_steps`, `shift` and `mu`; the answer sigmas,
shares of signal and where the points end.
"""

import sys

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from diffusers.schedulers.scheduling_ddim import (  # pyright: ignore[reportMissingImports]
    DDIMScheduler,
)
from diffusers.schedulers.scheduling_ddim_inverse import (  # pyright: ignore[reportMissingImports]
    DDIMInverseScheduler,
)
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (  # pyright: ignore[reportMissingImports]
    FlowMatchEulerDiscreteScheduler,
)


def follow_flow(x, n_steps, settings, **mu):
    """Sigmas and the end of Euler steps along them."""
    scheduler = FlowMatchEulerDiscreteScheduler(**settings)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / n_steps, n_steps), **mu)
    for sigma, t in zip(scheduler.sigmas, scheduler.timesteps, strict=False):
        velocity = (sigma - 0.25 * (1 - sigma)) * x / (0.25 * (1 - sigma) ** 2 + sigma**2)
        x = scheduler.step(velocity, t, x).prev_sample
    return scheduler.sigmas.numpy(), x.numpy()


def follow_ddim(x, n_steps, kind):
    """Shares of signal and the end of the steps, which predict at the level that `kind` says."""
    scheduler = kind(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        timestep_spacing="leading", steps_offset=1,
    )  # fmt: skip
    scheduler.set_timesteps(n_steps)
    shares = scheduler.alphas_cumprod.double()
    scheduler.alphas_cumprod = shares
    for t in scheduler.timesteps:
        a = shares[t]
        x = scheduler.step((1 - a).sqrt() * x / (0.25 * a + 1 - a), int(t), x).prev_sample
    return shares.numpy(), x.numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as file:
        task = dict(file)
    x, found = torch.tensor(task["x"]), {}
    n = int(task["flow_steps"])
    found["sigmas"], found["flow"] = follow_flow(x, n, {"shift": float(task["shift"])})
    dynamic = {"use_dynamic_shifting": True}
    found["dynamic_sigmas"], found["dynamic_flow"] = follow_flow(
        x, n, dynamic, mu=float(task["mu"])
    )
    n = int(task["ddim_steps"])
    found["signal"], found["ddim"] = follow_ddim(x, n, DDIMScheduler)
    _, found["inverse"] = follow_ddim(x, n, DDIMInverseScheduler)
    np.savez(sys.argv[2], **found)
