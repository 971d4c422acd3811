r"""Value-weighted sampling (§6.2) by its settings: α, γ, the estimator of v_t, the particles.

    steered:    x_{t−1} ~ N( ρ + γ (σ_t²/α) ∇v̂_{t−1}(ρ), σ_t² I )
    chosen:     x_{t−1} ~ p_pre(·|x_t), then copied or picked with weights exp(v̂/α)

A `Scene` holds every estimator's values on a grid, for a few α; `answer` maps settings to arrays.
Shapes: n grid cells a side; B particles; E reward levels.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...exact import GridValues, Tilt, TiltedDensity
from ...grids import Grid
from ...guidance import sequential_monte_carlo
from ...guidance.value_weighted import ValueWeightedPolicy
from ...guidance.values import Tweedie
from ...metrics import energy_distance, rollout_with_kl
from ...policies import Fenced
from ...rewards import query
from ...worlds import World

STEERED, CLOUD, CHOSEN = SAMPLERS = ("Algorithm 4 (slopes)", "sequential Monte Carlo", "SVDD")
EXACT, SOFT_Q, MONTE_CARLO, TWEEDIE, FLIPPED = ESTIMATORS = (
    "exact v",
    "soft Q",
    "Monte Carlo",
    "Tweedie",
    "wrong sign",
)
PARTICLES, COUNTS = 320, (1, 2, 4, 8, 16, 32, 64)  # points shown; particles to a cloud, or candidates to a step
GRID, BELIEVED_AT, LEVELS = 81, 25, 120  # cells a side; the t at which v̂ is shown; reward levels
Value = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, eq=False)
class Scene:
    """A world's exact tilt, and by (name, α) every estimator's values, with those at BELIEVED_AT, [n, n]; exact draws
    [B, 2] by α. levels: rewards [E]; below: the pretrained share at or below each of them, [E]."""

    world: World
    tilted: TiltedDensity
    values: Mapping[tuple[str, float], GridValues]
    beliefs: Mapping[tuple[str, float], Tensor]
    draws: Mapping[float, Tensor]
    levels: Tensor
    below: Tensor

    @property
    def alphas(self) -> tuple[float, ...]:
        return tuple(sorted(self.draws))


@dataclass(frozen=True)
class Answer:
    """What one setting gives. x_0 [B, 2] and their rewards [B], without those that were `thrown` out of the plane;
    target: the exact tilt; belief [n, n]: v̂ at BELIEVED_AT; below, best [E]: the share of samples and of the target
    with at most each reward of the scene's levels; distance: energy distance to exact draws. regret: of Algorithm 4,
    with its s.e., and for the cloud a bound on it. kl: Algorithm 4's, of whole paths; effective, ancestors: the cloud's
    lowest share, and the share of x_T with descendants.
    """

    x_0: Tensor
    rewards: Tensor
    target: Tilt
    belief: Tensor
    below: Tensor
    best: Tensor
    distance: float
    thrown: int = 0
    regret: float = math.nan
    regret_se: float = math.nan
    kl: float = math.nan
    effective: float = math.nan
    ancestors: float = math.nan


def make_scene(world: World, learned: Mapping[float, Mapping[str, Value]]) -> Scene:
    """learned: fitted values by α and by name, SOFT_Q and MONTE_CARLO."""
    if world.extent is None:
        raise ValueError(f"expected a world of points, got {world.name}")
    tilted = TiltedDensity(world.pretrained, world.reward, extent=world.extent, grid=GRID)
    guess = on_grid(Tweedie(world.pretrained, world.reward), tilted.grid, world.schedule.T)
    fields: dict[tuple[str, float], Tensor] = {}
    for alpha, fitted in learned.items():
        exact = tilted.through_time(alpha)[1]
        found = {EXACT: exact, TWEEDIE: guess, FLIPPED: torch.cat([exact[:1], -exact[1:]])}
        found |= {name: on_grid(value, tilted.grid, world.schedule.T) for name, value in fitted.items()}
        fields |= {(name, alpha): v for name, v in found.items()}
    uniforms = torch.rand(PARTICLES, 2, generator=_seeded(1))
    levels = reward_levels(tilted, max(learned))
    return Scene(
        world,
        tilted,
        {key: GridValues(v, tilted.grid) for key, v in fields.items()},
        {key: v[BELIEVED_AT] for key, v in fields.items()},
        {alpha: tilted.sample(alpha, uniforms) for alpha in learned},
        levels,
        share_below(tilted.reward, tilted.pretrained, levels),
    )


@torch.no_grad()
def on_grid(value: Value, grid: Grid, T: int) -> Tensor:
    """A value at every t on a grid: [T+1, n, n]."""
    rows = [value(grid.points, t).double() for t in range(T + 1)]
    return torch.stack(rows).reshape(-1, grid.n, grid.n)


def answer(scene: Scene, alpha: float, strength: float, sampler: str, estimator: str, count: int) -> Answer:
    """PARTICLES points of one sampler, on the same noise every time: γ acts on Algorithm 4, `count` on the others."""
    if (estimator, alpha) not in scene.values:
        raise ValueError(f"no values of {estimator!r} at α = {alpha}; known: {', '.join(ESTIMATORS)} at {scene.alphas}")
    value = scene.values[estimator, alpha]
    if sampler == STEERED:
        x_0, told = _steer(scene, value, alpha, strength)
    elif sampler == CLOUD:
        x_0, told = _cloud(scene, value, alpha, count)
    elif sampler == CHOSEN:
        options: dict[str, Any] = dict(alpha=alpha, n=PARTICLES, candidates=count, generator=_seeded(0))
        x_0, told = sequential_monte_carlo.svdd(scene.world.pretrained, value, **options).x_0, {}
    else:
        raise ValueError(f"unknown sampler {sampler!r}; known: {', '.join(SAMPLERS)}")
    with torch.no_grad():
        rewards, target = query(scene.world.reward, x_0), scene.tilted.at(alpha)
    even = torch.full_like(rewards, 1 / max(1, len(rewards)))
    below, best = (
        share_below(r, mass, scene.levels) for r, mass in ((rewards, even), (scene.tilted.reward, target.mass))
    )
    distance = energy_distance(x_0, scene.draws[alpha][: len(x_0)]) if len(x_0) > 1 else math.inf
    return Answer(x_0, rewards, target, scene.beliefs[estimator, alpha], below, best, distance, **told)


def _steer(scene: Scene, value: GridValues, alpha: float, strength: float) -> tuple[Tensor, dict]:
    policy = Fenced(ValueWeightedPolicy(scene.world.pretrained, value, alpha=alpha, strength=strength))
    path, kl = rollout_with_kl(policy, PARTICLES, generator=_seeded(0))
    stayed = policy.stayed(path)
    x_0, kl = path.x_0[stayed], kl[stayed].double()
    with torch.no_grad():
        J = query(scene.world.reward, x_0).double() - alpha * kl
    regret, gain = _regret(scene, alpha, J), _gain(scene, alpha)
    told = dict(regret=regret, regret_se=float(J.std()) / gain / len(J) ** 0.5) if len(J) > 1 else {}
    return x_0, dict(thrown=PARTICLES - len(x_0), kl=float(kl.mean()), **told)


def _cloud(scene: Scene, value: GridValues, alpha: float, count: int) -> tuple[Tensor, dict]:
    options: dict[str, Any] = dict(alpha=alpha, n=count, clouds=PARTICLES // count, generator=_seeded(0))
    path = sequential_monte_carlo.sample(scene.world.pretrained, value, **options)
    bound = alpha * path.log_z.double()
    return path.x_0, dict(
        regret=_regret(scene, alpha, bound),
        regret_se=float(bound.std()) / _gain(scene, alpha) / len(bound) ** 0.5,
        effective=float(path.effective.mean(1).min()),
        ancestors=len(path.x[-1].unique(dim=0)) / PARTICLES,
    )


def _regret(scene: Scene, alpha: float, J: Tensor) -> float:
    return (scene.tilted.at(alpha).objective - float(J.mean())) / _gain(scene, alpha)


def _gain(scene: Scene, alpha: float) -> float:
    """J* − J_pre."""
    return scene.tilted.at(alpha).objective - float((scene.tilted.pretrained * scene.tilted.reward).sum())


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reward_levels(tilted: TiltedDensity, alpha: float) -> Tensor:
    """LEVELS rewards from the one that 1 % of the target at α stay below to the highest: [E]."""
    rewards, order = tilted.reward.reshape(-1).sort()
    below = tilted.at(alpha).mass.reshape(-1)[order].cumsum(0)
    low, high = float(rewards[torch.searchsorted(below, 0.01)]), float(rewards[-1])
    return torch.linspace(low, high, LEVELS, dtype=torch.float64)


def share_below(rewards: Tensor, weights: Tensor, levels: Tensor) -> Tensor:
    """The share of rewards, weighted alike, at or below each of `levels`: [E] in float64."""
    values, order = rewards.reshape(-1).double().sort()
    cdf = torch.cat([torch.zeros(1, dtype=torch.float64), weights.reshape(-1).double()[order].cumsum(0)])
    return cdf[torch.searchsorted(values, levels, right=True)]


def beliefs(values: Mapping[str, Value], grid: Grid, times: tuple[int, ...]) -> dict[str, list[Tensor]]:
    """v̂_t of each estimator at each t on a grid, [n, n]."""

    def on_map(value: Value, t: int) -> Tensor:
        return value(grid.points, t).detach().reshape(grid.n, grid.n)

    return {name: [on_map(value, t) for t in times] for name, value in values.items()}
