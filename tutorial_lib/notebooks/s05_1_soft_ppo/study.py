r"""What soft PPO does, measured (§5.1): a policy at one moment of its training, and one short run for each setting.

`look` sees a policy under noise that is the same at every moment; `scene` trains the widget's runs; `answer` looks up a
moment of one. Shapes: n samples x_0 [n, 2]; F frames of a run; m grid points a side.
"""

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ... import worlds
from ...algorithms import Step as Step
from ...algorithms import soft_ppo
from ...exact import SoftValues, TiltedDensity
from ...grids import Grid
from ...metrics import entropy
from ...policies import Policy, SteeredPolicy, rollout
from ...rewards import Reward, query

T, ITERATIONS, WIDTH, PARTICLES, EVERY = 10, 18, 64, 400, 3
ALPHAS, CLIPS, BATCHES = (0.2, 0.5, 2.0), (0.01, 0.1, 1.0), (16, 64)


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


def train(world: worlds.World, alpha: float, clip: float, n: int) -> Run:
    """ITERATIONS of PPO from the same network and the same noise."""
    policy = SteeredPolicy(world.pretrained, width=WIDTH)
    steps = soft_ppo.fine_tune(
        policy,
        world.reward,
        alpha=alpha,
        clip=clip,
        n=n,
        iterations=ITERATIONS,
        generator=torch.Generator().manual_seed(0),
    )
    frames = [_frame(policy, world.reward, alpha, 0.0)]
    for step in steps:
        if step.iteration % EVERY == 0:
            frames.append(_frame(policy, world.reward, alpha, step.extra["clipped"]))
    x_0, objective, kl, clipped = zip(*frames, strict=True)
    return Run(torch.stack(x_0), *map(torch.tensor, (objective, kl, clipped)))


def _frame(policy: Policy, reward: Reward, alpha: float, clipped: float) -> tuple[Tensor, float, float, float]:
    """x_0 [n, 2], J and KL of a policy, J from the sampled log-ratio: near the optimum it has the least noise."""
    path = rollout(policy, PARTICLES, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        paid = policy.log_ratio(path).sum(0)
        J = query(reward, path.x_0) - alpha * paid
    return path.x_0, float(J.mean()), float(paid.mean()), clipped


@functools.lru_cache(maxsize=1)
def scene() -> Scene:
    """Train every run, once; behind a progress bar, for it takes several seconds."""
    world = worlds.ring(T)
    extent = world.extent or 5.0
    tilted = TiltedDensity(world.pretrained, world.reward, extent=extent, grid=121)
    goals = {}
    for alpha in ALPHAS:
        soft = SoftValues(world.pretrained, world.reward, alpha=alpha, extent=extent, grid=81)
        goals[alpha] = Goal(tilted.at(alpha).mass, soft.optimum, soft.pretrained_objective)
    settings = list(itertools.product(ALPHAS, CLIPS, BATCHES))
    return Scene(extent, goals, {setting: train(world, *setting) for setting in tqdm(settings)})


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
