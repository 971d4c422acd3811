r"""The rows of 06_3: whose paths path consistency and PPO learn from, over five seeds each (§6.3).

    regret, kl    [methods, α, shares, seeds], ring in T = 10 steps; kl: the largest path KL in training
    x_0           [methods, α, shares, n, 2], samples of the first seed's policy
    gaps          [α], the family gap; the same for the rare mode, `rare_gap`
    kinds         [kinds, LOOKS, seeds], regret by iteration
    defaults      [shares, seeds], ring at its 50 steps
    cold          [CRITICS, shares, seeds], α = 0.2 and small batches: 40 iterations of 32 paths
    replayed      [ways, seeds], regret at 640 scored paths
    rare          [ways, seeds, 2], regret, and the share of samples in the rare mode

About ten minutes on one core.
"""

import functools
import itertools
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .. import worlds
from ..algorithms import Step, path_consistency, run, soft_ppo
from ..assets import save
from ..denoisers import ExactDenoiser
from ..distributions import GaussianMixture
from ..exact import GaussianOptimum, SoftValues
from ..metrics import quiet_objective
from ..policies import DenoisingPolicy, Policy, SteeredPolicy, rollout
from ..rewards import Reward
from . import foreign_ppo

NAME, SEEDS, PARTICLES = "ring_whose_paths", 5, 400
ALPHAS, SHARES = (0.2, 0.5, 2.0), (0.0, 0.2, 0.5, 1.0)
CONSISTENCY, PPO, UNCLIPPED, IGNORED = METHODS = ("path consistency", "PPO", "no clip", "mismatch ignored")
PPOS: dict[str, dict[str, Any]] = {PPO: {}, UNCLIPPED: dict(clip=None), IGNORED: dict(recorded=False)}
KINDS, LOOKS = ("step", "mixed", "trajectory", "vargrad"), (1, 6, 11, 16, 21)
CRITICS = ("mixed", "vargrad")
REPLAYED: dict[str, dict[str, Any]] = {
    "each path once": dict(replay=1, passes=4),
    "four passes": dict(replay=1, passes=16),
    "all old paths": dict(replay=20, passes=16),
}
EPOCHS = (2, 4, 8)
RARE_WAYS = ("its own paths", "a fifth by p_pre", "a fifth from the shelf", "PPO, its own paths")
MODE, WEIGHT, RADIUS, SHELF = 4, 0.02, 0.6, 16
BUDGET = dict(iterations=15, n=128)
RECIPES: dict[str, dict[str, Any]] = {
    NAME: dict(data="rollouts of worlds.ring", seeds=SEEDS, options=BUDGET, alphas=list(ALPHAS), shares=list(SHARES))
}


def regret(policy: Policy, reward: Reward, soft: SoftValues) -> float:
    """From 2000 paths, of the same noise for every policy."""
    noise = torch.Generator().manual_seed(1)
    return soft.share(soft.optimum - quiet_objective(policy, reward, alpha=soft.alpha, n=2000, generator=noise)[0])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tuned(world: worlds.World, method: str, *, alpha: float, share: float, seed: int) -> tuple[SteeredPolicy, float]:
    """A policy by one of METHODS on BUDGET paths, and the largest path KL on its way."""
    policy, g = SteeredPolicy(world.pretrained, generator=seeded(seed)), seeded(seed)
    options: dict[str, Any] = dict(alpha=alpha, generator=g, off_policy=share, **BUDGET)
    steps: Iterator[Step]
    if method == CONSISTENCY:
        steps = path_consistency.fine_tune(policy, world.reward, **options)
    else:
        steps = foreign_ppo.fine_tune(policy, world.reward, **options, **PPOS[method])
    return policy, max(step.kl for step in steps)


def shares(world: worlds.World, optima: dict[float, GaussianOptimum]) -> dict[str, Tensor]:
    size = len(METHODS), len(ALPHAS), len(SHARES)
    regrets, kl, x_0 = torch.zeros(*size, SEEDS), torch.zeros(*size, SEEDS), torch.zeros(*size, PARTICLES, 2)
    for m, a, s, seed in tqdm(list(itertools.product(*map(range, size), range(SEEDS))), "shares"):
        policy, kl[m, a, s, seed] = tuned(world, METHODS[m], alpha=ALPHAS[a], share=SHARES[s], seed=seed)
        regrets[m, a, s, seed] = regret(policy, world.reward, optima[ALPHAS[a]].soft)
        if seed == 0:
            x_0[m, a, s] = rollout(policy, PARTICLES, generator=seeded(2)).x_0
    return dict(regret=regrets, kl=kl, x_0=x_0.half())


def kinds(world: worlds.World, soft: SoftValues) -> Tensor:
    found = torch.zeros(len(KINDS), len(LOOKS), SEEDS)
    for k, seed in tqdm(list(itertools.product(range(len(KINDS)), range(SEEDS))), "kinds"):
        policy, g = SteeredPolicy(world.pretrained, generator=seeded(seed)), seeded(seed)
        options: dict[str, Any] = dict(alpha=soft.alpha, generator=g, iterations=LOOKS[-1], kind=KINDS[k])
        for step in path_consistency.fine_tune(policy, world.reward, **options):
            if step.iteration in LOOKS:
                found[k, LOOKS.index(step.iteration), seed] = regret(policy, world.reward, soft)
    return found


def defaults() -> Tensor:
    """At 50 of the 100 default iterations."""
    ring = worlds.ring()
    soft = SoftValues(ring.pretrained, ring.reward, alpha=ring.alpha, extent=ring.extent or 5.0, grid=101)
    found = torch.zeros(len(SHARES), SEEDS)
    for s, seed in tqdm(list(itertools.product(range(len(SHARES)), range(SEEDS))), "defaults"):
        policy, g = SteeredPolicy(ring.pretrained, generator=seeded(seed)), seeded(seed)
        options: dict[str, Any] = dict(alpha=ring.alpha, generator=g, iterations=50, off_policy=SHARES[s])
        run(path_consistency.fine_tune(policy, ring.reward, **options))
        found[s, seed] = regret(policy, ring.reward, soft)
    return found


def cold(world: worlds.World, soft: SoftValues) -> Tensor:
    """With a value network ("mixed") and without ("vargrad")."""
    found = torch.zeros(len(CRITICS), len(SHARES), SEEDS)
    for k, s, seed in tqdm(list(itertools.product(*map(range, found.shape))), "cold"):
        policy, g = SteeredPolicy(world.pretrained, generator=seeded(seed)), seeded(seed)
        options: dict[str, Any] = dict(alpha=soft.alpha, generator=g, iterations=40, n=32, off_policy=SHARES[s])
        run(path_consistency.fine_tune(policy, world.reward, kind=CRITICS[k], **options))
        found[k, s, seed] = regret(policy, world.reward, soft)
    return found


def replayed(world: worlds.World, soft: SoftValues) -> Tensor:
    """REPLAYED, and PPO with EPOCHS passes over its own paths: 20 iterations of 32 paths each."""
    ways = [(path_consistency, dict(parts=1) | options) for options in REPLAYED.values()]
    ways += [(soft_ppo, dict(epochs=epochs)) for epochs in EPOCHS]
    found = torch.zeros(len(ways), SEEDS)
    for w, seed in tqdm(list(itertools.product(range(len(ways)), range(SEEDS))), "replayed"):
        (algorithm, options), policy = ways[w], SteeredPolicy(world.pretrained, generator=seeded(seed))
        plan: dict[str, Any] = dict(alpha=soft.alpha, generator=seeded(seed), iterations=20, n=32)
        run(algorithm.fine_tune(policy, world.reward, **plan, **options))
        found[w, seed] = regret(policy, world.reward, soft)
    return found


@functools.cache
def rare_mode() -> tuple[worlds.World, Policy]:
    """The ring with one mode of weight WEIGHT (others: 1) and reward 1 within RADIUS of it; and the chain of which
    SHELF samples known to lie there are the data."""
    ring = worlds.ring(T=10)
    assert ring.mixture is not None
    centres, weights = ring.mixture.means, torch.ones(8)
    weights[MODE] = WEIGHT
    data = GaussianMixture(weights / weights.sum(), centres, stds=torch.full((8,), 0.3))

    def reward(x: Tensor) -> Tensor:
        return ((x - centres[MODE]).norm(dim=-1) < RADIUS).float()

    drawn = data.sample(50_000, generator=seeded(5))
    shelf = drawn[reward(drawn) > 0][:SHELF]
    known = GaussianMixture(torch.full((SHELF,), 1 / SHELF), shelf, stds=torch.full((SHELF,), 0.01))
    chains = [DenoisingPolicy(ExactDenoiser(law, ring.schedule), ring.schedule) for law in (data, known)]
    world = worlds.World(
        "rare mode", ring.schedule, chains[0], data.sample, reward, 1 / 8, {}, {}, extent=ring.extent, mixture=data
    )
    return world, chains[1]


def rare(best: GaussianOptimum) -> Tensor:
    world, known = rare_mode()
    ways: list[tuple[Any, dict[str, Any]]] = [
        (path_consistency, dict(off_policy=0.0)),
        (path_consistency, dict(off_policy=0.2)),
        (path_consistency, dict(off_policy=0.2, behaviour=known)),
        (soft_ppo, {}),
    ]
    found = torch.zeros(len(ways), SEEDS, 2)
    for w, seed in tqdm(list(itertools.product(range(len(ways)), range(SEEDS))), "rare"):
        (algorithm, options), policy = ways[w], SteeredPolicy(world.pretrained, generator=seeded(seed))
        plan: dict[str, Any] = dict(alpha=world.alpha, generator=seeded(seed), iterations=30, n=128)
        run(algorithm.fine_tune(policy, world.reward, **plan, **options))
        inside = world.reward(rollout(policy, 2000, generator=seeded(2)).x_0).mean()
        found[w, seed] = torch.stack([torch.tensor(regret(policy, world.reward, best.soft)), inside])
    return found


def make(name: str, command: str) -> None:
    start, ring, (far, _) = time.perf_counter(), worlds.ring(T=10), rare_mode()
    optima = {a: GaussianOptimum(ring.pretrained, ring.reward, alpha=a, extent=5.0, grid=81) for a in ALPHAS}
    best = GaussianOptimum(far.pretrained, far.reward, alpha=far.alpha, extent=5.0, grid=161)
    soft = optima[ring.alpha].soft
    rows = shares(ring, optima) | dict(kinds=kinds(ring, soft), replayed=replayed(ring, soft), rare=rare(best))
    rows |= dict(gaps=torch.tensor([found.family_gap for found in optima.values()]), defaults=defaults())
    rows |= dict(rare_gap=torch.tensor(best.family_gap), cold=cold(ring, optima[ALPHAS[0]].soft))
    save(name, rows, dict(command=command, **RECIPES[name], seconds=round(time.perf_counter() - start)))
