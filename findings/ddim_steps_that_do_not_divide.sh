#!/usr/bin/env bash
# DDIM of diffusers with a number of steps that does not divide 1,000: "leading" begins as low as half way, "trailing" steps short of its own list.
#
# With: diffusers 0.42.1, torch 2.13.0 on the CPU, DDIMScheduler with its defaults but for clip_sample=False.
# Expected: more steps between the same two ends, so that the error falls with their number.
# Seen: data of standard deviation 0.5 and their exact noise predictor. Both spacings give 0.497 with 500 steps. With 501, "leading" begins at time
#   step 500 in place of 999, with noise of a variance that belongs to 999, and gives 0.514; "trailing" begins at 999, its list falls by two or one,
#   each step by 1000 // 501 = 1, and it gives 0.706 (600 steps 0.659, 300 steps 0.532, 30 steps 0.457 beside 0.455 of "leading").
# Way round: a number of steps that divides those of training. lightecho's `make_ddim_grid` steps along its own list, and refuses a "leading"
#   that begins two strides or more below the noisiest level.
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
expected = {
    (500, "leading"): 0.497,
    (500, "trailing"): 0.497,
    (501, "leading"): 0.514,
    (501, "trailing"): 0.706,
    (600, "trailing"): 0.659,
    (300, "trailing"): 0.532,
}
same &= all(abs(found[key][1] - sd) < 0.0015 for key, sd in expected.items())
raise SystemExit(0 if same else 1)
PYTHON
env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
