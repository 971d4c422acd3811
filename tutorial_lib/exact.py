r"""The exact answers in 2-D (§4): soft values of the chain itself, and the tilted density.

    exp(v_t(x)/α) = E_pre[exp(v_{t−1}(x_{t−1})/α) | x_t = x],   v_0 = r            (soft Bellman)
    J* = max_p E[r(x_0)] − α Σ_t KL_t = E_{x_T}[v_T(x_T)],   p*(x_0) ∝ p_pre(x_0) exp(r(x_0)/α)

One backward step is a Gaussian blur, W_t = α log E_z exp(v_{t−1}(· + σ_t z)/α), read off at the step's mean:
v_t(x) = W_t(ρ(x, t)). That holds for any denoiser, exact or learned. α = ∞ makes v the pretrained chain's own value.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .checks import batch_of, count, positive
from .grids import Grid, Spline, soft_blur_of
from .metrics import Report
from .policies import DenoisingPolicy, rollout, rollout_with
from .rewards import Reward, query
from .schedules import NoiseSchedule

FLOOR = 1e-300  # of densities, before a logarithm


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
                hermite = grid.hermite(float(sigma[t + 1]))
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


class SoftValues:
    """v_t for every t, its gradient and J*, exact for the discrete chain p_pre that it is given (2-D).

    extent: the grid is [−extent, extent]²; grid: its points per side (finer at small t by itself). ValueError where the
    grid is too small for the paths, or so coarse that halving it would move J* by more than `tolerance` of J* − J_pre.
    Attributes: optimum J* (x_T ~ N(0, I), as every sampler has it), tilted_optimum α log E[exp(v_T(x_T)/α)] (x_T tilted
    too, as the theorem has it), pretrained_objective J_pre, grid_error (the share that halving moved J* by).
    """

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        reward: Reward,
        *,
        alpha: float,
        extent: float,
        grid: int = 161,
        tolerance: float = 0.01,
    ):
        self.alpha, self.extent = positive("alpha", alpha), positive("extent", extent)
        self.pretrained, self.reward = _in_the_plane(pretrained), reward
        self.schedule = pretrained.schedule
        _hold(rollout(pretrained, 2000, generator=seeded(self.schedule)).x, self.extent, "pretrained")

        fine, coarse = (ChainOnGrids(pretrained, self.extent, n) for n in (count("grid", grid, least=16), grid // 2))
        self._splines, neutral = fine.backward(self._query, (self.alpha, math.inf), jump=self.alpha / 4)
        self.optimum = fine.start(self._splines[-1])
        self.tilted_optimum = fine.start(self._splines[-1], self.alpha)
        self.pretrained_objective = fine.start(neutral[-1])
        rough = coarse.start(coarse.backward(self._query, (self.alpha,), jump=self.alpha / 4)[0][-1])
        self.grid_error = abs(rough - self.optimum) / max(self.optimum - self.pretrained_objective, 1e-12)
        if self.grid_error > tolerance:
            raise ValueError(
                f"a grid of {grid} points on [−{self.extent:g}, {self.extent:g}] is too coarse for this chain (σ_1 = "
                f"{float(self.schedule.sigma[1]):.2g}): halving it moves J* by {self.grid_error:.1%} of J* − J_pre; "
                f"pass a larger grid"
            )
        _hold(
            rollout_with(self._optimal_mean, pretrained, 2000, generator=seeded(self.schedule)).x,
            self.extent,
            "optimal",
        )

    def _query(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return query(self.reward, x)

    def _optimal_mean(self, x: Tensor, t: int) -> Tensor:
        rho = self.pretrained.mean(x, t)
        return rho + self.schedule.sigma[t].square() / self.alpha * self.grad(rho, t - 1)

    def __call__(self, x: Tensor, t: int | Tensor) -> Tensor:
        """v_t(x): [B, 2] → [B]; t in 0..T, a number or [B]. Outside the grid v keeps its border value."""
        return self._by_time(x, t, lambda x, t: self._splines[t](x) if t else query(self.reward, x))

    def grad(self, x: Tensor, t: int | Tensor) -> Tensor:
        """∇v_t(x): [B, 2] → [B, 2]. v_0 = r may jump: its slope is taken over ±σ_1, the width of the last step."""
        return self._by_time(x, t, lambda x, t: self._splines[t].grad(x) if t else self._reward_slope(x))

    def _reward_slope(self, x: Tensor) -> Tensor:
        h = float(self.schedule.sigma[1])
        shifted = x.unsqueeze(0) + h * torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]]).to(x).unsqueeze(1)
        values = query(self.reward, shifted.reshape(-1, 2)).reshape(4, -1)
        return ((values[:2] - values[2:]) / (2 * h)).T

    def _by_time(self, x: Tensor, t: int | Tensor, look_up) -> Tensor:
        batch_of("x", x, (2,))
        t = self.schedule.check(t, least=0)
        if not isinstance(t, Tensor) or t.ndim == 0:
            return look_up(x, int(t))
        order = t.argsort()
        times, sizes = t[order].unique_consecutive(return_counts=True)
        parts = [look_up(part, int(s)) for s, part in zip(times, x[order].split(sizes.tolist()), strict=True)]
        return torch.cat(parts)[order.argsort()]

    def regret(self, report: Report) -> float:
        """(J* − J)/(J* − J_pre): 0 is the optimum, 1 is doing nothing."""
        return (self.optimum - report.objective) / (self.optimum - self.pretrained_objective)


def seeded(schedule: NoiseSchedule) -> torch.Generator:
    """A generator for the checks in here, the same every time."""
    return torch.Generator(schedule.sigma.device).manual_seed(0)


def _in_the_plane(pretrained: DenoisingPolicy) -> DenoisingPolicy:
    if tuple(pretrained.shape) != (2,):
        raise ValueError(f"exact values need points [2], got data of shape {list(pretrained.shape)}")
    return pretrained


def _hold(paths: Tensor, extent: float, whose: str) -> None:
    """ValueError where more than 1 in 1000 of the points of some step leave the grid."""
    outside = (paths.abs().amax(-1) > extent).float().mean(1).max().item()
    if outside > 1e-3:
        reach = paths.abs().amax().item()
        raise ValueError(
            f"the grid [−{extent:g}, {extent:g}]² is too small: {outside:.1%} of the {whose} paths leave it; "
            f"pass extent ≥ {reach:.1f}"
        )


def pretrained_mass(pretrained: DenoisingPolicy, grid: Grid) -> Tensor:
    """The chain's own law of x_0 as cell masses [n, n] that sum to one: N(0, I) pushed through every step on the grid.

    Each step is the transpose of the backward one: masses are dealt to the spline around ρ(x, t), then blurred by σ_t.
    """
    mass = grid.mass(-grid.points.double().square().sum(1) / 2)
    for t in range(pretrained.schedule.T, 0, -1):
        with torch.no_grad():
            taps = grid.taps(pretrained.mean(grid.points, t))
        dealt = grid.deal(mass.reshape(-1), *taps)
        matrices, weights = grid.hermite(float(pretrained.schedule.sigma[t]))
        blur = torch.einsum("k,kij->ij", weights, matrices)
        mass = blur.mT @ dealt @ blur
    mass = mass.clamp_min(0)
    return mass / mass.sum()


@dataclass(frozen=True)
class Tilt:
    """p_r ∝ p_pre exp(r/α) at one α: cell masses [n, n], E[r], KL(p_r‖p_pre) and J* = E[r] − α KL."""

    alpha: float
    mass: Tensor
    reward: float
    kl: float
    objective: float


class TiltedDensity:
    """The target p_r ∝ p_pre exp(r/α), its marginals p*_t and values v_t for any α, fast enough for a slider.

    Made once for a pretrained chain and a reward (2-D); then every α costs a few small matrix products. p_pre(x_0) is
    the chain's own law on the grid; for t > 0 it uses continuous time, where with K_t the kernel of q(x_t|x_0)

        v_t = α log (K_t [p_pre exp(r/α)] / K_t p_pre),   p*_t = K_t p_r                           (§4, marginals)
    """

    def __init__(self, pretrained: DenoisingPolicy, reward: Reward, *, extent: float, grid: int = 121):
        self.schedule = _in_the_plane(pretrained).schedule
        self.grid = Grid(extent, grid, device=self.schedule.sigma.device)
        _hold(rollout(pretrained, 2000, generator=seeded(self.schedule)).x[:1], extent, "pretrained")
        self.pretrained = pretrained_mass(pretrained, self.grid)
        with torch.no_grad():
            self.reward = query(reward, self.grid.points).double().reshape(grid, grid)
        level, noise = (a.double()[1:, None, None] for a in (self.schedule.alpha_bar, self.schedule.noise))
        distance = self.grid.axis[:, None] - level.sqrt() * self.grid.axis
        # [T, n, n], q per axis; a softmax, so that it keeps all mass even where √(1−ᾱ_t) is less than a cell
        self._kernel = (-distance.square() / (2 * noise)).softmax(1) / self.grid.spacing
        self._log_pretrained_t = self._noised(self.pretrained).clamp_min(FLOOR).log_()

    def _noised(self, mass: Tensor) -> Tensor:
        """Densities of x_1 … x_T on the grid for masses of x_0: [T, n, n]."""
        return self._kernel @ mass @ self._kernel.mT

    def at(self, alpha: float) -> Tilt:
        """The target at one α > 0."""
        mass, log_z = self._tilted(alpha)
        reward, objective = float((mass * self.reward).sum()), alpha * log_z
        return Tilt(float(alpha), mass, reward, (reward - objective) / alpha, objective)

    def _tilted(self, alpha: float) -> tuple[Tensor, float]:
        """Cell masses of p_r, and log Z."""
        exponent = self.reward / positive("alpha", alpha) + self.pretrained.log()
        log_z = exponent.reshape(-1).logsumexp(0)
        return (exponent - log_z).exp(), float(log_z)

    def through_time(self, alpha: float) -> tuple[Tensor, Tensor]:
        """(density of p*_t, v_t) for t = 0..T, both [T+1, n, n]. v never falls below the worst reward."""
        mass, log_z = self._tilted(alpha)
        density_t = self._noised(mass)
        value = self._value(density_t, alpha, log_z)
        return torch.cat([mass.unsqueeze(0) / self.grid.spacing**2, density_t]), value

    def values(self, alpha: float) -> "GridValues":
        """v_t at one α as a function of points, for value-weighted sampling."""
        mass, log_z = self._tilted(alpha)
        return GridValues(self._value(self._noised(mass), alpha, log_z), self.grid)

    def _value(self, density_t: Tensor, alpha: float, log_z: float) -> Tensor:
        value = torch.cat([self.reward.unsqueeze(0), density_t])
        value[1:].clamp_min_(FLOOR).log_().sub_(self._log_pretrained_t).add_(log_z).mul_(alpha)
        return value.clamp_min_(float(self.reward.min()))

    def sample(self, alpha: float, uniforms: Tensor) -> Tensor:
        """Exact draws of p_r: uniforms [n, 2] in (0, 1) → x_0 [n, 2], by inverting the two distribution functions.

        The map moves smoothly with α, so that the same uniforms make samples glide.
        """
        return self.grid.inverse_cdf(self.at(alpha).mass, uniforms)


class GridValues:
    """v_t and ∇v_t at one α from values [T+1, n, n]: made to be looked up in every frame of a moving picture."""

    def __init__(self, values: Tensor, grid: Grid):
        values, slope = values.float(), grid.slope_matrix().float()
        self._fields, self._extent = values.new_empty(len(values), 3, grid.n, grid.n), grid.extent
        self._fields[:, 0], self._fields[:, 1], self._fields[:, 2] = values, slope @ values, values @ slope.mT

    def _look_up(self, x: Tensor, t: int, channels: slice) -> Tensor:
        """Bicubic interpolation of the fields at x [B, 2], kept constant outside the grid: [channels, B]."""
        where = (x.flip(-1) / self._extent).float().reshape(1, 1, -1, 2)
        options: dict[str, Any] = dict(mode="bicubic", padding_mode="border", align_corners=True)
        return torch.nn.functional.grid_sample(self._fields[t : t + 1, channels], where, **options)[0, :, 0].to(x.dtype)

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """[B, 2], t in 0..T → [B]."""
        return self._look_up(x, t, slice(0, 1))[0]

    def grad(self, x: Tensor, t: int) -> Tensor:
        """[B, 2], t in 0..T → [B, 2]."""
        return self._look_up(x, t, slice(1, 3)).T


class Frontier:
    """The best reward for every KL, traced by α: J*(α) = α log Σ w exp(r/α) over weighted samples of p_pre (§4).

    rewards [N] with weights [N] that sum to one: cells of a grid (exact), or, without weights, N draws of p_pre, where
    everything is a self-normalised estimate that holds while its effective sample size is large.
    """

    def __init__(self, rewards: Tensor, weights: Tensor | None = None):
        bad = float((~torch.isfinite(rewards)).float().mean())
        if rewards.ndim != 1 or len(rewards) < 2 or bad:
            raise ValueError(f"expected finite rewards [N], N ≥ 2, got {list(rewards.shape)}, {bad:.1%} not finite")
        even = torch.full_like(rewards, 1 / len(rewards), dtype=torch.float64)
        self.rewards, self.exact = rewards.double(), weights is not None
        self._weights = even if weights is None else weights.double()
        total, least = float(self._weights.sum()), float(self._weights.min())
        if self._weights.shape != rewards.shape or not abs(total - 1) <= 1e-6 or least < 0:
            raise ValueError(
                f"weights must have shape {list(rewards.shape)}, be ≥ 0 and sum to one, "
                f"got {list(self._weights.shape)} from {least:.3g} up, with sum {total:.6g}"
            )

    def weights(self, alpha: float) -> Tensor:
        """w exp(r/α)/Σ…, [N]: what each sample weighs under p_r."""
        return (self.rewards / positive("alpha", alpha) + self._weights.log()).softmax(0)

    def at(self, alpha: float) -> "FrontierPoint":
        weights = self.weights(alpha)
        reward = float((weights * self.rewards).sum())
        objective = float(alpha * (self.rewards / alpha + self._weights.log()).logsumexp(0))
        size = math.inf if self.exact else float(1 / weights.square().sum())
        spread = float((weights.square() * (self.rewards - reward).square()).sum().sqrt())
        error = 0.0 if self.exact else spread  # delta method for a self-normalised mean
        return FrontierPoint(float(alpha), reward, (reward - objective) / alpha, objective, size, error)

    def curve(self, alphas: Tensor) -> list["FrontierPoint"]:
        return [self.at(float(alpha)) for alpha in alphas]


@dataclass(frozen=True)
class FrontierPoint:
    """E*[r], KL* (nats) and J* at one α; `size` is the effective sample size (∞ where exact), reward_se its error."""

    alpha: float
    reward: float
    kl: float
    objective: float
    size: float
    reward_se: float

    @property
    def trusted(self) -> bool:
        """Whether at least 100 effective samples stand behind it."""
        return self.size >= 100
