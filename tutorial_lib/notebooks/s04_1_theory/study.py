r"""The marginals p*_t, their values and the shift, for any α and t (§4).

    p*_t ∝ p_pre,t exp(v_t/α),   u_t = σ_t ∇v_t/α,   KL(p*_t‖p_pre,t) = (E*[v_t] − α log Z)/α

A `Scene` holds what no slider changes; `answer` maps settings to arrays. Shapes: n grid cells a side.
"""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import worlds
from ...exact import Marginal, TiltedDensity
from ...rewards import Reward
from ...worlds import World

ALPHAS = (0.05, 10.0)
GRID, SHOWN = 101, 3.4  # cells a side; half the side of what is shown


def waves(x: Tensor) -> Tensor:
    """r(x) = cos πx₁ + cos πx₂ + 0.3 x₁: high at four of Ring's eight clusters, highest on the right. [B, 2] → [B]."""
    return (math.pi * x).cos().sum(-1) + 0.3 * x[:, 0]


RING = worlds.ring()
T = RING.schedule.T
REWARDS: dict[str, Reward] = {
    "peak (smooth)": RING.rewards["peak"],
    "waves (multimodal)": waves,
    "disc (discontinuous)": RING.rewards["disc"],
}
FIRST = "peak (smooth)"


@dataclass(frozen=True, eq=False)
class Scene:
    """Ring under one reward. lattice [m]: the cells along an axis that carry arrows; slope [m, n]: the matrix that
    takes slopes there. low, high: 2 % and 99.9 % quantiles of r under p_pre."""

    name: str
    world: World
    reward: Reward
    tilted: TiltedDensity
    lattice: Tensor
    slope: Tensor
    low: float
    high: float


@dataclass(frozen=True)
class Answer:
    """One (α, t): the three fields [n, n]; shift σ_t∇v_t/α on the lattice [m, m, 2], nought where no path goes;
    kl KL(p*_t‖p_pre,t); value E*[v_t]; limit α log Z."""

    alpha: float
    t: int
    fields: Marginal
    shift: Tensor
    alpha_bar: float
    kl: float
    value: float
    limit: float


@functools.lru_cache(maxsize=len(REWARDS))
def scene(reward: str = FIRST) -> Scene:
    """The scene of one of `REWARDS`."""
    if reward not in REWARDS:
        raise ValueError(f"unknown reward {reward!r}; known: {', '.join(REWARDS)}")
    tilted = TiltedDensity(RING.pretrained, REWARDS[reward], extent=5.0, grid=GRID)
    rewards, order = tilted.reward.reshape(-1).sort()
    below = tilted.pretrained.reshape(-1)[order].cumsum(0)
    low, high = rewards[torch.searchsorted(below, torch.tensor([0.02, 0.999], dtype=below.dtype))].tolist()
    lattice = (tilted.grid.axis.abs() < SHOWN).nonzero()[:, 0][2::6]
    slope = tilted.grid.slope_matrix()[lattice]
    return Scene(reward, RING, REWARDS[reward], tilted, lattice, slope, low, high)


def answer(scene: Scene, *, alpha: float, t: int) -> Answer:
    """The exact marginals, value and shift at one α > 0 and t in 0..T."""
    tilted, schedule, at = scene.tilted, scene.world.schedule, scene.lattice
    fields = tilted.marginal(alpha, t)
    mass = fields.density * tilted.grid.spacing**2
    value = float((mass * fields.value).sum())
    limit = tilted.at(alpha).objective
    slope = torch.stack([scene.slope @ fields.value[:, at], fields.value[at] @ scene.slope.mT], -1)
    here = torch.maximum(fields.pretrained / fields.pretrained.max(), fields.density / fields.density.max())[at][:, at]
    shift = torch.where((here > 0.05).unsqueeze(-1), slope * float(schedule.sigma[t]) / alpha, 0.0)
    return Answer(alpha, t, fields, shift, float(schedule.alpha_bar[t]), (value - limit) / alpha, value, limit)
