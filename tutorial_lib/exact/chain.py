r"""A pretrained chain on square grids: soft values backwards in time, densities forwards (§4).

One backward step is a Gaussian blur, W_t = α log E_z exp(v_{t−1}(· + σ_t z)/α), read off at the step's mean:
v_t(x) = W_t(ρ(x, t)). That holds for any denoiser, exact or learned. α = ∞ makes v the pretrained chain's own value.
"""

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from ..grids import Grid, Spline, soft_blur_of
from ..policies import DenoisingPolicy, Policy
from ..rewards import Reward
from ..schedules import NoiseSchedule

AnyPolicy = TypeVar("AnyPolicy", bound=Policy)


class Attained(Protocol):
    """What a policy was measured to attain, such as a `metrics.Report`: its J."""

    @property
    def objective(self) -> float: ...


class ChainOnGrids:
    """A pretrained chain's means on square grids, one grid for each t, as fine as v_t is rough (about √(1−ᾱ_t))."""

    def __init__(self, pretrained: DenoisingPolicy, extent: float, n: int):
        self.schedule, device = pretrained.schedule, pretrained.schedule.sigma.device
        rough = 0.8 * self.schedule.noise.sqrt().clamp_min(1e-6)
        sizes = [min(max(n, math.ceil(2 * extent / float(h)) + 1), 5 * n) for h in rough]
        sizes[0] = sizes[1]
        by_size = {size: Grid(extent, size, device=device) for size in set(sizes)}
        self.grids = [by_size[size] for size in sizes]
        with torch.no_grad():  # means[t − 1] belongs to t
            self.means = [pretrained.mean(grid.points, t) for t, grid in enumerate(self.grids) if t > 0]

    def backward(self, reward: Reward, alphas: Sequence[float], jump: float) -> list[list[Spline]]:
        """[W_1, v_1, v_2, …, v_T] for each α by the soft Bellman recursion; α = ∞ gives plain expectations."""
        sigma, first = self.schedule.sigma.double(), self.grids[0]
        ahead = [first.spline(soft_blur_of(reward, float(sigma[1]), alpha, first, jump=jump)) for alpha in alphas]
        splines = [[w] for w in ahead]
        for t in range(1, self.schedule.T + 1):
            grid = self.grids[t]
            at_mean = self.grids[t - 1].taps(self.means[t - 1])
            values = [w.at(*at_mean).reshape(grid.n, grid.n) for w in ahead]
            for known, v in zip(splines, values, strict=True):
                known.append(grid.spline(v))
            if t < self.schedule.T:
                hermite = shifts(grid, self.schedule, t + 1)
                ahead = [grid.spline(grid.soft_blur(v, hermite, a)) for v, a in zip(values, alphas, strict=True)]
        return splines

    def start(self, value: Spline, alpha: float = math.inf) -> float:
        """E[v_T(x_T)] over x_T ~ N(0, I); with a finite α, α log E[exp(v_T(x_T)/α)]."""
        grid = self.grids[-1]
        mass = grid.mass(-grid.points.double().square().sum(1) / 2).reshape(-1)
        values = value(grid.points.double())
        if math.isinf(alpha):
            return float((mass * values).sum())
        return float(alpha * (values / alpha + mass.log()).logsumexp(0))


def shifts(grid: Grid, schedule: NoiseSchedule, t: int) -> tuple[Tensor, Tensor]:
    """Gauss–Hermite shifts for the step from x_t; with few steps v is rough within one, and more nodes are needed."""
    return grid.hermite(float(schedule.sigma[t]), max(9, min(41, 400 // schedule.T)))


def law_of_x_0(policy: Policy, grid: Grid) -> Tensor:
    """A policy's law of x_0 as cell masses [n, n] that sum to one: N(0, I) pushed through every step on the grid.

    Each step is the transpose of the backward one: masses are dealt to the spline around the mean, then blurred by σ_t.
    """
    mass = grid.mass(-grid.points.double().square().sum(1) / 2)
    for t in range(policy.schedule.T, 0, -1):
        with torch.no_grad():
            taps = grid.taps(policy.mean(grid.points, t))
        dealt = grid.deal(mass.reshape(-1), *taps)
        matrices, weights = shifts(grid, policy.schedule, t)
        blur = torch.einsum("k,kij->ij", weights, matrices)
        mass = blur.mT @ dealt @ blur
    mass = mass.clamp_min(0)
    return mass / mass.sum()


def seeded(schedule: NoiseSchedule) -> torch.Generator:
    """A generator for the checks in here, the same every time."""
    return torch.Generator(schedule.sigma.device).manual_seed(0)


def in_the_plane(policy: AnyPolicy) -> AnyPolicy:
    if tuple(policy.shape) != (2,):
        raise ValueError(f"exact values need points [2], got data of shape {list(policy.shape)}")
    return policy


def hold(paths: Tensor, extent: float, whose: str) -> None:
    """ValueError where more than 1 in 1000 of the points of some step leave the grid."""
    outside = (paths.abs().amax(-1) > extent).float().mean(1).max().item()
    if outside > 1e-3:
        reach = paths.abs().amax().item()
        raise ValueError(
            f"the grid [−{extent:g}, {extent:g}]² is too small: {outside:.1%} of the {whose} paths leave it; "
            f"pass extent ≥ {reach:.1f}"
        )
