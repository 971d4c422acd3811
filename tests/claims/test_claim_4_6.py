import itertools
import math

import pytest
import torch

from tutorial_lib.exact import Frontier, SoftValues, TiltedDensity
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.metrics import evaluate
from tutorial_lib.rewards import disc

from ..oracles import RING_EXTENT, RING_REWARD, ring, seeded, wave

CLAIM = dict(
    number="4.6",
    section="§4",
    statement="J*(α), E*[r] and KL* fall as α grows, dJ*/dα = −KL*, and no method's point lies above the reward–KL "
    "frontier",
    notebook="04_1_theory",
    function="tutorial_lib.exact.Frontier",
)
REWARDS = {"peak": RING_REWARD, "wave": wave, "disc": disc((-1.5, -1.5), radius=0.8)}


@pytest.fixture(scope="module")
def density():
    return {name: TiltedDensity(ring(50), r, extent=RING_EXTENT) for name, r in REWARDS.items()}


@pytest.mark.parametrize("name", REWARDS)
def test_claim_4_6_the_frontier_falls_and_its_slope_is_the_kl(name, density, claim):
    """KL* directly from the masses, Σ p_r log(p_r/p_pre), over two decades of α."""
    found, alphas = density[name], torch.logspace(-1, 1, 25).tolist()
    points = [found.at(alpha) for alpha in alphas]
    errors = []
    for point in points:
        kl = float(torch.special.xlogy(point.mass, point.mass / found.pretrained.clamp_min(1e-300)).sum())
        h = 0.01 * point.alpha
        slope = (found.at(point.alpha + h).objective - found.at(point.alpha - h).objective) / (2 * h)
        errors.append(abs(slope + kl) / kl)
        assert point.kl == pytest.approx(kl, rel=1e-6)
    claim.record(
        label=name,
        measured=f"dJ*/dα against −KL*: {max(errors):.2%}, α from 0.1 to 10; all three fall at each of 24 steps",
        threshold="≤ 1 %",
    )
    assert max(errors) <= 0.01
    for before, after in itertools.pairwise(points):
        assert after.objective < before.objective and after.reward < before.reward and after.kl < before.kl


@pytest.mark.parametrize("name", ["peak", "wave"])
def test_claim_4_6_no_method_lies_above_the_frontier(name, density, claim):
    """A point (KL, r) lies on or under the frontier where r − α KL ≤ J*(α) at every α, not at its own alone."""
    pretrained, reward, found = ring(50), REWARDS[name], density[name]
    frontier = Frontier(found.reward.reshape(-1), found.pretrained.reshape(-1))
    curve = frontier.curve(torch.logspace(-1.5, 1.5, 60))
    excess, points = -math.inf, 0
    for alpha in (0.3, 1.0, 3.0):
        soft = SoftValues(pretrained, reward, alpha=alpha, extent=RING_EXTENT, grid=121)
        for value in (soft, Tweedie(pretrained, reward)):
            for strength in (0.3, 1.0, 1.5):
                policy = ValueWeightedPolicy(pretrained, value, alpha=alpha, strength=strength)
                report = evaluate(policy, reward, alpha=alpha, n=4000, generator=seeded(points))
                above = [
                    (report.reward - a.alpha * report.kl - a.objective)
                    / math.hypot(report.reward_se, a.alpha * report.kl_se)
                    for a in curve
                ]
                excess, points = max(excess, *above), points + 1
    claim.record(
        label=f"{name}, {points} settings of value-weighted sampling",
        measured=f"highest point {excess:+.1f} s.e. above the frontier",
        threshold="≤ 4 s.e.",
        floor="1 s.e., n = 4000",
        seed=0,
    )
    assert excess <= 4
