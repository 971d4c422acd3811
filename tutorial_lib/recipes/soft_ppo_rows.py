"""The rows of notebooks/05_1_soft_ppo.ipynb: soft PPO under several λ over ten seeds, and the runs behind its widget.

    soft_ppo_lambdas: regret and its standard error, [kinds, seeds] each, after a short training and, at the defaults on
                      the ring of 50 steps, after a whole one
    soft_ppo_runs:    of every (α, clip, batch) a run, seen every few iterations: x_0 [S, F, P, 2] at half precision, J,
                      KL and the share of clipped ratios, [S, F] each

Seven minutes and half a minute on one core.
"""

import itertools
import time
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .. import worlds
from ..algorithms import run, soft_ppo
from ..assets import save
from ..exact import SoftValues
from ..metrics import evaluate
from ..policies import Policy, SteeredPolicy, rollout
from ..rewards import Reward, query
from ..worlds import World

KINDS: dict[str, dict[str, Any]] = {
    "no value network": dict(baseline=False),
    "λ = 0.01": dict(lam=0.01),
    "λ = 0.5": dict(lam=0.5),
    "λ = 0.9": dict(lam=0.9),
    "λ = 0.99": dict(lam=0.99),
    "λ = 1": dict(lam=1.0),
}
SHORT: dict[str, Any] = dict(T=20, width=64, iterations=25, n=64, seeds=10)
WHOLE: dict[str, Any] = dict(T=50, width=96, iterations=75, n=256, seeds=5)
COMPARED = ["no value network", "λ = 0.9", "λ = 0.99", "λ = 1"]  # in a whole training
ALPHAS, CLIPS, BATCHES = [0.2, 0.5, 2.0], [0.01, 0.1, 1.0], [16, 64]
T, ITERATIONS, WIDTH, PARTICLES, EVERY = 10, 18, 64, 400, 3
RECIPES: dict[str, dict[str, Any]] = dict(
    soft_ppo_lambdas=dict(data="rollouts of worlds.ring", kinds=KINDS, short=SHORT, whole=WHOLE, compared=COMPARED),
    soft_ppo_runs=dict(
        data="rollouts of worlds.ring",
        **dict(alphas=ALPHAS, clips=CLIPS, batches=BATCHES, T=T, iterations=ITERATIONS, width=WIDTH, seed=0),
        **dict(particles=PARTICLES, every=EVERY),
    ),
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def regrets(names: list[str], *, T: int, width: int, iterations: int, n: int, seeds: int) -> tuple[Tensor, Tensor]:
    """Regret and its error after training each kind from each seed, first weights included: [kinds, seeds]."""
    world = worlds.ring(T)
    soft = SoftValues(world.pretrained, world.reward, alpha=world.alpha, extent=5.0)
    found = torch.zeros(2, len(names), seeds)
    settings = itertools.product(enumerate(names), range(seeds))
    for (kind, name), seed in tqdm(settings, total=len(names) * seeds, desc=f"T = {T}"):
        policy, plan = SteeredPolicy(world.pretrained, width=width, generator=seeded(seed)), KINDS[name]
        plan = plan | dict(alpha=world.alpha, iterations=iterations, n=n, generator=seeded(seed))
        run(soft_ppo.fine_tune(policy, world.reward, **plan))
        report = evaluate(policy, world.reward, alpha=world.alpha, generator=seeded(100 + seed))
        found[:, kind, seed] = torch.tensor([soft.regret(report), soft.share(report.objective_se)])
    return found[0], found[1]


def train(
    world: World, alpha: float, clip: float, n: int, *, iterations: int = ITERATIONS
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """PPO from the same network and the same noise, seen before it begins and every EVERY iterations: x_0 [F, P, 2], J,
    KL and the share of clipped ratios, [F] each. Nothing has been clipped before the first iteration."""
    policy = SteeredPolicy(world.pretrained, width=WIDTH)
    plan: dict[str, Any] = dict(alpha=alpha, clip=clip, n=n, iterations=iterations, generator=seeded(0))
    frames = [_frame(policy, world.reward, alpha, 0.0)]
    for step in soft_ppo.fine_tune(policy, world.reward, **plan):
        if step.iteration % EVERY == 0:
            frames.append(_frame(policy, world.reward, alpha, step.extra["clipped"]))
    x_0, objective, kl, clipped = zip(*frames, strict=True)
    return torch.stack(x_0), torch.tensor(objective), torch.tensor(kl), torch.tensor(clipped)


def _frame(policy: Policy, reward: Reward, alpha: float, clipped: float) -> tuple[Tensor, float, float, float]:
    """x_0 [P, 2], J and KL of a policy, J from the sampled log-ratio: near the optimum it has the least noise."""
    path = rollout(policy, PARTICLES, generator=seeded(0))
    with torch.no_grad():
        paid = policy.log_ratio(path).sum(0)
        J = query(reward, path.x_0) - alpha * paid
    return path.x_0, float(J.mean()), float(paid.mean()), clipped


def settings() -> list[tuple[float, float, int]]:
    """Every (α, clip, batch), in the order of the stored rows."""
    return list(itertools.product(ALPHAS, CLIPS, BATCHES))


def make(name: str, command: str) -> None:
    """Train, measure and save."""
    start = time.perf_counter()
    if name == "soft_ppo_lambdas":
        tensors = dict(zip(("short", "short_se"), regrets(list(KINDS), **SHORT), strict=True))
        tensors |= dict(zip(("whole", "whole_se"), regrets(COMPARED, **WHOLE), strict=True))
    else:
        runs = [train(worlds.ring(T), *setting) for setting in tqdm(settings(), desc=name)]
        x_0, *rows = (torch.stack(parts) for parts in zip(*runs, strict=True))
        tensors = dict(x_0=x_0.half(), **dict(zip(("objective", "kl", "clipped"), rows, strict=True)))
    save(name, tensors, dict(command=command, **RECIPES[name], seconds=round(time.perf_counter() - start)))
