"""The marginals of the soft-optimal chain at every t."""

import pytest
import torch

from tutorial_lib.policies import rollout

from ..oracles import ring, seeded
from .soft_chains import ALPHAS, REWARDS, T, features, optimal_paths, soft_values

CLAIM = dict(
    number="4.3",
    section="§4",
    statement="The soft-optimal chain's marginals are p*_t ∝ p_pre,t exp(v_t/α) at every t",
    notebook="04_1_theory",
    function="tutorial_lib.exact.sample_optimal",
)
N, BANK = 6000, 60_000
SEED = 0


def weighted_mean(values, weight):
    """Σ weight·values / Σ weight over the first axis, and its standard error."""
    share = weight / weight.sum()
    mean = share @ values
    return mean, (share.square() @ (values - mean).square()).sqrt()


@pytest.mark.parametrize("name", REWARDS)
def test_claim_4_3_the_marginals(name, claim):
    """Moments and waves of x_t: sampled by the exact kernels, and from pretrained paths weighted by exp(v_t/α). The
    largest of 21 features × 21 t × 3 α may be 5 standard errors (chance alone: 1 run in 1000); unweighted, how far."""
    pretrained = rollout(ring(T), BANK, generator=seeded(100 + SEED)).x
    for alpha in ALPHAS:
        soft, optimal, scores = soft_values(name, alpha), optimal_paths(name, alpha, N, SEED), []
        for t in range(T + 1):
            values, bank = features(optimal[t]), features(pretrained[t])
            weight = ((soft(pretrained[t], t).double() - soft.optimum) / alpha).exp()
            for weights in (weight, torch.ones_like(weight)):
                mean, error = weighted_mean(bank, weights)
                scores.append((values.mean(0) - mean) / torch.hypot(error, values.std(0) / N**0.5))
        z, untilted = torch.stack(scores[::2]), torch.stack(scores[1::2])
        claim.record(
            label=f"{name}, α = {alpha}",
            measured=f"{z.abs().max():.1f} s.e., largest of {z.numel()} features of x_0 … x_{T} "
            f"(against p_pre,t itself {untilted.abs().max():.0f})",
            threshold="≤ 5 s.e.",
            floor=f"1 s.e., n = {N}",
            seed=SEED,
        )
        assert z.abs().max() <= 5 < untilted.abs().max()
