import numpy as np
import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import path_consistency, run
from tutorial_lib.exact import GaussianOptimum, SoftValues, sample_optimal
from tutorial_lib.guidance import value_weighted
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import SteeredPolicy, rollout

from ..oracles import seeded
from ..shared import shared
from .linear_chains import LinearChain, pretrained, quadratic

CLAIM = dict(
    number="6.7",
    section="§6.3",
    statement="Path consistency: v_t + α Σ log p/p_pre − v_s is zero on every stretch of any path at the exact "
    "(v, p*), on- or off-policy, and nonzero elsewhere; trained at its defaults its regret on Ring is at most 2 %.",
    notebook="06_3_path_consistency",
    function="tutorial_lib.algorithms.path_consistency.loss",
)
CENTRE, NODES = (1.0, 0.5), 24


@pytest.fixture(scope="module")
def ring():
    return worlds.ring()


@pytest.fixture(scope="module")
def best(ring):
    return shared(GaussianOptimum, ring.pretrained, ring.reward, alpha=ring.alpha, extent=ring.extent, grid=121)


def stretch_residuals(values, log_ratios):
    """|φ_t − φ_s| for every s < t: values and log-ratios [T+1, B] → [pairs, B]."""
    phi = values + log_ratios.cumsum(0)
    t, s = torch.tril_indices(len(phi), len(phi), -1)
    return (phi[t] - phi[s]).abs()


def on_path(chain, x, values, step):
    """v_t/α and the log-ratio of `step` to p_pre along a path x [T+1, B, 2]: both [T+1, B]."""
    v = torch.stack([quadratic(x[t], values[t]) for t in range(chain.T + 1)])
    ratios = [step(x[t], t).log_prob(x[t - 1]) - chain.step(x[t], t).log_prob(x[t - 1]) for t in range(1, chain.T + 1)]
    return v, torch.stack([torch.zeros_like(v[0]), *ratios])


@pytest.mark.parametrize("alpha", [0.1, 0.5, 2.0])
def test_claim_6_7_in_closed_form_it_is_zero_on_any_path_and_only_at_the_optimum(alpha, claim):
    """One Gaussian, T = 20. p*'s log-ratio from the density of the product Gaussian, v from the recursion."""
    chain = LinearChain(20)
    values, others = chain.values(CENTRE, alpha), chain.values(CENTRE, 1.5 * alpha)
    paths = dict(p_pre=rollout(pretrained(20), 200, generator=seeded(0)).x.double())
    noise = torch.randn(21, 200, 2, generator=seeded(1), dtype=torch.float64)
    own = [noise[20]]
    for t in range(20, 0, -1):
        step = chain.optimal_step(own[-1], t, values)
        own.append(step.mean + torch.einsum("bij,bj->bi", step.scale_tril, noise[t - 1]))
    paths |= {"p*": torch.stack(own[::-1]), "pure noise": 2 * noise}
    right, wrong = {}, {}
    for name, x in paths.items():
        v, ratios = on_path(chain, x, values, lambda y, t: chain.optimal_step(y, t, values))
        right[name] = stretch_residuals(v, ratios).max().item()
        v_other, ratios_other = on_path(chain, x, others, lambda y, t: chain.optimal_step(y, t, others))
        v_other[0] = v[0]  # the true reward, and all else of another α
        wrong[name, "v and p of another α"] = stretch_residuals(v_other, ratios_other).square().mean().sqrt().item()
        wrong[name, "p_pre for p*"] = stretch_residuals(v, 0 * ratios).square().mean().sqrt().item()
        wrong[name, "v + 0.1 sin"] = (
            stretch_residuals(v + 0.1 * torch.arange(21.0).sin()[:, None], ratios).square().mean().sqrt().item()
        )
    claim.record(
        label=f"closed form, α = {alpha}: all 210 stretches of paths by {', '.join(paths)}",
        measured=f"at most {max(right.values()):.0e}; elsewhere at least {min(wrong.values()):.2f} (root mean square)",
        threshold="≤ 1e-4; ≥ 0.05",
        floor="1e-12 (float64)",
        seed=0,
    )
    assert max(right.values()) <= 1e-4 and min(wrong.values()) >= 0.05


def own_normalisation(soft, x, t):
    """log E_pre[exp(v_{t−1}/α)|x_t], the normaliser of p*(·|x_t), by 24 × 24 Gauss–Hermite nodes: [B]."""
    nodes, weights = (torch.as_tensor(a) for a in np.polynomial.hermite_e.hermegauss(NODES))
    z, w = torch.cartesian_prod(nodes, nodes), torch.cartesian_prod(weights, weights).prod(1)
    y = soft.pretrained.mean(x, t).double().unsqueeze(1) + float(soft.schedule.sigma[t]) * z
    return (soft(y.reshape(-1, 2), t - 1).reshape(len(x), -1) / soft.alpha + (w / w.sum()).log()).logsumexp(1)


def test_claim_6_7_on_ring_it_is_zero_up_to_quadrature(ring, best, claim):
    """p*'s log-ratio is v_{t−1}(x_{t−1})/α minus its own log-normaliser; the value's side is SoftValues' v_t."""
    soft = SoftValues(ring.pretrained, ring.reward, alpha=ring.alpha, extent=ring.extent, grid=241)
    elsewhere = ring.with_reward("disc")
    pull = SoftValues(ring.pretrained, elsewhere.reward, alpha=elsewhere.alpha, extent=ring.extent, grid=81)
    paths = {
        "p*": sample_optimal(soft, 100, generator=seeded(0)).x,
        "p_pre": rollout(ring.pretrained, 100, generator=seeded(1)).x,
        "a policy for another reward": value_weighted.sample(
            ring.pretrained, pull, alpha=elsewhere.alpha, n=100, generator=seeded(2)
        ).x,
    }
    steps, worst = [], 0.0
    for x in paths.values():
        v = torch.stack([soft(x[t], t).double() / ring.alpha for t in range(51)])
        ratios = [v[t - 1] - own_normalisation(soft, x[t], t) for t in range(1, 51)]
        log_ratios = torch.stack([torch.zeros_like(v[0]), *ratios])
        steps.append((v[1:] + log_ratios[1:] - v[:-1]).abs())
        worst = max(worst, stretch_residuals(v, log_ratios).max().item())
    off = torch.cat(steps)
    claim.record(
        label=f"Ring, {off.numel():,} steps of paths by " + ", ".join(paths),
        measured=f"95 in 100 below {off.quantile(0.95):.0e}, 99 in 100 below {off.quantile(0.99):.0e}; largest of any "
        f"step {off.max():.0e}, of any stretch {worst:.0e}",
        threshold="95 in 100 ≤ 1e-4; any ≤ 0.05",
        floor=f"{off.median():.0e} (median: quadrature of v on a grid)",
        seed=0,
    )
    assert off.quantile(0.95) <= 1e-4 and worst <= 0.05


def test_claim_6_7_the_best_gaussian_steps_leave_a_residual(ring, best, claim):
    """Its size is what the family costs: J* − J is about α/2 times the variance of φ_0 given x_T."""
    path = rollout(best, 2000, generator=seeded(0))
    v_T = best.soft(path.x[-1], 50) / ring.alpha
    residual = (ring.reward(path.x_0) / ring.alpha - best.log_ratio(path).sum(0) - v_T).double()
    expected = ring.alpha * residual.var() / 2
    gap = best.soft.optimum - best.optimum
    claim.record(
        label="Ring, whole paths of the best Gaussian steps",
        measured=f"residual {residual.std():.2f} (standard deviation); α/2 · variance {expected:.4f}, "
        f"J* − J_G* {gap:.4f}",
        threshold="≥ 0.05; within a factor of 1.5 of each other",
        floor="3 % of the variance, n = 2000",
        seed=0,
    )
    assert residual.std() >= 0.05 and 2 / 3 < expected / gap < 3 / 2


def test_claim_6_7_trained_at_its_defaults_its_regret_is_small(ring, best, claim):
    policy = SteeredPolicy(ring.pretrained)
    history = run(path_consistency.fine_tune(policy, ring.reward, alpha=ring.alpha, generator=seeded(0)))
    report = evaluate(policy, ring.reward, alpha=ring.alpha, generator=seeded(1))
    regret, noise = best.soft.regret(report), best.soft.share(report.objective_se)
    claim.record(
        label=f"Ring at the defaults, {history[-1].queries:,} reward queries",
        measured=f"regret {regret:.2%} = family {best.family_gap:.2%} + learning {best.learning_gap(report):.2%}",
        threshold="≤ 2 %",
        floor=f"{noise:.2%} (one standard error)",
        seed=0,
    )
    assert regret <= 0.02
