"""The notebook on reward backpropagation: gradients of single paths, and the policies of the widget against the same by
hand."""

from typing import Any

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import reward_backprop
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import TiltedDensity
from tutorial_lib.notebooks.s05_2_reward_backpropagation import bugs, study
from tutorial_lib.policies import SteeredPolicy, rollout
from tutorial_lib.rewards import peak

from ..oracles import chain, seeded

ALPHAS, DEPTHS, REWARD = (0.05, 0.5), (2, 10), peak((2.0, 0.5))


@pytest.fixture(scope="module")
def scene():
    return study.scene(worlds.ring(T=10), REWARD, alphas=ALPHAS, depths=DEPTHS, iterations=4)


def held(x, world):
    """Which mode of Ring holds each point, if it is within three standard deviations, 0.9: [B, 8]."""
    distance = torch.cdist(x, world.mixture.means.to(x))
    return (distance <= 0.9) & (distance == distance.min(1, keepdim=True).values)


def test_slopes_of_a_linear_reward_through_a_gaussian_chain():
    """Every step multiplies by a number a_t: ∂x_0/∂x_t = Π_{s≤t} a_s on every path, and ∂r/∂u_t = σ_t Π_{s<t} a_s."""
    std, direction = 0.6, torch.tensor([1.0, -2.0])
    pretrained = chain(GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([std])), 12)
    s, n = pretrained.schedule, 40_000
    found = study.path_slopes(pretrained, lambda x: x @ direction, n, generator=seeded(0))
    carried = 1.0
    for t in range(1, 13):
        level = float(s.alpha_bar[t])
        expected = float(s.sigma[t]) * carried * direction
        torch.testing.assert_close(found.along[t - 1], expected.expand(n, 2), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(found.stretch[t - 1], torch.full((n,), carried), rtol=1e-3, atol=1e-5)
        error = found.across[t - 1].var(0).sum().div(n).sqrt()
        assert float((found.across[t - 1].mean(0) - expected).norm()) < 4 * float(error), "both have one mean"
        carried *= float(s.signal[t]) * level**0.5 * std**2 / (level * std**2 + 1 - level) + float(s.carry[t])
    assert found.x.shape == (13, n, 2) and float(found.x[12].std()) == pytest.approx(1, abs=0.02)
    assert float(found.x[0].std()) == pytest.approx(std, abs=0.05)


def test_batches_tell_the_slope_along_the_common_mean():
    along, across = torch.zeros(3, 6, 2), torch.zeros(3, 6, 2)
    along[1, :, 0], across[1, :, 0] = torch.tensor([1.0, 1, 1, 2, 2, 5]), 2.0
    along[1, :, 1] = torch.tensor([3.0, -3, 0, 3, -3, 0])  # across the mean, which tells nothing
    slopes = study.Slopes(torch.zeros(4, 6, 2), torch.zeros(3, 6), along, across)
    for told, expected in zip(study.batch_slopes(slopes, 2, n=3), ([1.0, 3.0], [2.0, 2.0]), strict=True):
        torch.testing.assert_close(told, torch.tensor(expected))


@pytest.mark.parametrize(("last", "alpha"), [(5, 0.5), (8, 0.2), (1, 1.0)])
def test_the_slopes_of_a_line_are_those_of_its_closed_form(last, alpha):
    """x_0 = Σ_t w_t (u_t + z_{t−1}) + w z_T with w_t = σ_t Π_{s<t} a_s, so ∂J/∂u_t = −2 w_t E[x_0 − c] − α u_t."""
    line = study.line()
    found, slips = study.line_slopes(line, alpha=alpha, last=last)
    carried = torch.cat([torch.ones(2), line.a[1:].cumprod(0)])  # entry t: a_1 … a_{t−1}
    w = line.sigma * carried[:-1]
    x_0 = (w[1:, None] * (line.u[1:, None] + line.z[:-1])).sum(0) + carried[-1] * line.z[-1]
    expected = -2 * w[1:] * (x_0 - line.c).mean() - alpha * line.u[1:]
    expected[last:] = 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    if (last, alpha) == (5, 0.5):  # the exercise's
        assert all(float((slip - found).abs().max() / found.abs().max()) > 0.01 for slip in slips.values())


def test_the_planted_bug_keeps_j_down_where_the_right_line_lets_it_rise():
    world = worlds.ring(T=10)
    wrong = bugs.follow(SteeredPolicy(world.pretrained), world.reward, 0.5, seeded(0), steps=25)
    right = SteeredPolicy(world.pretrained)
    options: dict[str, Any] = dict(n=32, iterations=25, mixed=False)
    steps = list(reward_backprop.fine_tune(right, world.reward, alpha=0.5, generator=seeded(0), **options))
    assert sum(wrong[-5:]) / 5 < sum(wrong[:5]) / 5 + 2 < sum(step.objective for step in steps[-5:]) / 5


def test_the_top_share_of_a_known_spread():
    gradients = torch.ones(2, 100, 2)
    gradients[1, 7] = 10.0
    assert study.top_share(gradients).tolist() == pytest.approx([0.01, 100 / 199])
    assert study.top_share(gradients, 0.5).tolist() == pytest.approx([0.5, 149 / 199])


@pytest.mark.parametrize(("alpha", "last"), [(0.05, 2), (0.5, 10)])
def test_a_policy_is_the_training_of_its_setting(scene, alpha, last):
    """By hand: the same loop, and KL and reward of 1000 paths step by step."""
    world = worlds.ring(T=10)
    policy, g = SteeredPolicy(world.pretrained), seeded(0)
    options: dict[str, Any] = dict(n=64, iterations=4, last=last, mixed=False)
    for _ in reward_backprop.fine_tune(policy, REWARD, alpha=alpha, generator=g, **options):
        pass
    path, tuned = rollout(policy, 1000, generator=seeded(1)), scene.tuned[alpha, last]
    with torch.no_grad():
        kl = torch.stack([policy.control(path.x[t], t).square().sum(1).mean() / 2 for t in range(1, 11)])
    assert torch.equal(tuned.x, path.x_0) and (tuned.alpha, tuned.last) == (alpha, last)
    torch.testing.assert_close(tuned.kl, kl)
    earned = float(-(path.x_0 - torch.tensor([2.0, 0.5])).square().sum(1).mean())
    assert tuned.reward == pytest.approx(earned, rel=1e-5)
    assert tuned.objective == pytest.approx(earned - alpha * float(kl.sum()), rel=1e-4)
    assert tuned.modes == int((held(path.x_0, world).sum(0) >= 50).sum()), "modes with 5 % of the samples"


def test_a_scene_has_every_pair_and_stays_below_the_optimum(scene):
    assert scene.alphas == list(ALPHAS) and scene.depths == list(DEPTHS) and len(scene.tuned) == 4
    for (alpha, last), tuned in scene.tuned.items():
        assert study.answer(scene, alpha=alpha, last=last) is tuned
        assert tuned.x.shape == (1000, 2) and torch.isfinite(tuned.x).all() and (tuned.kl >= 0).all()
        assert tuned.objective <= scene.tilted.at(alpha).objective + 0.05


def test_the_modes_of_the_optimum_are_those_with_a_twentieth_of_its_mass(scene):
    world = worlds.ring(T=10)
    exact = TiltedDensity(world.pretrained, REWARD, extent=5.0)
    inside = held(exact.grid.points.double(), world)
    for alpha in ALPHAS:
        mass = (inside * exact.at(alpha).mass.double().reshape(-1, 1)).sum(0)
        assert scene.modes[alpha] == int((mass >= 0.05).sum())
    assert scene.modes[0.05] != scene.modes[0.5]
