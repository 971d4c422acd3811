"""Four predictions are one model, and training finds the exact score."""

import itertools

import pytest
import torch

from tutorial_lib.denoisers import PREDICTIONS, MLPDenoiser, convert, pretrain
from tutorial_lib.worlds import ring

CLAIM = dict(
    number="1.3",
    section="§1.1",
    statement="ε-, x_0-, v- and score-prediction are one model: a conversion and back changes nothing; and the "
    "denoising loss is minimised by the exact score: a trained network's score error, as a share of the score's "
    "energy, averaged over t.",
    notebook="01_1_diffusion_models",
    function="tutorial_lib.denoisers.pretrain",
)


def test_claim_1_3_four_predictions_are_one_model(claim):
    """Every kind to every other and back at every t, relative to the prediction's size."""
    world, generator = ring(), torch.Generator().manual_seed(0)
    assert world.mixture is not None
    x_0, worst = world.data(1000, generator=generator), 0.0
    for t in range(1, world.schedule.T + 1):
        level = world.schedule.alpha_bar[t].double()
        x_t = level.sqrt() * x_0.double() + (1 - level).sqrt() * torch.randn(1000, 2, generator=generator)
        exact = world.mixture.to(torch.float64).denoise(x_t, level)
        for source, target in itertools.permutations(PREDICTIONS, 2):
            before = convert(exact, x_t, level, "x_0", source)
            after = convert(convert(before, x_t, level, source, target), x_t, level, target, source)
            worst = max(worst, float((after - before).norm() / before.norm()))
    assert worst <= 1e-5
    claim.record(label="round trip in float64", measured=f"{worst:.0e}", threshold="≤ 1e-5", seed=0)


@pytest.mark.timeout(240)
def test_claim_1_3_training_finds_the_exact_score(claim):
    world = ring()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        denoiser = MLPDenoiser(world.schedule)
    generator = torch.Generator().manual_seed(0)
    untrained = mean_score_error(denoiser, world, seed=1)
    for _ in pretrain(denoiser, world.data, steps=1500, batch=1024, learning_rate=1e-2, generator=generator):
        pass
    error = mean_score_error(denoiser, world, seed=1)
    assert error <= 0.05 < untrained
    claim.record(
        label="score error of a trained network",
        measured=f"{error:.1%} (untrained: {untrained:.0%})",
        threshold="≤ 5 %",
        seed=0,
    )


@torch.no_grad()
def mean_score_error(denoiser, world, *, seed):
    """E‖ŝ_t − ∇log p_t‖² / E‖∇log p_t‖² under x_t ~ p_t, averaged over t; the exact score is the mixture's own."""
    generator, shares = torch.Generator().manual_seed(seed), []
    for t in range(1, world.schedule.T + 1):
        level = world.schedule.alpha_bar[t]
        noised = world.mixture.noised(level)
        x_t = noised.sample(4000, generator=generator)
        exact, learned = noised.score(x_t), convert(denoiser(x_t, t), x_t, level, "x_0", "score")
        shares.append(float((learned - exact).square().sum() / exact.square().sum()))
    return sum(shares) / len(shares)
