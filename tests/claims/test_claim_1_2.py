import math

import pytest
import torch

from tutorial_lib.distributions import GaussianMixture

from ..oracles import around, law, noised_law, parameters, score

CLAIM = dict(
    number="1.2",
    section="§1.1",
    statement="Tweedie: E[x_0|x_t] = (x_t + (1−ᾱ_t) ∇log p_t(x_t))/√ᾱ_t, the left side by Bayes' rule, the right side "
    "by differentiating the log-density",
    notebook="01_1_diffusion_models",
    function="tutorial_lib.distributions.GaussianMixture.denoise",
)
LEVELS = (0.05, 0.2, 0.5, 0.8, 0.98)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_claim_1_2_the_posterior_mean_is_tweedies(dtype, claim):
    """Twelve random mixtures, D = 1 to 64; autograd of torch.distributions' log-density in float64 on the right."""
    worst = 0.0
    for seed, D in enumerate((1, 2, 3, 8, 16, 64) * 2):
        weights, means, covariances = (a.to(dtype) for a in parameters(seed, D, 1 + seed % 6))
        mixture = GaussianMixture(weights, means, covariances)
        for level in LEVELS:
            marginal = noised_law(weights, means, covariances, level)
            x_t = around(marginal, 30, seed).to(dtype)
            tweedie = (x_t.double() + (1 - level) * score(marginal, x_t)) / math.sqrt(level)
            for value in (mixture.denoise(x_t, level), mixture.posterior(x_t, level).mean):
                gap = (value.double() - tweedie).norm(dim=-1) / tweedie.norm(dim=-1).clamp_min(1)
                worst = max(worst, gap.max().item())
    claim.record(
        label=f"float{torch.finfo(dtype).bits}",
        measured=f"largest relative error {worst:.0e}, 12 mixtures in 1 to 64 dimensions",
        threshold="≤ 1e-5",
        seed=0,
    )
    assert worst <= 1e-5


def test_claim_1_2_by_quadrature_over_x_0(claim):
    """The left side as a ratio of sums over a fine grid of x_0, knowing nothing of mixtures."""
    weights, means, covariances = parameters(3, 2, 4, condition=10.0)
    axis = torch.linspace(-8, 8, 801, dtype=torch.float64)
    x_0 = torch.cartesian_prod(axis, axis)
    prior, worst = law(weights, means, covariances).log_prob(x_0), 0.0
    for level in (0.1, 0.5, 0.9):
        marginal = noised_law(weights, means, covariances, level)
        for x_t in around(marginal, 5, 0):
            likelihood = -(x_t - math.sqrt(level) * x_0).square().sum(1) / (2 * (1 - level))
            bayes = (prior + likelihood).softmax(0) @ x_0
            tweedie = (x_t + (1 - level) * score(marginal, x_t[None])[0]) / math.sqrt(level)
            mine = GaussianMixture(weights, means, covariances).denoise(x_t[None], level)[0]
            worst = max(worst, (bayes - tweedie).norm().item(), (bayes - mine).norm().item())
    claim.record(label="quadrature", measured=f"largest error {worst:.0e}", threshold="≤ 1e-5", seed=3)
    assert worst <= 1e-5
