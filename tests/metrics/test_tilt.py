"""The applied α against Gaussians that were moved by hand, the soft-optimal chain, and policies that did nothing."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import SoftValues
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.metrics import applied_tilt
from tutorial_lib.metrics.tilt import line
from tutorial_lib.policies import SteeredPolicy

from ..oracles import RING_ALPHA, RING_EXTENT, RING_REWARD, chain, ring
from .brighter import small_images

STD, T, PUSH = 0.5, 20, 0.15


class Push(nn.Module):
    """u_t = PUSH along the first axis, wherever it is asked."""

    def forward(self, x_t, t):
        return torch.tensor([PUSH, 0.0]).expand_as(x_t)


class Along:
    """r(x) = sign · x₁."""

    def __init__(self, sign):
        self.sign = sign

    def __call__(self, x):
        return self.sign * x[:, 0]


def pushed():
    """One Gaussian's chain, and the same with its mean moved: x_0 is Gaussian with the same spread."""
    pretrained = chain(GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([STD])), T)
    return SteeredPolicy(pretrained, Push())


def moved_by_hand(schedule):
    """How far x_0 moves, and the variance of x_0, by the chain's own linear recursion."""
    shift, variance = 0.0, 1.0
    for t in range(T, 0, -1):
        level, signal, carry, sigma = (
            float(a[t].double()) for a in (schedule.alpha_bar, schedule.signal, schedule.carry, schedule.sigma)
        )
        slope = signal * level**0.5 * STD**2 / (level * STD**2 + 1 - level) + carry
        shift, variance = slope * shift + sigma * PUSH, slope**2 * variance + sigma**2
    return shift, variance


def test_a_gaussian_moved_along_the_reward_has_applied_the_alpha_that_moves_it_so_far():
    """log N(x; m, s²)/N(x; 0, s²) = x m/s² + const: for r = ±x₁ the slope is ±m/s², and for r = x₂ it is zero."""
    policy = pushed()
    shift, variance = moved_by_hand(policy.schedule)
    for sign in (1, -1):
        found = applied_tilt(policy, alpha=0.5, extent=5.0, reward=Along(sign))
        assert found.alpha == pytest.approx(sign * variance / shift, rel=1e-3)
        assert found.r2 == pytest.approx(1, abs=1e-4) and found.asked == 0.5
    seen, x_1 = found.log_ratio.isfinite(), found.grid.points[:, 0].reshape(found.log_ratio.shape).double()
    expected = x_1 * shift / variance - shift**2 / (2 * variance)
    assert (found.log_ratio - expected)[seen].abs().max() < 0.02 and seen.sum() > 1000
    across = applied_tilt(policy, alpha=0.5, extent=5.0, reward=lambda x: x[:, 1])
    assert across.r2 < 1e-6


def test_the_soft_optimal_chain_applies_its_alpha():
    """Value-weighted sampling on Ring: nearly the optimum, so nearly all of the log-ratio is r/α."""
    soft = SoftValues(ring(50), RING_REWARD, alpha=RING_ALPHA, extent=RING_EXTENT)
    guided = ValueWeightedPolicy(soft.pretrained, soft, alpha=RING_ALPHA)
    found = applied_tilt(guided, alpha=RING_ALPHA, extent=RING_EXTENT, reward=RING_REWARD)
    assert found.alpha == pytest.approx(RING_ALPHA, rel=0.05) and found.r2 > 0.98


@pytest.mark.parametrize("started", [True, False])
def test_what_has_not_moved_has_applied_no_tilt(started):
    policy = pushed().pretrained
    found = applied_tilt(SteeredPolicy(policy) if started else policy, alpha=0.5, extent=5.0, reward=Along(1))
    assert found.alpha == math.inf and found.r2 == 0 and float(found.log_ratio.nan_to_num().abs().max()) == 0


def test_a_line_is_found_by_weighted_least_squares():
    x, y = torch.tensor([0.0, 1, 2, 7]), torch.tensor([1.0, 3, 5, -40])
    assert line(x, y, torch.tensor([1.0, 1, 1, 0])) == pytest.approx((2, 1))
    slope, r2 = line(torch.tensor([-1.0, 0, 1]), torch.tensor([-1.0, 3, 1]), torch.ones(3))
    assert (slope, r2) == pytest.approx((1, 2 * 2 / (2 * 8)))  # xy = 2, xx = 2, yy = 4 + 4
    assert line(torch.ones(3), torch.arange(3.0), torch.ones(3)) == (0, 0)


def test_bad_input_is_told():
    policy = pushed()
    options: dict[str, Any] = dict(alpha=0.5, extent=5.0, reward=Along(1))
    for message, given, bad in (
        ("alpha", policy, dict(alpha=0.0)),
        ("extent", policy, dict(extent=-1.0)),
        ("leave it", policy, dict(extent=1.0)),
        ("NaN", policy, dict(reward=lambda x: x[:, 0] * math.nan)),
        ("points", small_images(), {}),
    ):
        with pytest.raises(ValueError, match=message):
            applied_tilt(given, **options | bad)
