"""The exact denoiser settles σ_t by what x_t leaves unknown of x_0."""

import math

import pytest
import torch

from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import SoftValues
from tutorial_lib.policies import DenoisingPolicy
from tutorial_lib.rewards import peak
from tutorial_lib.schedules import DATA_STD, NoiseSchedule

from ..oracles import parameters, ring_mixture


def test_the_spread_of_one_gaussian_is_closed_form():
    d, schedule = 0.7, NoiseSchedule.cosine(20)
    denoiser = ExactDenoiser(GaussianMixture(torch.ones(1), torch.zeros(1, 3), stds=torch.tensor([d])), schedule)
    level, noise = schedule.alpha_bar.double(), schedule.noise.double()
    exact = d**2 * noise / (level * d**2 + noise)
    found = denoiser.spread()
    assert found[0] == 0
    torch.testing.assert_close(found[1:], exact[1:], rtol=0.03, atol=0)


def test_the_spread_of_a_mixture_is_its_posteriors_mean_variance():
    """The trace of Cov(x_0|x_t) from component weights, means and covariances, over fresh draws of x_t."""
    weights, means, covariances = parameters(3, 2, 6)
    schedule = NoiseSchedule.cosine(30)
    spread = ExactDenoiser(GaussianMixture(weights, means, covariances), schedule).spread()
    g, eye = torch.Generator().manual_seed(5), torch.eye(2, dtype=torch.float64)
    for t in (2, 10, 20, 28):
        level = float(schedule.alpha_bar[t])
        k = torch.multinomial(weights, 20_000, replacement=True, generator=g)
        z = torch.randn(len(k), 2, 1, dtype=torch.float64, generator=g)
        total = level * covariances + (1 - level) * eye  # Cov of x_t in each component
        x_t = math.sqrt(level) * means[k] + (torch.linalg.cholesky(total)[k] @ z).squeeze(2)
        law = torch.distributions.MultivariateNormal(math.sqrt(level) * means, total)
        w = (weights.log() + law.log_prob(x_t.unsqueeze(1))).softmax(1)
        gain = math.sqrt(level) * covariances @ torch.linalg.inv(total)
        m = means + torch.einsum("kij,nkj->nki", gain, x_t.unsqueeze(1) - math.sqrt(level) * means)
        inside = (covariances - math.sqrt(level) * gain @ covariances).diagonal(dim1=1, dim2=2).sum(1)
        mean = (w.unsqueeze(2) * m).sum(1, keepdim=True)
        traces = (w * (inside + (m - mean).square().sum(2))).sum(1) / 2
        assert float(spread[t]) == pytest.approx(float(traces.mean()), rel=0.08)


def test_the_first_denoiser_settles_the_schedule_and_a_width_that_was_given_stays():
    narrow = GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.05]))
    schedule, given = NoiseSchedule.cosine(10), NoiseSchedule.cosine(10, data_std=DATA_STD)
    at_first = schedule.sigma.clone()
    assert torch.equal(at_first, given.sigma)
    ExactDenoiser(narrow, schedule)
    settled = schedule.sigma.clone()
    assert (settled[1:] < at_first[1:]).all() and (settled[1:] >= schedule.posterior_std[1:]).all()
    ExactDenoiser(ring_mixture(), schedule)
    ExactDenoiser(narrow, given)
    assert torch.equal(schedule.sigma, settled) and torch.equal(given.sigma, at_first)
    assert torch.equal(schedule.to("cpu").sigma, settled)


@pytest.mark.parametrize("spread", [torch.ones(10), torch.zeros(11), torch.full((11,), math.nan)])
def test_a_spread_that_is_none_is_refused(spread):
    with pytest.raises(ValueError, match=r"variances > 0 of shape \[11\]"):
        NoiseSchedule.cosine(10).settle(spread)


def test_the_chain_of_an_anisotropic_mixture_ends_nearer_to_its_data():
    """|J* − α log Z| of the data, closed form for a quadratic reward, in units of J* − J_pre."""
    weights, means, covariances = parameters(3, 2, 6)
    mixture = GaussianMixture(weights.float(), 0.8 * means.float(), covariances.float() / 4)
    alpha, center = 0.5, torch.tensor([1.0, 0.5])
    _, log_z = mixture.tilt(linear=2 * center / alpha, quadratic=2 * torch.eye(2) / alpha)
    exact = alpha * float(log_z) - float(center.square().sum())
    gaps = []
    for data_std in (DATA_STD, None):
        schedule = NoiseSchedule.cosine(50, data_std=data_std)
        pretrained = DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule)
        soft = SoftValues(pretrained, peak(center.tolist()), alpha=alpha, extent=6.0)
        gaps.append(soft.share(abs(soft.optimum - exact)))
    assert gaps[1] <= 0.0035 and gaps[1] < 0.7 * gaps[0]
