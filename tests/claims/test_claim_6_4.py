"""Value-weighted sampling with the exact soft value, and no training: how far from J*, and how fast closer in T."""

import functools
import itertools

import pytest

from tutorial_lib.exact import GaussianOptimum, MomentMatched, SoftValues
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.policies import rollout

from ..oracles import RING_ALPHA, RING_EXTENT, RING_REWARD, ring, seeded

CLAIM = dict(
    number="6.4",
    section="§6.2",
    statement="Value-weighted sampling (Algorithm 4) with the exact v needs no training, and its regret falls as T "
    "grows; with the slope of the value ahead averaged over the step's noise, ∇W_t, it is all but the best chain of "
    "Gaussian steps",
    notebook="06_2_value_weighted_sampling",
    function="tutorial_lib.guidance.value_weighted.sample",
)
TIMES, SEED = (10, 20, 50, 100, 200), 0
SLOPES = {
    "∇v at the kernel's mean": lambda soft: ValueWeightedPolicy(soft.pretrained, soft, alpha=soft.alpha),
    "∇W_t, v blurred by the step": MomentMatched,
}


@functools.cache
def soft_values(T):
    return SoftValues(ring(T), RING_REWARD, alpha=RING_ALPHA, extent=RING_EXTENT, grid=81)


@functools.cache
def regret(name, T):
    """(regret, its standard error) by r − α Σ log-ratio, whose mean over paths is J for any policy."""
    soft, n = soft_values(T), 8000 if T >= 50 else 30_000
    policy = SLOPES[name](soft)
    path = rollout(policy, n, generator=seeded(SEED))
    J = (RING_REWARD(path.x_0) - soft.alpha * policy.log_ratio(path).sum(0)).double()
    return soft.share(soft.optimum - float(J.mean())), soft.share(float(J.std())) / n**0.5


@pytest.mark.parametrize("name", SLOPES)
def test_claim_6_4_the_regret_falls_with_t(name, claim):
    found = [regret(name, T) for T in TIMES]
    claim.record(
        label=name,
        measured=f"regret {', '.join(f'{value:.2%}' for value, _ in found)} at T = 10, 20, 50, 100, 200",
        threshold="falls by > 3 s.e. at each",
        floor=f"s.e. ≤ {max(error for _, error in found):.2%}",
        seed=SEED,
    )
    for (before, error_before), (after, error_after) in itertools.pairwise(found):
        assert before - after > 3 * (error_before**2 + error_after**2) ** 0.5


def test_claim_6_4_at_50_steps(claim):
    (plain, error), (smooth, _) = (regret(name, 50) for name in SLOPES)
    family = GaussianOptimum(ring(50), RING_REWARD, alpha=RING_ALPHA, extent=RING_EXTENT, grid=81).family_gap
    claim.record(
        label="T = 50",
        measured=f"{smooth:.2%} with ∇W_t, {plain:.2%} with ∇v; best Gaussian steps {family:.2%}",
        threshold="≤ 0.6 % with ∇W_t, ≤ 0.8 % with ∇v",
        floor=f"s.e. {error:.2%}",
        seed=SEED,
    )
    assert smooth <= 0.006 and plain <= 0.008
    assert smooth >= family - 4 * error
