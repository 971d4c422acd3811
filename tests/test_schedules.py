"""NoiseSchedule against Gaussian conditioning in float64, and a long chain that must stay finite."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.policies import rollout
from tutorial_lib.schedules import NoiseSchedule

from .oracles import chain, noised_law, parameters, ring_mixture, seeded

KINDS = ["cosine", "linear"]
steady = settings(max_examples=30, deadline=None, derandomize=True, database=None)
many_T = given(T=st.integers(2, 1000) | st.sampled_from([2, 3, 1000]))


def betas(kind, T):
    """β_1..β_T of Ho et al. 2020 rescaled, or of Nichol & Dhariwal 2021, in float64."""
    if kind == "linear":
        return 1 - np.exp(-(0.1 + 19.9 * (np.arange(T) + 0.5) / T) / T)
    level = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - level[1:] / level[:-1], 0.999)


def conditioned(before, beta):
    """Weights of x_0 and x_t in E[x_{t−1}|x_t, x_0] and its variance, from the joint Gaussian given x_0.

    x_{t−1} = √ᾱ_{t−1} x_0 + √(1−ᾱ_{t−1}) ε,  x_t = √(1−β) x_{t−1} + √β ε′
    """
    variance, keep = 1 - before, math.sqrt(1 - beta)  # Var x_{t−1} and the slope of x_t in it
    gain = variance * keep / (keep**2 * variance + beta)  # Cov(x_{t−1}, x_t) / Var x_t
    return math.sqrt(before) * (1 - gain * keep), gain, variance * (1 - gain * keep)


@pytest.mark.parametrize("kind", KINDS)
@steady
@many_T
def test_the_signal_falls_from_one_and_every_step_has_noise(kind, T):
    schedule = getattr(NoiseSchedule, kind)(T)
    level = schedule.alpha_bar
    assert level.shape == schedule.sigma.shape == schedule.noise.shape == schedule.signal.shape == (T + 1,)
    assert level[0] == 1 and schedule.sigma[0] == 0 and schedule.noise[0] == 0
    assert ((level[1:] > 0) & (level[1:] < 1)).all() and (level.diff() < 0).all()
    assert (schedule.sigma[1:] > 0).all() and torch.isfinite(schedule.sigma).all()
    assert level[T] < 0.01


@pytest.mark.parametrize("kind", KINDS)
@steady
@many_T
def test_the_steps_are_the_gaussian_conditioned_on_data_and_next_state(kind, T):
    schedule = getattr(NoiseSchedule, kind)(T)
    beta = betas(kind, T)
    level = np.concatenate([[1], np.cumprod(1 - beta)])
    exact = np.array([conditioned(level[t - 1], beta[t - 1]) for t in range(1, T + 1)]).T
    got = [schedule.signal[1:].double().numpy(), schedule.carry[1:].double().numpy()]
    for value, truth in zip(got, exact, strict=False):
        assert np.abs(value - truth).max() <= 1e-6
    variance = schedule.posterior_std[2:].double().numpy() ** 2
    assert np.abs(variance / exact[2][1:] - 1).max() <= 1e-6 and schedule.posterior_std[1] == 0
    assert np.abs(schedule.alpha_bar.double().numpy() / level - 1).max() <= 1e-6
    assert np.abs(schedule.noise[1:].double().numpy() / (1 - level[1:]) - 1).max() <= 1e-6
    assert np.abs(schedule.beta[1:].double().numpy() / beta - 1).max() <= 1e-6


@pytest.mark.parametrize("data_std", [0.1, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("kind", KINDS)
@steady
@many_T
def test_a_steps_spread_is_exact_for_gaussian_data(kind, data_std, T):
    """Var(x_{t−1}|x_t) for x_0 ~ N(0, d²), from the joint Gaussian of the two states; β_t itself at d = 1."""
    schedule = getattr(NoiseSchedule, kind)(T, data_std=data_std)
    beta = betas(kind, T)
    before = np.concatenate([[1], np.cumprod(1 - beta)])[:-1]
    prior = before * data_std**2 + 1 - before  # Var x_{t−1}
    exact = prior - (1 - beta) * prior**2 / ((1 - beta) * prior + beta)
    got = schedule.sigma[1:].double().numpy() ** 2
    assert np.abs(got / exact - 1).max() <= 1e-6
    if data_std == 1:
        assert np.abs(got / beta - 1).max() <= 1e-6


def test_a_schedule_of_ones_own_is_taken_as_it_is():
    schedule = NoiseSchedule(torch.tensor([0.1, 0.2, 0.4]))
    assert schedule.T == 3
    assert schedule.alpha_bar.tolist() == pytest.approx([1, 0.9, 0.72, 0.432])
    assert schedule.posterior_std.tolist() == pytest.approx(
        [0, 0, math.sqrt(0.2 * 0.1 / 0.28), math.sqrt(0.4 * 0.28 / 0.568)]
    )
    assert schedule.signal[1] == 1 and schedule.carry[1] == 0  # x_0's mean given x_1 is the denoiser's word


@pytest.mark.parametrize("kind", KINDS)
def test_at_T_400_every_log_probability_is_finite(kind):
    policy = chain(ring_mixture(), 400, kind=kind)
    path = rollout(policy, 200, generator=seeded(0))
    log_prob = policy.log_prob(path)
    assert torch.isfinite(path.x).all() and torch.isfinite(log_prob).all()
    assert path.x.shape == (401, 200, 2) and log_prob.shape == (401, 200)
    exact = torch.distributions.Normal(0, policy.schedule.sigma[1:]).entropy().sum() * -2  # E log p of 400 steps
    total = log_prob.sum(0)
    assert abs((total.mean() - exact).item()) <= 4 * total.std().item() / 200**0.5


@pytest.mark.parametrize("T", [2, 3, 7])
def test_the_shortest_chains_run(T):
    path = rollout(chain(ring_mixture(), T), 100, generator=seeded(0))
    assert path.x.shape == (T + 1, 100, 2) and torch.isfinite(path.x).all()


def test_the_index_is_the_papers_subscript():
    """x_t is made from x_0 at level ᾱ_t, and one step from x_{t−1} to x_t keeps √(1−β_t)."""
    schedule, x_0 = NoiseSchedule.cosine(10), torch.full((200_000, 1), 3.0)
    for t in (1, 4, 10):
        x_t, epsilon = schedule.add_noise(x_0, t, generator=seeded(t))
        level = schedule.alpha_bar[t].item()
        assert torch.allclose(x_t, 3 * level**0.5 + (1 - level) ** 0.5 * epsilon, atol=1e-6)
        after = schedule.forward_step(x_0, t, generator=seeded(t))
        kept = 1 - schedule.beta[t].item()
        assert abs(after.mean().item() - 3 * kept**0.5) <= 4 * ((1 - kept) / 200_000) ** 0.5
        assert after.var().item() == pytest.approx(1 - kept, rel=0.02)
    assert torch.equal(schedule.add_noise(x_0, 0, generator=seeded(0))[0], x_0)


def test_t_may_differ_from_row_to_row():
    schedule = NoiseSchedule.cosine(10)
    x_0, x_t = torch.randn(2, 5, 3, 4, 4, generator=seeded(0))
    t = torch.tensor([1, 10, 3, 3, 7])
    rows = torch.cat([schedule.posterior_mean(x_0[i : i + 1], x_t[i : i + 1], int(t[i])) for i in range(5)])
    assert torch.equal(schedule.posterior_mean(x_0, x_t, t), rows)
    noisy, epsilon = schedule.add_noise(x_0, t, generator=seeded(1))
    level = schedule.alpha_bar[t].reshape(5, 1, 1, 1)
    assert torch.allclose(noisy, level.sqrt() * x_0 + (1 - level).sqrt() * epsilon, atol=1e-6)


def test_a_schedule_moves_to_another_device_whole():
    schedule = NoiseSchedule.linear(5)
    moved = schedule.to("meta")
    assert moved.T == 5 and schedule.sigma.device.type == "cpu"
    assert all(a.device.type == "meta" for a in vars(moved).values() if isinstance(a, torch.Tensor))


@pytest.mark.parametrize("kind", KINDS)
def test_the_mixture_under_many_small_steps_is_the_mixture_under_one(kind):
    """One step at a time, each with its own β_t, against the law at ᾱ_t: densities of all 60 levels."""
    mixture, schedule = GaussianMixture(*parameters(0, 2, 3)), getattr(NoiseSchedule, kind)(60)
    x = 2 * torch.randn(50, 2, generator=seeded(0), dtype=torch.float64)
    step_by_step = mixture
    for t in range(1, 61):
        step_by_step = step_by_step.noised(1 - schedule.beta[t].double())
        at_once = noised_law(mixture.weights, mixture.means, mixture.covariances, schedule.alpha_bar[t].item())
        assert torch.allclose(step_by_step.log_prob(x), at_once.log_prob(x), rtol=1e-4, atol=1e-4)


def test_forward_steps_one_after_another_lead_to_the_law_at_that_level():
    """x_0 = 3, and 20 steps by `forward_step`: mean and variance within 4.5 standard errors at every t."""
    schedule, x, n = NoiseSchedule.cosine(20), torch.full((100_000, 1), 3.0), 100_000
    for t in range(1, 21):
        x = schedule.forward_step(x, t, generator=seeded(t))
        level = schedule.alpha_bar[t].item()
        assert abs(x.mean().item() - 3 * level**0.5) <= 4.5 * ((1 - level) / n) ** 0.5
        assert x.var().item() == pytest.approx(1 - level, rel=4.5 * (2 / n) ** 0.5)


def test_one_schedule_matches_another_by_its_noise_levels():
    cosine = NoiseSchedule.cosine(8)
    assert cosine.matches(cosine) and cosine.matches(NoiseSchedule.cosine(8, data_std=2.0))
    assert not cosine.matches(NoiseSchedule.linear(8)) and not cosine.matches(NoiseSchedule.cosine(9))
