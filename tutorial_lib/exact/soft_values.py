r"""Soft values and the optimum over all policies (§4).

exp(v_t(x)/α) = E_pre[exp(v_{t−1}(x_{t−1})/α) | x_t = x],   v_0 = r            (soft Bellman)
J* = max_p E[r(x_0)] − α Σ_t KL_t = E_{x_T}[v_T(x_T)]
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..checks import batch_of, count, positive
from ..grids import Spline
from ..policies import DenoisingPolicy, rollout, rollout_with
from ..rewards import Reward, query
from .chain import Attained, ChainOnGrids, hold, in_the_plane, seeded, shifts


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
        self.pretrained, self.reward = in_the_plane(pretrained), reward
        self.schedule = pretrained.schedule
        hold(rollout(pretrained, 2000, generator=seeded(self.schedule)).x, self.extent, "pretrained")

        fine, coarse = (ChainOnGrids(pretrained, self.extent, n) for n in (count("grid", grid, least=16), grid // 2))
        self._splines, neutral = fine.backward(self.query_reward, (self.alpha, math.inf), jump=self.alpha / 4)
        self.optimum = fine.start(self._splines[-1])
        self.tilted_optimum = fine.start(self._splines[-1], self.alpha)
        self.pretrained_objective = fine.start(neutral[-1])
        rough = coarse.start(coarse.backward(self.query_reward, (self.alpha,), jump=self.alpha / 4)[0][-1])
        least = 1e-6 * self.alpha  # of a gain that counts; a constant reward has none
        self.grid_error = abs(rough - self.optimum) / max(self.optimum - self.pretrained_objective, least)
        if self.grid_error > tolerance:
            raise ValueError(
                f"a grid of {grid} points on [−{self.extent:g}, {self.extent:g}] is too coarse for this chain (σ_1 = "
                f"{float(self.schedule.sigma[1]):.2g}): halving it moves J* by {self.grid_error:.1%} of J* − J_pre; "
                f"pass a larger grid"
            )
        hold(
            rollout_with(self._optimal_mean, pretrained, 2000, generator=seeded(self.schedule)).x,
            self.extent,
            "optimal",
        )

    def query_reward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return query(self.reward, x)

    def _optimal_mean(self, x: Tensor, t: int) -> Tensor:
        rho = self.pretrained.mean(x, t)
        return rho + self.schedule.sigma[t].square() / self.alpha * self.grad(rho, t - 1)

    def __call__(self, x: Tensor, t: int | Tensor) -> Tensor:
        """v_t(x): [B, 2] → [B]; t in 0..T, a number or [B]. Outside the grid v keeps its border value."""
        return self.by_time(x, t, lambda x, t: self._splines[t](x) if t else query(self.reward, x))

    def grad(self, x: Tensor, t: int | Tensor) -> Tensor:
        """∇v_t(x): [B, 2] → [B, 2]. v_0 = r may jump: its slope is taken over ±σ_1, the width of the last step."""
        return self.by_time(x, t, lambda x, t: self._splines[t].grad(x) if t else self._reward_slope(x))

    def blurred(self, t: int) -> Spline:
        """W_t = α log E_z exp(v_{t−1}(· + σ_t z)/α) for t in 1..T: v_t(x) = W_t(ρ(x, t))."""
        v = self._splines[self.schedule.check(t) - 1]
        if t == 1:
            return v  # W_1 is kept, as r itself is no spline
        values = v(v.grid.points.double()).reshape(v.grid.n, v.grid.n)
        return v.grid.spline(v.grid.soft_blur(values, shifts(v.grid, self.schedule, t), self.alpha))

    def _reward_slope(self, x: Tensor) -> Tensor:
        h = float(self.schedule.sigma[1])
        shifted = x.unsqueeze(0) + h * torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]]).to(x).unsqueeze(1)
        values = query(self.reward, shifted.reshape(-1, 2)).reshape(4, -1)
        return ((values[:2] - values[2:]) / (2 * h)).T

    def by_time(self, x: Tensor, t: int | Tensor, look_up: Callable[[Tensor, int], Tensor]) -> Tensor:
        """look_up(x, t) for one t, or row by row for t of shape [B]."""
        batch_of("x", x, (2,))
        t = self.schedule.check(t, least=0)
        if not isinstance(t, Tensor) or t.ndim == 0:
            return look_up(x, int(t))
        order = t.argsort()
        times, sizes = t[order].unique_consecutive(return_counts=True)
        parts = [look_up(part, int(s)) for s, part in zip(times, x[order].split(sizes.tolist()), strict=True)]
        return torch.cat(parts)[order.argsort()]

    def regret(self, report: Attained) -> float:
        """(J* − J)/(J* − J_pre): 0 is the optimum, 1 is doing nothing."""
        return self.share(self.optimum - report.objective)

    def share(self, loss: float) -> float:
        """`loss` in units of J* − J_pre; ValueError where a constant reward leaves nothing to gain."""
        gain = self.optimum - self.pretrained_objective
        if gain <= 1e-6 * self.alpha:
            raise ValueError(f"expected a reward that varies under p_pre, got J* − J_pre = {gain:.2g}")
        return loss / gain
