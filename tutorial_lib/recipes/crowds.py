"""The recipe of the rows of 06_2: particles against regret, for each way to select, on the ring. Some minutes on one
core.

    bound on the regret of a crowd of n    (J* − α E[log Ẑ])/(J* − J_pre),  J* = α log Z with x_T tilted, too
    SVDD with n candidates                 the share of samples inside the disc

Every entry has the same number of particles and its own seed: a tensor [sizes, seeds] by name, such as `disc, Tweedie`.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .. import worlds
from ..assets import save
from ..exact import SoftValues
from ..guidance import sequential_monte_carlo, value_weighted, values
from ..worlds import World

NAME = "ring_crowds"
RECIPES: dict[str, dict[str, Any]] = {
    NAME: dict(data="rollouts of worlds.ring", seed=0, seeds=5, sizes=[1, 4, 16, 64, 256], particles=4096, chosen=400)
}
Arm = tuple[Callable[[Tensor, int], Tensor], dict[str, Any]]  # a value, and how the crowd uses it


def estimators(soft: SoftValues, seed: int) -> dict[str, Callable[[Tensor, int], Tensor]]:
    """Four values to select by, of a reward without a slope."""
    world: dict[str, Any] = dict(pretrained=soft.pretrained, reward=soft.reward)
    return {
        "exact v": soft,
        "soft Q": values.soft_q(**world, alpha=soft.alpha, generator=seeded(seed)),
        "none": lambda x, t: torch.zeros(len(x)) if t else soft.reward(x),
        "Tweedie": values.Tweedie(**world),
    }


def arms(soft: SoftValues, seed: int) -> dict[str, Arm]:
    """Five crowds for a reward with a slope: whether it steers, too, and by which value."""
    world: dict[str, Any] = dict(pretrained=soft.pretrained, reward=soft.reward)
    guess, alpha = values.Tweedie(**world), soft.alpha
    several = values.SampledTweedie(**world, alpha=alpha, generator=seeded(100 + seed))
    steered, better = (value_weighted.ValueWeightedPolicy(soft.pretrained, v, alpha=alpha) for v in (guess, several))
    return {
        "selected": (guess, {}),
        "steered and selected": (guess, dict(proposal=steered)),
        "tempered, too": (guess, dict(proposal=steered, temper=rising(soft.schedule.T))),
        "several guesses": (several, dict(proposal=better)),
        "exact v, selected": (soft, {}),
    }


def rising(T: int) -> list[float]:
    """λ_t = 2^((T−t)/T) − 1, from 0 at the noise to 1 at the sample, as in DAS: [T+1]."""
    return [2 ** ((T - t) / T) - 1 for t in range(T + 1)]


def bound(soft: SoftValues, arm: Arm, n: int, *, particles: int, seed: int) -> sequential_monte_carlo.Particles:
    """Crowds of n, `particles` in all."""
    value, how = arm
    options: dict[str, Any] = dict(alpha=soft.alpha, n=n, clouds=particles // n, generator=seeded(seed))
    return sequential_monte_carlo.sample(soft.pretrained, value, **options, **how)


def regret(soft: SoftValues, log_z: Tensor) -> float:
    """What a crowd's log Ẑ say of the regret of its particles, at most."""
    gain = soft.tilted_optimum - soft.pretrained_objective
    return (soft.tilted_optimum - soft.alpha * log_z.double().mean().item()) / gain


def rows(recipe: dict[str, Any]) -> Iterator[tuple[str, int, int, float]]:
    """(name, place of the size, seed, number) of every entry."""
    exact = {name: soft_values(worlds.ring().with_reward(name)) for name in ("disc", "peak")}
    for seed in tqdm(range(recipe["seeds"]), NAME):
        by_value: dict[str, Arm] = {name: (value, {}) for name, value in estimators(exact["disc"], seed).items()}
        for reward, chosen in (("disc", by_value), ("peak", arms(exact["peak"], seed))):
            soft = exact[reward]
            for name, arm in chosen.items():
                for i, n in enumerate(recipe["sizes"]):
                    crowd = bound(soft, arm, n, particles=recipe["particles"], seed=seed)
                    yield f"{reward}, {name}", i, seed, regret(soft, crowd.log_z)
        for name, (value, _) in by_value.items():
            for i, n in enumerate(recipe["sizes"]):
                yield f"svdd, {name}", i, seed, inside(exact["disc"], value, n, recipe["chosen"], seed)


def inside(soft: SoftValues, value: Callable[[Tensor, int], Tensor], candidates: int, n: int, seed: int) -> float:
    options: dict[str, Any] = dict(alpha=soft.alpha, n=n, candidates=candidates, generator=seeded(seed))
    return soft.reward(sequential_monte_carlo.svdd(soft.pretrained, value, **options).x_0).mean().item()


def soft_values(world: World) -> SoftValues:
    assert world.extent is not None
    return SoftValues(world.pretrained, world.reward, alpha=world.alpha, extent=world.extent, grid=81)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(name: str, command: str) -> None:
    """Run all and save the numbers."""
    recipe, start = RECIPES[name], time.perf_counter()
    tensors: dict[str, Tensor] = {}
    for row, i, seed, number in rows(recipe):
        tensors.setdefault(row, torch.zeros(len(recipe["sizes"]), recipe["seeds"]))[i, seed] = number
    save(name, tensors, dict(command=command, **recipe, seconds=round(time.perf_counter() - start)))
