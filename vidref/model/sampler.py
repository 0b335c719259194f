"""Deterministic few-step sampling through diffusers' schedulers.

`sample` knows nothing of references: it is given the guided prediction as a function of (z_t, t).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from vidref.model.config import DiffusionConfig
from vidref.model.diffusion import add_noise, alpha_bars, betas_of

PREDICTION_TYPES = {"x0": "sample", "v": "v_prediction", "epsilon": "epsilon"}
Solver = Literal["ddim", "dpm"]


def build_scheduler(config: DiffusionConfig, solver: Solver = "ddim") -> Any:
    """A diffusers scheduler on exactly our alpha-bars; none of its steps draws noise."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    shared: dict[str, Any] = {
        "num_train_timesteps": config.train_steps,
        "trained_betas": betas_of(alpha_bars(config)),
        "prediction_type": PREDICTION_TYPES[config.prediction],
        # trailing spacing starts at the last, noisiest step even when there is only one
        "timestep_spacing": "trailing",
    }
    if solver == "dpm":
        # multistep solvers divide by the signal level; the last alpha-bar may be exactly zero
        shared["trained_betas"] = betas_of(alpha_bars(config).clamp(min=1e-6))
        return DPMSolverMultistepScheduler(**shared, final_sigmas_type="zero")
    return DDIMScheduler(**shared, clip_sample=False, set_alpha_to_one=True)


def timesteps(scheduler: Any, steps: int, start: float = 1.0) -> Tensor:
    """The last `steps` steps of a schedule that is long enough to begin at share `start` of it."""
    if steps < 1 or not 0 < start <= 1:
        raise ValueError("steps is at least 1 and start is in (0, 1]")
    longest = len(scheduler.alphas_cumprod)
    scheduler.set_timesteps(min(longest, max(steps, round(steps / start))))
    chosen = scheduler.timesteps[-steps:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(len(scheduler.timesteps) - len(chosen))
    return torch.as_tensor(chosen)


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    z_lq: Tensor,
    scheduler: Any,
    steps: int,
    start: float = 1.0,
) -> Tensor:
    """From noise to a clean latent; with `start` below 1 it begins at the noised degraded one."""
    times = timesteps(scheduler, steps, start)
    bar = torch.as_tensor(scheduler.alphas_cumprod)[times[0]].to(noise)
    # at start 1 there is no image in it, whatever little signal the schedule leaves: as in training
    z_t = add_noise(z_lq if start < 1 else torch.zeros_like(z_lq), noise, bar.expand(len(noise)))
    for t in times:
        z_t = scheduler.step(predict(z_t, t), t, z_t, return_dict=False)[0]
    return z_t
