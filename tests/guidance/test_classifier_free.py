"""Classifier-free guidance against what it is made of, and against one Gaussian whose every step is linear."""

import pytest
import torch

from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.guidance import classifier_free
from tutorial_lib.guidance.classifier_free import ClassifierFreePolicy
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import DenoisingPolicy, rollout
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import chain, gaussian_chain, ring_mixture, seeded

MEAN, OTHER = torch.tensor([0.5, -1.0]), torch.tensor([1.5, 0.2])


def gaussian(mean, std, schedule):
    mixture = GaussianMixture(torch.ones(1), mean.unsqueeze(0), stds=torch.tensor([std]))
    return DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule)


@pytest.fixture(scope="module")
def pair():
    """The ring, and the three of its modes that count as the class."""
    ring = ring_mixture()
    some = GaussianMixture(torch.full((3,), 1 / 3), ring.means[:3], stds=torch.full((3,), 0.3))
    return chain(ring, 10), chain(some, 10)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_no_strength_is_the_pretrained_model_and_one_the_conditional(pair, strength):
    path = classifier_free.sample(*pair, n=50, strength=strength, generator=seeded(0))
    same = rollout(pair[int(strength)], 50, generator=seeded(0))
    assert torch.allclose(path.x, same.x, atol=1e-5)


@pytest.mark.parametrize("strength", [0.5, 3.0])
@pytest.mark.parametrize("t", [1, 5, torch.tensor([1, 4, 10, 7])])
def test_the_mean_is_that_of_the_combined_prediction(pair, strength, t):
    x = torch.randn(4, 2, generator=seeded(1))
    free, given = (policy.denoiser(x, t) for policy in pair)
    combined = pair[0].schedule.posterior_mean(free + strength * (given - free), x, t)
    policy = ClassifierFreePolicy(*pair, strength=strength)
    assert torch.allclose(policy.mean(x, t), combined, atol=1e-5)


@pytest.mark.parametrize("t", [1, 3, 8, 10])
def test_the_pull_is_the_gradient_of_the_class_probability(pair, t):
    """p_t(y|x) from the densities of the ring's noised modes, by autograd in float64."""
    schedule, x = pair[0].schedule, torch.randn(20, 2, generator=seeded(2), dtype=torch.float64).requires_grad_()
    level = schedule.alpha_bar[t].double()
    variance = level * 0.3**2 + 1 - level
    log_modes = -(x.unsqueeze(1) - level.sqrt() * ring_mixture().means.double()).square().sum(-1) / (2 * variance)
    log_class = log_modes[:, :3].logsumexp(1) - log_modes.logsumexp(1)
    (gradient,) = torch.autograd.grad(log_class.sum(), x)
    at = x.detach().float()
    pull = pair[1].denoiser(at, t) - pair[0].denoiser(at, t)
    assert torch.allclose(pull.double(), (1 - level) / level.sqrt() * gradient, atol=1e-4)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.5])
def test_two_gaussians_of_one_width_give_a_third_in_closed_form(strength):
    """Both predictions are linear with one slope, so the combination is that of a mean μ + γ(μ_y − μ)."""
    schedule = NoiseSchedule.cosine(20)
    x = classifier_free.sample(
        gaussian(MEAN, 0.6, schedule),
        gaussian(OTHER, 0.6, schedule),
        n=40_000,
        strength=strength,
        generator=seeded(3),
    ).x_0
    between = (MEAN + strength * (OTHER - MEAN)).double()
    mean, covariance = gaussian_chain(between, 0.36 * torch.eye(2, dtype=torch.float64), schedule)
    error = covariance.diagonal().sqrt() / len(x) ** 0.5
    assert ((x.double().mean(0) - mean).abs() < 4 * error).all()
    assert torch.allclose(x.double().T.cov(), covariance, atol=0.03 * covariance.max().item())


def test_the_path_kl_is_that_of_two_constant_drifts():
    """The same two Gaussians: the shift at t is γ c⁰_t (1−ᾱ_t)/(ᾱ_t s² + 1−ᾱ_t) (μ_y − μ)/σ_t, whatever x_t is."""
    schedule, s2, strength = NoiseSchedule.cosine(20), 0.36, 1.7
    level = schedule.alpha_bar[1:].double()
    share = (1 - level) / (level * s2 + 1 - level)
    drift = strength * schedule.signal[1:].double() * share / schedule.sigma[1:].double()
    expected = float(drift.square().sum() * (OTHER - MEAN).double().square().sum() / 2)
    policy = ClassifierFreePolicy(gaussian(MEAN, 0.6, schedule), gaussian(OTHER, 0.6, schedule), strength=strength)
    report = evaluate(policy, lambda x: x[:, 0], alpha=0, n=10, generator=seeded(4))
    assert report.kl == pytest.approx(expected, rel=1e-4)


def test_the_same_noise_gives_the_same_samples(pair):
    first, second = (classifier_free.sample(*pair, n=9, strength=2.0, generator=seeded(5)).x for _ in range(2))
    assert torch.equal(first, second) and first.shape == (11, 9, 2)
