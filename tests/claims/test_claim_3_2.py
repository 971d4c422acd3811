"""Path KL counted twice, and what of it is left in x_0."""

import pytest
import torch
from torch import nn

from tutorial_lib.exact import GaussianOptimum, TiltedDensity
from tutorial_lib.exact.chain import law_of_x_0
from tutorial_lib.grids import Grid
from tutorial_lib.metrics import rollout_with_kl
from tutorial_lib.policies import SteeredPolicy

from ..oracles import RING_ALPHA, RING_EXTENT, RING_REWARD, ring, seeded
from ..shared import shared

CLAIM = dict(
    number="3.2",
    section="§3",
    statement="Chain rule: Σ KL_t counted analytically and by the log-ratio of whole paths agree. Data processing: the "
    "KL of x_0 is at most the path's; the exact optimum wastes nothing, and a policy may waste almost all.",
    notebook="03_denoising_as_an_mdp",
    function="tutorial_lib.policies.Policy.log_ratio",
)
T, N = 50, 8000


class Pull(nn.Module):
    def forward(self, x_t, t):
        return 0.1 * (torch.tensor([2.0, 0.5]) - x_t)


class ThereAndBack(nn.Module):
    """One width to the right at even t, one to the left at odd t: half a nat a step."""

    def forward(self, x_t, t):
        sign = 1 - 2 * (torch.as_tensor(t) % 2).reshape(-1, 1)
        return sign * torch.tensor([1.0, 0.0]).expand_as(x_t)


@pytest.fixture(scope="module")
def policies():
    pretrained = ring(T)
    return {
        "optimal Gaussian steps": shared(
            GaussianOptimum, pretrained, RING_REWARD, alpha=RING_ALPHA, extent=RING_EXTENT, grid=121
        ),
        "pull": SteeredPolicy(pretrained, Pull()),
        "there and back": SteeredPolicy(pretrained, ThereAndBack()),
    }


@pytest.mark.parametrize("name", ["optimal Gaussian steps", "pull", "there and back"])
def test_claim_3_2_two_ways_to_count(name, policies, claim):
    """Their difference Σ u·z is noise of variance Σ E‖u‖² = 2 KL, whatever the policy."""
    policy = policies[name]
    path, analytic = rollout_with_kl(policy, N, generator=seeded(0))
    with torch.no_grad():
        sampled = policy.log_ratio(path).sum(0)
    difference = (sampled - analytic).double()
    error = difference.std().item() / N**0.5
    off = difference.mean().item() / error
    variances = "analytic exact" if analytic.std() < 1e-5 else f"{(sampled.var() / analytic.var()).item():.2f}"
    claim.record(
        label=f"{name}, two counts of path KL {analytic.mean():.2f} nats",
        measured=f"{off:+.1f} s.e. apart; variance sampled/analytic: {variances}",
        threshold="≤ 4 s.e.",
        floor=f"1 s.e. = {error:.3f} nats",
        seed=0,
    )
    assert abs(off) <= 4
    assert difference.var().item() == pytest.approx(2 * analytic.mean().item(), rel=0.15)


@pytest.mark.parametrize("name", ["optimal Gaussian steps", "pull", "there and back"])
def test_claim_3_2_the_marginal_costs_no_more(name, policies, claim):
    """The law of x_0 by pushing masses through every step on a grid; halving the grid says how exact that is."""
    policy = policies[name]
    kl = rollout_with_kl(policy, N, generator=seeded(0))[1].double()
    path, error = kl.mean().item(), kl.std().item() / N**0.5
    marginal = {n: law_kl(policy, n) for n in (61, 121)}
    claim.record(
        label=f"{name}, KL of x_0 ≤ KL of the path",
        measured=f"{marginal[121]:.3f} ≤ {path:.3f} nats",
        threshold="marginal − path ≤ 4 s.e.",
        floor=f"1 s.e. = {error:.3f} nats, grid {abs(marginal[121] - marginal[61]):.0e}",
        seed=0,
    )
    assert marginal[121] <= path + 4 * error
    assert marginal[121] == pytest.approx(marginal[61], abs=0.01)
    if name == "there and back":
        assert path == pytest.approx(T / 2, rel=1e-5) and marginal[121] < 0.01


def law_kl(policy, n):
    grid = Grid(RING_EXTENT, n)
    after, before = law_of_x_0(policy, grid), law_of_x_0(policy.pretrained, grid)
    return torch.special.xlogy(after, after / before.clamp_min(1e-300)).sum().item()


def test_claim_3_2_the_optimum_wastes_nothing(policies, claim):
    """Path KL* from soft Bellman's J*, which knows the steps alone; KL of x_0 from the tilt, which knows x_0 alone."""
    soft = policies["optimal Gaussian steps"].soft
    target = TiltedDensity(soft.pretrained, RING_REWARD, extent=RING_EXTENT, grid=161).at(RING_ALPHA)
    path = (target.reward - soft.optimum) / RING_ALPHA
    claim.record(
        label="exact optimum, path against marginal",
        measured=f"{path:.4f} against {target.kl:.4f} nats",
        threshold="≤ 0.01 apart",
        floor=f"grid {soft.grid_error:.0e} of J* − J_pre",
    )
    assert path == pytest.approx(target.kl, abs=0.01)
