"""The forward process, the names of a prediction, and deterministic sampling."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler

from vidref.model.config import DiffusionConfig
from vidref.model.diffusion import add_noise, alpha_bars, to_x0
from vidref.model.noise import person_noise
from vidref.model.sampler import build_scheduler, sample, timesteps

X0 = DiffusionConfig(prediction="x0", schedule="cosine", shift=2.0, zero_terminal_snr=True)
SD = DiffusionConfig(prediction="epsilon", schedule="scaled-linear")


def test_the_stable_diffusion_schedule_is_diffusers_own() -> None:
    theirs = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    torch.testing.assert_close(alpha_bars(SD), theirs.alphas_cumprod, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("config", [X0, SD])
@pytest.mark.parametrize("solver", ["ddim", "dpm"])
def test_a_scheduler_runs_on_exactly_our_schedule(config: DiffusionConfig, solver: str) -> None:
    found = build_scheduler(config, solver).alphas_cumprod  # type: ignore[arg-type]
    torch.testing.assert_close(found, alpha_bars(config), atol=2e-5, rtol=1e-4)


def test_a_schedule_with_zero_terminal_signal_ends_in_pure_noise_and_never_rises() -> None:
    bars = alpha_bars(X0)
    assert bars[-1] == 0
    assert (bars.diff() < 0).all()


def test_all_three_predictions_name_the_same_clean_image() -> None:
    clean, noise, bars = (
        torch.randn(4, 2, 4, 4),
        torch.randn(4, 2, 4, 4),
        torch.rand(4) * 0.9 + 0.05,
    )
    z_t = add_noise(clean, noise, bars)
    a = bars.view(-1, 1, 1, 1)
    v = a.sqrt() * noise - (1 - a).sqrt() * clean
    for kind, prediction in (("x0", clean), ("epsilon", noise), ("v", v)):
        torch.testing.assert_close(to_x0(kind, prediction, z_t, bars), clean, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 50])
def test_sampling_visits_as_many_steps_as_asked_from_the_noisiest(steps: int) -> None:
    times = timesteps(build_scheduler(X0), steps)
    assert len(times) == steps and times[0] == 999 and (times.diff() < 0).all()


@pytest.mark.parametrize("config", [X0, SD])
@pytest.mark.parametrize("steps", [1, 2, 4, 8, 50])
@pytest.mark.parametrize("solver", ["ddim", "dpm"])
def test_a_perfect_prediction_is_reached_in_any_number_of_steps(
    config: DiffusionConfig, steps: int, solver: str
) -> None:
    clean, noise = torch.rand(2, 3, 8, 8) * 2 - 1, torch.randn(2, 3, 8, 8)
    scheduler = build_scheduler(config, solver)  # type: ignore[arg-type]

    def perfect(z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if config.prediction == "x0":
            return clean
        bar = scheduler.alphas_cumprod[t]
        return (z_t - bar.sqrt() * clean) / (1 - bar).sqrt()

    found = sample(perfect, noise, clean, scheduler, steps)
    torch.testing.assert_close(found, clean, atol=2e-3, rtol=0)


def test_ddim_follows_its_equation_step_by_step() -> None:
    scheduler, noise = build_scheduler(X0), torch.randn(1, 3, 4, 4)
    bars = alpha_bars(X0).double()

    def model(z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z * 0.7 + 0.1)

    z = noise.double()
    for t, before in ((999, 749), (749, 499), (499, 249), (249, None)):
        x0 = model(z)
        epsilon = (z - bars[t].sqrt() * x0) / (1 - bars[t]).sqrt()
        a = torch.tensor(1.0).double() if before is None else bars[before]
        z = a.sqrt() * x0 + (1 - a).sqrt() * epsilon
    found = sample(lambda z_t, t: model(z_t), noise, torch.zeros_like(noise), scheduler, 4)
    torch.testing.assert_close(found.double(), z, atol=1e-5, rtol=1e-5)


def test_a_late_start_begins_at_the_noised_degraded_crop() -> None:
    scheduler, seen = build_scheduler(X0), []
    crop, noise = torch.full((1, 3, 4, 4), 0.5), torch.randn(1, 3, 4, 4)

    def model(z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append((int(t), z_t))
        return torch.zeros_like(z_t)

    sample(model, noise, crop, scheduler, steps=4, start=0.5)
    assert [t for t, _ in seen] == [499, 374, 249, 124]
    bar = alpha_bars(X0)[499]
    torch.testing.assert_close(seen[0][1], bar.sqrt() * crop + (1 - bar).sqrt() * noise)


def test_noise_is_a_persons_own_and_does_not_change() -> None:
    shape = (4, 16, 16)
    one = person_noise(7, "ada", shape)
    assert torch.equal(one, person_noise(7, "ada", shape))
    assert not torch.equal(one, person_noise(7, "bob", shape))
    assert not torch.equal(one, person_noise(8, "ada", shape))
    large = person_noise(7, "ada", (16, 64, 64))
    assert abs(float(large.mean())) < 0.02 and abs(float(large.std()) - 1) < 0.02
