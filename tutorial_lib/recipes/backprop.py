"""The recipes of what the page on reward backpropagation compares (§5.2): the J of five seeds of everything, stored.

Whatever is compared has asked for equally many rewards. Each file holds J by what was varied, the seeds last.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .. import worlds
from ..algorithms import reward_backprop, run, soft_ppo
from ..assets import save
from ..denoisers import ExactDenoiser
from ..distributions import GaussianMixture
from ..metrics import evaluate
from ..policies import DenoisingPolicy, LateControl, SteeredPolicy
from ..rewards import Reward, peak
from ..schedules import NoiseSchedule

DEPTHS, DIMENSIONS, BUDGETS = (1, 2, 5, 10, 25, 50), (2, 8, 32), (1280, 5120)
COMMON: dict[str, Any] = dict(seeds=[0, 1, 2, 3, 4], samples=10_000)
RECIPES: dict[str, dict[str, Any]] = {
    "backprop_truncation": dict(
        data="rollouts of worlds.ring", depths=list(DEPTHS), options=dict(n=32, iterations=60, mixed=False), **COMMON
    ),
    "backprop_dimensions": dict(
        data="rollouts of one Gaussian", dimensions=list(DIMENSIONS), queries=list(BUDGETS), **COMMON
    ),
    "backprop_islands": dict(data="rollouts of worlds.islands", queries=120 * 128, **COMMON),
}
Tuned = tuple[SteeredPolicy, Reward, float]  # a policy, the reward that it was tuned for, and α


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truncated(last: int | tuple[int, int], seed: int, *, alone: bool = False) -> Tuned:
    """Ring, with the gradient through the last K steps; alone: those before stay pretrained."""
    world, generator = worlds.ring(), seeded(seed)
    control = LateControl(world.pretrained, last, generator=generator) if alone and isinstance(last, int) else None
    policy = SteeredPolicy(world.pretrained, control, generator=generator)
    options = RECIPES["backprop_truncation"]["options"]
    run(reward_backprop.fine_tune(policy, world.reward, alpha=world.alpha, generator=generator, last=last, **options))
    return policy, world.reward, world.alpha


def gaussian(D: int) -> tuple[DenoisingPolicy, Reward]:
    """One Gaussian of std 0.6 around 0 in D dimensions, T = 20, and the reward −‖x − e_1‖²."""
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, D), stds=torch.tensor([0.6]))
    schedule = NoiseSchedule.cosine(20)
    return DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule), peak([1.0] + [0.0] * (D - 1))


METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "along": (reward_backprop, dict(n=32, mixed=False)),
    "mixed": (reward_backprop, dict(n=32, mixed=True)),
    "ppo": (soft_ppo, dict(n=64)),
}


def in_dimensions(name: str, D: int, queries: int, seed: int) -> Tuned:
    """One of METHODS on the Gaussian, planned for so many queries."""
    (pretrained, reward), (method, options), generator = gaussian(D), METHODS[name], seeded(seed)
    policy, iterations = SteeredPolicy(pretrained, generator=generator), queries // options["n"]
    run(method.fine_tune(policy, reward, alpha=0.5, generator=generator, iterations=iterations, **options))
    return policy, reward, 0.5


def on_islands(name: str, seed: int) -> Tuned:
    """One of METHODS on the islands with a narrow peak, at its defaults but for as many queries as the others."""
    world, method, generator = worlds.islands(), METHODS[name][0], seeded(seed)
    plan: dict[str, Any] = dict(n=128, iterations=RECIPES["backprop_islands"]["queries"] // 128)
    options = plan if name == "ppo" else plan | dict(mixed=name == "mixed")
    policy = SteeredPolicy(world.pretrained, generator=generator)
    run(method.fine_tune(policy, world.reward, alpha=world.alpha, generator=generator, **options))
    return policy, world.reward, world.alpha


def objective(tuned: Tuned) -> float:
    policy, reward, alpha = tuned
    return evaluate(policy, reward, alpha=alpha, n=COMMON["samples"], generator=seeded(1000)).objective


def over_seeds(train: Callable[..., Tuned], *setting: Any, **options: Any) -> Tensor:
    return torch.tensor([objective(train(*setting, seed, **options)) for seed in COMMON["seeds"]])


def truncation() -> dict[str, Tensor]:
    """alone, free: [depth, seed], the steps before the last K pretrained or not; random: [seed], K drawn from 1..T."""
    alone = [over_seeds(truncated, K, alone=True) for K in tqdm(DEPTHS, "alone")]
    free = [over_seeds(truncated, K) for K in tqdm(DEPTHS, "free")]
    return dict(alone=torch.stack(alone), free=torch.stack(free), random=over_seeds(truncated, (1, 50)))


def dimensions() -> dict[str, Tensor]:
    """Each method: [dimension, budget, seed]."""
    found: dict[str, list[Tensor]] = {"along": [], "ppo": []}
    for name, D, queries in tqdm(list(itertools.product(found, DIMENSIONS, BUDGETS)), "dimensions"):
        found[name].append(over_seeds(in_dimensions, name, D, queries))
    return {name: torch.stack(J).reshape(len(DIMENSIONS), len(BUDGETS), -1) for name, J in found.items()}


def islands() -> dict[str, Tensor]:
    """Each method: [seed]."""
    return {name: over_seeds(on_islands, name) for name in tqdm(METHODS, "islands")}


MAKERS: dict[str, Callable[[], dict[str, Tensor]]] = dict(
    backprop_truncation=truncation, backprop_dimensions=dimensions, backprop_islands=islands
)


def make(name: str, command: str) -> None:
    """Train everything that is compared and save its J."""
    start = time.perf_counter()
    found = MAKERS[name]()
    save(name, found, dict(command=command, **RECIPES[name], seconds=round(time.perf_counter() - start)))
