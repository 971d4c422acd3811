"""The GFlowNet dictionary: each loss from its own definition, on a chain where flows and backward steps are known."""

import math
from typing import Any

import pytest
import torch
from scipy.optimize import minimize_scalar

from tutorial_lib import worlds
from tutorial_lib.algorithms import ValueNetwork, path_consistency, run
from tutorial_lib.exact import SoftValues
from tutorial_lib.guidance import value_weighted
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import SteeredPolicy, Trajectory
from tutorial_lib.recipes import foreign_ppo

from ..oracles import seeded
from ..shared import shared
from .linear_chains import LinearChain, pretrained

CLAIM = dict(
    number="6.8",
    section="§6.3",
    statement="GFlowNet dictionary: detailed, sub-trajectory and trajectory balance with P_B from p_pre are path "
    "consistency; L_TPCL = α² L_RTB; VarGrad is trajectory balance at the batch's best log Z. Path consistency learns "
    "from paths of p_pre alone; PPO does not.",
    notebook="06_3_path_consistency",
    function="tutorial_lib.algorithms.path_consistency.vargrad",
)
T, N = 8, 64


class Draw:
    """A random policy, value, log Z, α and batch of points that no policy drew; and what each side needs of them."""

    def __init__(self, seed):
        g = seeded(seed)
        torch.manual_seed(seed)
        self.chain, self.policy = LinearChain(T), SteeredPolicy(pretrained(T)).double()
        with torch.no_grad():
            for p in self.policy.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=g, dtype=torch.float64))
        self.x = 1.5 * torch.randn(T + 1, N, 2, generator=g, dtype=torch.float64)
        self.alpha, self.log_z = 0.1 + torch.rand((), generator=g).item(), torch.randn((), generator=g).item()
        self.r = (self.x[0] * torch.randn(2, generator=g, dtype=torch.float64)).sum(1).sin() / self.alpha
        self.v = torch.randn(T + 1, N, generator=g, dtype=torch.float64)  # in units of α
        self.v[0] = self.r
        self.marginals = self.chain.marginals()

    # the library's side
    def log_ratios(self):
        return self.policy.log_ratio(Trajectory(self.x))

    # the GFlowNet's side: forward and backward log-probabilities of each step, log-flows of each state
    def log_forward(self):
        means = [self.policy.mean(self.x[t], t) for t in range(1, T + 1)]
        return torch.stack([self.normal(self.x[t - 1], means[t - 1], self.chain.sigma[t]) for t in range(1, T + 1)])

    def log_backward(self):
        steps = [self.chain.backward(self.x[t - 1], t, self.marginals) for t in range(1, T + 1)]
        return torch.stack([step.log_prob(self.x[t]) for t, step in enumerate(steps, 1)])

    def log_pretrained(self):
        return torch.stack([self.chain.step(self.x[t], t).log_prob(self.x[t - 1]) for t in range(1, T + 1)])

    def log_flow(self, t):
        return self.marginals[t].log_prob(self.x[t]) + self.v[t]

    @staticmethod
    def normal(y, mean, std):
        return -((y - mean) / std).square().sum(1) / 2 - 2 * (std.log() + math.log(2 * math.pi) / 2)


def detailed_balance(d):
    """Mean over steps of (log F(x_t) P_F(x_{t−1}|x_t) − log F(x_{t−1}) P_B(x_t|x_{t−1}))²."""
    forward, backward = d.log_forward(), d.log_backward()
    return (
        sum(
            (d.log_flow(t) + forward[t - 1] - d.log_flow(t - 1) - backward[t - 1]).square().mean()
            for t in range(1, T + 1)
        )
        / T
    )


def sub_trajectory_balance(d, lam=0.9):
    """The λ-weighted mean over all stretches of (log F(x_t) Π P_F − log F(x_s) Π P_B)²."""
    forward, backward, total, weight = d.log_forward(), d.log_backward(), 0.0, 0.0
    for s in range(T + 1):
        for t in range(s + 1, T + 1):
            ahead = d.log_flow(t) + forward[s:t].sum(0) - d.log_flow(s) - backward[s:t].sum(0)
            total, weight = total + lam ** (t - s) * ahead.square().mean(), weight + lam ** (t - s)
    return total / weight


def trajectory_balance(d, log_z):
    """(log Z P_F(τ) − log R(x_0) P_B(τ|x_0))², R(x_0) = p_pre(x_0) exp(r/α), P_F(τ) from its start x_T ~ N(0, I)."""
    start, end = d.marginals[T].log_prob(d.x[T]), d.marginals[0].log_prob(d.x[0]) + d.r
    return (log_z + start + d.log_forward().sum(0) - end - d.log_backward().sum(0)).square().mean()


def relative_trajectory_balance(d, log_z):
    """(log Z p_θ(τ) − log p_pre(τ) exp(r/α))²: both paths from the same start."""
    return (log_z + d.log_forward().sum(0) - d.log_pretrained().sum(0) - d.r).square().mean()


def trust_pcl(d, value):
    """(−V(x_T) + Σ_i [r_i − α log π + α log π_pre])²: step by step as in an MDP, the only reward at the last step."""
    rewards = torch.zeros(T, N, dtype=torch.float64)
    rewards[0] = d.alpha * d.r  # the step t = 1 ends in x_0
    return (-value + (rewards - d.alpha * (d.log_forward() - d.log_pretrained())).sum(0)).square().mean()


def values_at_end(d, log_z):
    """φ with v_T = α log Z, as the library's trajectory stretch wants it."""
    values = d.v.clone()
    values[T] = log_z
    return values


def relative(a, b):
    return (abs(a - b) / abs(b)).item()


def test_claim_6_8_both_sides_of_every_identity(claim):
    """On ten random policies, values, rewards, α and batches; the library's losses against the definitions above."""
    off = dict.fromkeys(
        ["detailed balance", "sub-trajectory balance", "trajectory balance", "L_TPCL = α² L_RTB", "VarGrad"], 0.0
    )
    apart = []
    for seed in range(10):
        d = Draw(seed)
        ratios, stretches = d.log_ratios(), path_consistency.stretches

        def consistency(values, kind, ratios=ratios, stretches=stretches):
            return path_consistency.loss(values, ratios, stretches(T, kind).double())

        tb = trajectory_balance(d, d.log_z)
        best = minimize_scalar(lambda z, d=d: trajectory_balance(d, z).item())
        pairs = {
            "detailed balance": (consistency(d.v, "step"), detailed_balance(d)),
            "sub-trajectory balance": (consistency(d.v, "sub"), sub_trajectory_balance(d)),
            "trajectory balance": (consistency(values_at_end(d, d.log_z), "trajectory"), tb),
            "L_TPCL = α² L_RTB": (
                trust_pcl(d, d.alpha * d.log_z),
                d.alpha**2 * relative_trajectory_balance(d, d.log_z),
            ),
            "VarGrad": (path_consistency.vargrad(d.r, ratios) * (N - 1) / N, torch.tensor(best.fun)),
        }
        for name, (ours, theirs) in pairs.items():
            off[name] = max(off[name], relative(ours, theirs))
        off["trajectory balance"] = max(
            off["trajectory balance"], relative(relative_trajectory_balance(d, d.log_z), tb)
        )
        apart.append(relative(detailed_balance(d), tb))
    claim.record(
        label="largest relative difference of two sides, ten random draws: " + ", ".join(off),
        measured=", ".join(f"{value:.0e}" for value in off.values()),
        threshold="≤ 1e-5",
        floor="1e-7 (σ_t in float32)",
        seed=0,
    )
    assert max(off.values()) <= 1e-5
    assert min(apart) > 0.05, "detailed and trajectory balance are different losses away from the optimum"


def test_claim_6_8_vargrad_has_the_gradient_of_trajectory_balance_at_the_best_log_z(claim):
    worst = 0.0
    for seed in range(5):
        d = Draw(seed)
        log_z = minimize_scalar(lambda z, d=d: trajectory_balance(d, z).item()).x
        parameters = list(d.policy.parameters())
        theirs = torch.autograd.grad(trajectory_balance(d, log_z), parameters)
        ours = torch.autograd.grad(path_consistency.vargrad(d.r, d.log_ratios()) * (N - 1) / N, parameters)
        a, b = (torch.cat([p.flatten() for p in gradient]) for gradient in (ours, theirs))
        worst = max(worst, ((a - b).norm() / b.norm()).item())
    claim.record(
        label="gradients of VarGrad and of trajectory balance at the batch's best log Z, five draws",
        measured=f"relative difference {worst:.0e}",
        threshold="≤ 1e-5",
        floor="1e-7 (σ_t in float32)",
        seed=0,
    )
    assert worst <= 1e-5


def test_claim_6_8_values_may_be_any_network():
    """The same identity with a value network in place of random numbers."""
    d = Draw(0)
    critic = ValueNetwork(d.policy, generator=seeded(1)).double()
    critic.scale = 1.0
    with torch.no_grad():
        for p in critic.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=seeded(2), dtype=torch.float64))
        for t in range(1, T + 1):
            d.v[t] = critic(d.x[t], t)
    weights = path_consistency.stretches(T, "step").double()
    ours = path_consistency.loss(d.v, d.log_ratios(), weights)
    assert relative(ours, detailed_balance(d)) <= 1e-5


SHORT: dict[str, Any] = dict(n=256, iterations=40)


@pytest.fixture(scope="module")
def ring():
    return worlds.ring(T=10)


@pytest.fixture(scope="module")
def soft(ring):
    return shared(SoftValues, ring.pretrained, ring.reward, alpha=ring.alpha, extent=ring.extent, grid=121)


def for_another_reward(ring):
    """A policy tuned for another reward: value-weighted towards a softer peak on the other side."""
    pull = SoftValues(ring.pretrained, ring.rewards["half_plane"], alpha=0.5, extent=ring.extent, grid=81)
    return value_weighted.ValueWeightedPolicy(ring.pretrained, pull, alpha=0.5)


@pytest.mark.parametrize("source", ["p_pre", "a policy for another reward"])
def test_claim_6_8_path_consistency_learns_from_off_policy_paths_and_ppo_does_not(ring, soft, source, claim):
    """The same 10,240 paths' worth of data a run, Ring at T = 10; only the share that is foreign differs."""
    behaviour = for_another_reward(ring) if source != "p_pre" else None
    found: dict[str, list[float]] = {"path consistency": [], "PPO": []}
    for share in (0.0, 0.5, 1.0):
        for name, fine_tune in (("path consistency", path_consistency.fine_tune), ("PPO", foreign_ppo.fine_tune)):
            policy = SteeredPolicy(ring.pretrained)
            run(
                fine_tune(
                    policy,
                    ring.reward,
                    alpha=ring.alpha,
                    generator=seeded(0),
                    off_policy=share,
                    behaviour=behaviour,
                    **SHORT,
                )
            )
            report = evaluate(policy, ring.reward, alpha=ring.alpha, n=10_000, generator=seeded(1))
            found[name].append(soft.regret(report))
    noise = soft.share(report.objective_se)
    claim.record(
        label=f"regret at shares 0, ½ and 1 of paths by {source}, Ring at T = 10, 10,240 paths",
        measured="; ".join(f"{name} " + ", ".join(f"{r:.1%}" for r in regrets) for name, regrets in found.items()),
        threshold="path consistency ≤ 5 % at 0 and ½, ≤ 20 % at 1; PPO ≤ 5 % at 0, ≥ 40 % at 1",
        floor=f"{noise:.1%} (one standard error of the last)",
        seed=0,
    )
    assert max(found["path consistency"][:2]) <= 0.05 and found["path consistency"][2] <= 0.2
    assert found["PPO"][0] <= 0.05 and found["PPO"][2] >= 0.4
