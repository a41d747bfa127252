#!/usr/bin/env bash
# DDIM with diffusers' default spacing starts far below the highest noise when the number of steps does not divide 1,000: 501 steps start half way.
#
# With: diffusers 0.42.1, torch 2.13.0 on the CPU, DDIMScheduler with its defaults but for clip_sample=False (spacing "leading").
# Expected: more steps between the same two ends, so that the error falls with their number.
# Seen: set_timesteps(500) begins at time step 998, 501 at 500, 600 at 599, 300 at 897, 30 at 957. What begins is noise of unit variance, which is what the
#   model expects at 999 only. Data of standard deviation 0.5 with the exact noise predictor: samples of 500 steps have 0.500, of 501 steps 0.55.
#   "trailing" begins at 999 for every number.
# Way round: timestep_spacing="trailing", or a divisor of the training steps. lightecho's `make_ddim_grid` refuses such a number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet diffusers==0.42.1 torch==2.13.0 transformers==5.24.0 numpy==2.4.6
cd "$folder"
cat >run.py <<'PYTHON'
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

SD = 0.5


def deviation(steps, spacing):
    """Standard deviation of what the scheduler makes of unit noise, with the exact predictor of Gaussian data."""
    scheduler = DDIMScheduler(clip_sample=False, timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    kept = scheduler.alphas_cumprod.double()
    x = torch.ones(1, dtype=torch.float64)
    for t in scheduler.timesteps:
        a = kept[t]
        noise = x * (1 - a) ** 0.5 / (a * SD**2 + 1 - a)
        x = scheduler.step(noise, t, x).prev_sample
    return int(scheduler.timesteps[0]), float(x)


found = {}
for steps in (30, 50, 300, 500, 501, 600):
    for spacing in ("leading", "trailing"):
        found[steps, spacing] = first, sd = deviation(steps, spacing)
        print(f"{steps:4d} steps, {spacing:8s} begins at {first}, standard deviation {sd:.3f}")
begins = {steps: found[steps, "leading"][0] for steps in (30, 50, 300, 500, 501, 600)}
same = begins == {30: 957, 50: 980, 300: 897, 500: 998, 501: 500, 600: 599}
same &= all(first == 999 for (_, spacing), (first, _) in found.items() if spacing == "trailing")
same &= abs(found[500, "leading"][1] - SD) < 0.01 < 0.03 < found[501, "leading"][1] - SD
raise SystemExit(0 if same else 1)
PYTHON
env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
