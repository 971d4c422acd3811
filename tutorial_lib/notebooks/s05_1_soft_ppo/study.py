r"""What soft PPO does, measured (§5.1): a policy and its critic at one moment, and stored rows of many runs.

`look` sees a policy under noise that is the same at every moment; `judge` compares a critic with the exact v_t; `race`
and `scene` read what `recipes.soft_ppo_rows` has trained; `answer` looks up a moment of one run.
Shapes: n samples x_0 [n, 2]; F frames of a run; m grid points a side.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import worlds
from ...algorithms import Step as Step
from ...algorithms.values import ValueNetwork
from ...assets import load
from ...exact import SoftValues, TiltedDensity
from ...grids import Grid
from ...metrics import entropy
from ...policies import Policy, rollout
from ...recipes import soft_ppo_rows as rows
from ...rewards import Reward, query

ITERATIONS, EVERY = rows.ITERATIONS, rows.EVERY
ALPHAS, CLIPS, BATCHES = tuple(rows.ALPHAS), tuple(rows.CLIPS), tuple(rows.BATCHES)


@dataclass(frozen=True)
class Look:
    """A policy seen on n paths: x_0 [n, 2]; the return of each in units of α, r/α − Σ log-ratio, `sampled` [n], and
    r/α − Σ KL_t, `averaged` [n]; the entropy of x_0 in nats."""

    x_0: Tensor
    sampled: Tensor
    averaged: Tensor
    entropy: float


@torch.no_grad()
def look(policy: Policy, reward: Reward, *, alpha: float, n: int = 1000) -> Look:
    """The policy under one noise, whatever its weights."""
    path = rollout(policy, n, generator=torch.Generator().manual_seed(0))
    x, t, _ = path.steps()
    r = query(reward, path.x_0) / alpha
    kl = path.by_step(policy.kl(x, t)).sum(0)
    return Look(path.x_0, r - policy.log_ratio(path).sum(0), r - kl, entropy(path.x_0))


def mass_entropy(mass: Tensor, *, extent: float) -> float:
    """Differential entropy in nats of a density given by cell masses [m, m] on [−extent, extent]²."""
    cell = (2 * extent / (len(mass) - 1)) ** 2
    return float(-torch.special.xlogy(mass, mass / cell).sum())


@dataclass(frozen=True)
class Judged:
    """How far from the exact v_t/α along a policy's own paths, root mean square at each t [T+1]: the critic at x_t, and
    the return of the one path that was drawn. In row 0 both are the reward."""

    critic: Tensor
    single: Tensor


@torch.no_grad()
def judge(critic: ValueNetwork, policy: Policy, soft: SoftValues, *, n: int = 1000) -> Judged:
    """The critic beside the soft value of the world, both in units of α."""
    path = rollout(policy, n, generator=torch.Generator().manual_seed(3))
    r = query(soft.reward, path.x_0) / soft.alpha
    exact = torch.stack([soft(x, t) / soft.alpha for t, x in enumerate(path.x)])
    single = r - policy.log_ratio(path).cumsum(0)
    critic_off, single_off = ((guess - exact).square().mean(1).sqrt() for guess in (critic.along(path, r), single))
    return Judged(critic_off, single_off)


@dataclass(frozen=True)
class Race:
    """Regrets of kinds of soft PPO by name, each over seeds [S], and the largest standard error of any."""

    regrets: Mapping[str, Tensor]
    error: float

    def mean(self, name: str) -> float:
        return float(self.regrets[name].mean())

    def apart(self, one: str, other: str) -> float:
        """Mean difference of two kinds over their common seeds, in standard errors of that mean."""
        gap = self.regrets[one] - self.regrets[other]
        return float(gap.mean() / (gap.std() / len(gap) ** 0.5))


def race(training: str) -> Race:
    """The stored rows of a "short" training, or of a "whole" one."""
    kinds = list(rows.KINDS) if training == "short" else rows.COMPARED
    stored = load("soft_ppo_lambdas")
    return Race(dict(zip(kinds, stored[training], strict=True)), float(stored[f"{training}_se"].max()))


@dataclass(frozen=True)
class Beside:
    """Policies beside the exact target: its masses [m, m] on [−extent, extent]², the reward [k, k] on an axis [k], and
    samples [n, 2] by title."""

    extent: float
    target: Tensor
    axis: Tensor
    reward: Tensor
    samples: Mapping[str, Tensor]


def beside(world: worlds.World, alpha: float, policies: Mapping[str, Policy]) -> Beside:
    """1000 samples of each policy, all from one noise."""
    extent = world.extent or 5.0
    target = TiltedDensity(world.pretrained, world.reward, extent=extent, grid=161).at(alpha).mass
    fine = Grid(extent, 401)
    reward = query(world.reward, fine.points).reshape(401, 401)
    drawn = {
        title: rollout(policy, 1000, generator=torch.Generator().manual_seed(0)).x_0
        for title, policy in policies.items()
    }
    return Beside(extent, target, fine.axis, reward, drawn)


@dataclass(frozen=True)
class Goal:
    """What one α asks for on Ring: the target [m, m], J* and J_pre of the chain."""

    target: Tensor
    optimum: float
    pretrained: float


@dataclass(frozen=True)
class Run:
    """One training run, seen every EVERY iterations: x_0 [F, n, 2], J, KL and the share of clipped ratios, [F] each.
    Nothing has been clipped before the first iteration."""

    x_0: Tensor
    objective: Tensor
    kl: Tensor
    clipped: Tensor


@dataclass(frozen=True)
class Scene:
    """Ring in T steps, its goal for each α, and a run for each (α, clip, batch)."""

    extent: float
    goals: Mapping[float, Goal]
    runs: Mapping[tuple[float, float, int], Run]


@dataclass(frozen=True)
class Answer:
    """One moment of one run: the goal, the run, the frame of it, and the regret (J* − J)/(J* − J_pre) of each, [F]."""

    goal: Goal
    run: Run
    frame: int
    regrets: Tensor

    @property
    def regret(self) -> float:
        """The regret at this moment."""
        return float(self.regrets[self.frame])


@functools.lru_cache(maxsize=1)
def scene() -> Scene:
    """Every run, as it was stored, and the goal of each α."""
    world = worlds.ring(rows.T)
    extent = world.extent or 5.0
    tilted = TiltedDensity(world.pretrained, world.reward, extent=extent, grid=121)
    goals = {}
    for alpha in ALPHAS:
        soft = SoftValues(world.pretrained, world.reward, alpha=alpha, extent=extent, grid=81)
        goals[alpha] = Goal(tilted.at(alpha).mass, soft.optimum, soft.pretrained_objective)
    stored = load("soft_ppo_runs")
    columns = (stored["x_0"].float(), stored["objective"], stored["kl"], stored["clipped"])
    return Scene(extent, goals, dict(zip(rows.settings(), map(Run, *columns), strict=True)))


def answer(scene: Scene, *, iteration: int, alpha: float, clip: float, batch: int) -> Answer:
    """The moment after `iteration`, a multiple of EVERY, of the run with these settings."""
    key = (alpha, clip, batch)
    if key not in scene.runs or iteration not in range(0, ITERATIONS + 1, EVERY):
        raise ValueError(
            f"expected α in {ALPHAS}, clip in {CLIPS}, batch in {BATCHES} and iterations 0, {EVERY}, … "
            f"{ITERATIONS}, got {key} and {iteration}"
        )
    goal, run = scene.goals[alpha], scene.runs[key]
    return Answer(goal, run, iteration // EVERY, (goal.optimum - run.objective) / (goal.optimum - goal.pretrained))


def batch() -> tuple[Tensor, Tensor]:
    """Made-up values and log-ratios of five paths of six steps, for an exercise: [7, 5] each, v_0 in row 0 of the
    values, row 0 of the log-ratios zero."""
    values, ratios = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(4))
    ratios[0] = 0.0
    return values, ratios


def exact_advantages(values: Tensor, ratios: Tensor, *, lam: float) -> Tensor:
    """Σ_{1 ≤ s ≤ t} λ^{t−s} δ_s as one product with the matrix of the powers of λ: [T+1, n]; row 0 is zero."""
    return _powers(values, lam) @ _surprises(values, ratios)


def _surprises(values: Tensor, ratios: Tensor) -> Tensor:
    delta = torch.zeros_like(values)
    delta[1:] = values[:-1] - ratios[1:] - values[1:]
    return delta


def _powers(values: Tensor, lam: float) -> Tensor:
    """λ^{t−s} in row t and column s where 1 ≤ s ≤ t, zero elsewhere."""
    t = torch.arange(len(values))
    ages = t[:, None] - t
    return torch.where((ages >= 0) & (t > 0), lam ** ages.clamp_min(0).to(values), 0.0)


def advantage_slips(values: Tensor, ratios: Tensor, *, lam: float) -> dict[str, Tensor]:
    """Wrong advantages, by what they are."""
    exact = functools.partial(exact_advantages, lam=lam)
    return {
        "the advantage with λ = 1": exact_advantages(values, ratios, lam=1.0),
        "the advantage with λ = 0, each step's own surprise": exact_advantages(values, ratios, lam=0.0),
        "the advantage with the log-ratio added": exact(values, -ratios),
        "the advantage without its log-ratios": exact(values, torch.zeros_like(ratios)),
        "the return to come, from which no value is taken": exact(values, ratios) + values,
        "the advantage summed over the steps before it": _powers(values, lam).T @ _surprises(values, ratios),
    }
