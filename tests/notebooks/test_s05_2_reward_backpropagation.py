"""The notebook on reward backpropagation: gradients of single paths, and the policies of the widget against the same by
hand."""

from typing import Any

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import reward_backprop
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import TiltedDensity
from tutorial_lib.notebooks.s05_2_reward_backpropagation import study
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


def test_the_gradient_of_a_linear_reward_through_a_gaussian_chain():
    """Every step multiplies by a number a_t, so ∂x_0/∂u_t = σ_t Π_{s<t} a_s on every path."""
    std, direction = 0.6, torch.tensor([1.0, -2.0])
    pretrained = chain(GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([std])), 12)
    s = pretrained.schedule
    found = study.path_gradients(pretrained, lambda x: x @ direction, 5, generator=seeded(0))
    carried = 1.0
    for t in range(1, 13):
        level = float(s.alpha_bar[t])
        expected = float(s.sigma[t]) * carried * direction
        torch.testing.assert_close(found[t - 1], expected.expand(5, 2), rtol=1e-3, atol=1e-5)
        carried *= float(s.signal[t]) * level**0.5 * std**2 / (level * std**2 + 1 - level) + float(s.carry[t])


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
