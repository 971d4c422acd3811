"""The best policy of Gaussian steps against a Riccati recursion, its own samples, and other policies."""

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import GaussianOptimum
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import DenoisingPolicy
from tutorial_lib.rewards import peak
from tutorial_lib.schedules import NoiseSchedule

MEAN, STD, CENTRE, ALPHA = 0.4, 0.7, 1.1, 0.5


@pytest.fixture(scope="module")
def ring():
    world = worlds.ring(T=20)
    best = GaussianOptimum(world.pretrained, world.reward, alpha=world.alpha, extent=5.0, grid=121)
    return world, best


def evaluated(policy, world, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return evaluate(policy, world.reward, alpha=world.alpha, n=40_000, generator=generator)


def riccati(schedule: NoiseSchedule) -> float:
    """J_G* along one axis for x_0 ~ N(MEAN, STD²) and r = −(x − CENTRE)², where every V_t is −k(x − m)² + e.

    A blur by σ lowers it by kσ²; the best shift makes the slope k' = k c/(k + c), c = α/2σ², at the same m.
    """
    k, m, e = 1.0, CENTRE, 0.0
    for t in range(1, schedule.T + 1):
        level, noise, sigma = (float(getattr(schedule, name)[t]) for name in ("alpha_bar", "noise", "sigma"))
        gain = level**0.5 * STD**2 / (level * STD**2 + noise)  # x̂_0 = MEAN + gain (x − √ᾱ MEAN)
        slope = float(schedule.signal[t]) * gain + float(schedule.carry[t])
        offset = float(schedule.signal[t]) * (1 - gain * level**0.5) * MEAN
        c = ALPHA / (2 * sigma**2)
        e, k = e - k * sigma**2, k * c / (k + c)
        k, m = k * slope**2, (m - offset) / slope
    return e - k * (1 + m**2)


def test_one_gaussian_and_a_quadratic_reward_follow_riccati():
    schedule = NoiseSchedule.cosine(20)
    mixture = GaussianMixture(torch.ones(1), torch.full((1, 2), MEAN), stds=torch.tensor([STD]))
    pretrained = DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule)
    best = GaussianOptimum(pretrained, peak((CENTRE, CENTRE)), alpha=ALPHA, extent=6.0)
    assert best.optimum == pytest.approx(2 * riccati(schedule), abs=1e-3)


def test_sampled_it_attains_what_it_promises(ring):
    world, best = ring
    report = evaluated(best, world)
    assert abs(report.objective - best.optimum) < 4 * report.objective_se
    assert abs(best.learning_gap(report)) < 0.01


def test_it_stands_between_any_gaussian_policy_and_the_optimum(ring):
    world, best = ring
    guided = evaluated(ValueWeightedPolicy(world.pretrained, best.soft, alpha=world.alpha), world)
    assert guided.objective < best.optimum + 4 * guided.objective_se
    assert best.optimum < best.soft.optimum
    assert best.soft.regret(guided) == pytest.approx(best.family_gap + best.learning_gap(guided))


def test_the_family_gap_falls_with_more_steps(ring):
    world = worlds.ring(T=50)
    finer = GaussianOptimum(world.pretrained, world.reward, alpha=world.alpha, extent=5.0, grid=121)
    assert 0 < finer.family_gap < 0.5 * ring[1].family_gap
    assert finer.family_gap < 0.006


def test_the_shift_takes_many_times_at_once(ring):
    _, best = ring
    x, t = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 20 + 1
    together = best.shift(x, t)
    alone = torch.cat([best.shift(x[i : i + 1], int(t[i])) for i in range(64)])
    assert torch.allclose(together, alone, atol=1e-5)
