r"""What the playground's methods on the ring really applied, for each reward at many α: `worlds.shipped.applied_tilts`.

    log p_θ(x_0)/p_pre(x_0) against r(x_0): slope 1/α, and r², the share that the reward explains (§4)

Each is one pass of the law of x_0 over a grid, a second or two: too long for a slider, so it is kept. Paths of a
method that overshoots need a wider grid; where even the widest does not hold them, NaN is kept.
"""

import math
import time
from typing import Any

import torch
from tqdm import tqdm

from .. import metrics, worlds
from ..amortised import ALPHAS
from ..assets import save
from ..exact import TiltedDensity
from ..guidance.value_weighted import Sloped, ValueWeightedPolicy
from ..guidance.values import Tweedie
from ..policies import Policy
from ..worlds import World, shipped

EXTENTS, SPACING, POINTS = (5.0, 6.4, 8.0), 0.1, 21
RECIPES: dict[str, dict[str, Any]] = {
    shipped.APPLIED: dict(
        data="laws of x_0 of worlds.ring, each method and reward, γ = 1",
        extents=list(EXTENTS),
        spacing=SPACING,
        points=POINTS,
    )
}


def alphas() -> torch.Tensor:
    """Evenly spaced in log α over the range of the shipped policies: [POINTS]."""
    return torch.logspace(math.log10(ALPHAS[0]), math.log10(ALPHAS[1]), POINTS, dtype=torch.float64)


def policies(world: World, reward: str, tilted: TiltedDensity, alpha: float) -> dict[str, Policy]:
    """Every method of the playground but the exact one, by the names that the asset has for them."""
    values: dict[str, Sloped] = dict(exact_v=tilted.values(alpha), tweedie=Tweedie(world.pretrained, world.reward))
    guided = {name: ValueWeightedPolicy(world.pretrained, value, alpha=alpha) for name, value in values.items()}
    return guided | {by: shipped.ring(by, reward).at(alpha) for by, known in shipped.RING.items() if reward in known}


def applied(policy: Policy, world: World, alpha: float) -> tuple[float, float]:
    """(α, r²) on the smallest grid that holds the paths, NaN where none does."""
    for extent in EXTENTS:
        grid = round(2 * extent / SPACING) + 1
        try:
            found = metrics.applied_tilt(policy, alpha=alpha, extent=extent, reward=world.reward, grid=grid)
        except ValueError as problem:
            if "too small" not in str(problem):
                raise
        else:
            return found.alpha, found.r2
    return math.nan, math.nan


def make(name: str, command: str) -> None:
    """Save `alpha` [POINTS], and [POINTS, 2] for every reward and method."""
    start = time.perf_counter()
    rows: dict[str, list[tuple[float, float]]] = {}
    for reward in worlds.ring().rewards:
        world = worlds.ring().with_reward(reward)
        assert world.extent is not None
        tilted = TiltedDensity(world.pretrained, world.reward, extent=world.extent, grid=81)
        for alpha in tqdm(alphas().tolist(), desc=f"{name}, {reward}"):
            for method, policy in policies(world, reward, tilted, alpha).items():
                rows.setdefault(f"{reward}.{method}", []).append(applied(policy, world, alpha))
    tensors = {key: torch.tensor(found, dtype=torch.float64) for key, found in rows.items()}
    seconds = round(time.perf_counter() - start)
    save(name, tensors | dict(alpha=alphas()), dict(command=command, **RECIPES[name], seconds=seconds))
