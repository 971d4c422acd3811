r"""The best that a chain of Gaussian steps can do (claim 4.8).

A policy of steps N(ρ + σ_t u, σ_t² I) cannot reach J*, whose kernels are not Gaussian. Its own optimum obeys

    V_t(x) = max_u E_z[V_{t−1}(ρ + σ_t(u + z))] − α‖u‖²/2,   V_0 = r,   J_G* = E_{x_T}[V_T(x_T)]

With B = E_z V_{t−1}(· + σ_t z), a blur, and y = ρ + σ_t u that is V_t(x) = max_y B(y) − (α/2σ_t²)‖y − ρ‖²: an envelope
of B, read off at the step's mean. The maximum is found over all grid points first, then by Newton steps from there.
"""

import math

import torch
from torch import Tensor

from ..grids import Grid, Spline, soft_blur_of
from ..policies import DenoisingPolicy, Policy
from ..rewards import Reward
from .chain import Attained, ChainOnGrids, shifts
from .soft_values import SoftValues

NEWTON_STEPS = 6


class GaussianOptimum(Policy):
    """The best policy of Gaussian steps (2-D), as a policy: it can be rolled out and evaluated.

    Arguments and errors as for SoftValues, which it makes for the comparison (`soft`). Attribute: optimum J_G*.
    """

    def __init__(self, pretrained: DenoisingPolicy, reward: Reward, *, alpha: float, extent: float, grid: int = 161):
        super().__init__()
        self.soft = SoftValues(pretrained, reward, alpha=alpha, extent=extent, grid=grid)
        self.alpha, self.schedule, self.shape = self.soft.alpha, pretrained.schedule, pretrained.shape
        self._frozen = (pretrained,)
        chain = ChainOnGrids(pretrained, extent, grid)
        sigma, first = self.schedule.sigma.double(), chain.grids[0]
        blurred = first.spline(
            soft_blur_of(self.soft.query_reward, float(sigma[1]), math.inf, first, jump=self.alpha / 4)
        )
        self._steps_ahead: list[tuple[Spline, Tensor]] = []  # for t = 1, 2, …: B, and the best y for each ρ on its grid
        for t in range(1, self.schedule.T + 1):
            best, envelope = _envelope(blurred, self.alpha / (2 * float(sigma[t]) ** 2), float(sigma[t]))
            self._steps_ahead.append((blurred, best))
            grid_t = chain.grids[t]
            values = envelope(chain.means[t - 1].double()).reshape(grid_t.n, grid_t.n)
            if t < self.schedule.T:
                blurred = grid_t.spline(grid_t.soft_blur(values, shifts(grid_t, self.schedule, t + 1), math.inf))
        self.optimum = chain.start(grid_t.spline(values))

    @property
    def pretrained(self) -> DenoisingPolicy:
        return self._frozen[0]

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        rho = self.pretrained.mean(x_t, t)
        return rho, self.soft.by_time(rho, t, self._best_shift)

    def _best_shift(self, rho: Tensor, t: int) -> Tensor:
        """u*_t for steps whose pretrained mean is ρ: [B, 2] → [B, 2]; from the nearest grid point's best y."""
        sigma = float(self.schedule.sigma[t])
        ahead, best = self._steps_ahead[t - 1]
        nearest = ((rho.double() + ahead.grid.extent) / ahead.grid.spacing).round().long().clamp(0, ahead.grid.n - 1)
        start = best[nearest[:, 0], nearest[:, 1]]
        y, _ = _climb(ahead, start, rho.double(), self.alpha / (2 * sigma**2))
        return ((y - rho) / sigma).to(rho.dtype)

    @property
    def family_gap(self) -> float:
        """(J* − J_G*)/(J* − J_pre): the part of a regret that no algorithm on Gaussian steps can avoid."""
        return self.soft.share(self.soft.optimum - self.optimum)

    def learning_gap(self, report: Attained) -> float:
        """(J_G* − J)/(J* − J_pre): what an algorithm on Gaussian steps still has to learn."""
        return self.soft.share(self.optimum - report.objective)


def _envelope(blurred: Spline, c: float, sigma: float) -> tuple[Tensor, Spline]:
    """argmax_y and max_y of B(y) − c‖y − ρ‖² for ρ at every grid point: ([n, n, 2], the maximum as a spline)."""
    grid = blurred.grid
    start = _best_on_grid(blurred(grid.points.double()).reshape(grid.n, grid.n), c, sigma, grid)
    y, value = _climb(blurred, start.reshape(-1, 2), grid.points.double(), c)
    return y.reshape(grid.n, grid.n, 2), grid.spline(value.reshape(grid.n, grid.n))


def _best_on_grid(values: Tensor, c: float, sigma: float, grid: Grid) -> Tensor:
    """The grid point y that maximises B(y) − c‖y − ρ‖², axis by axis, within 6σ: [n, n, 2]."""
    reach = min(math.ceil(6 * sigma / grid.spacing), grid.n - 1)
    offsets = torch.arange(-reach, reach + 1, device=values.device)
    cost = c * (offsets * grid.spacing).square()

    def best_along_last(f: Tensor) -> tuple[Tensor, Tensor]:
        padded = torch.nn.functional.pad(f, (reach, reach), value=-math.inf)
        value, place = (padded.unfold(-1, 2 * reach + 1, 1) - cost).max(-1)
        return value, torch.arange(grid.n, device=f.device) + offsets[place]

    along_second, second = best_along_last(values)  # over y₂, for each (y₁, ρ₂)
    _, first = best_along_last(along_second.mT)  # over y₁, for each (ρ₂, ρ₁)
    return grid.axis[torch.stack([first.mT, second.gather(0, first.mT)], -1)]


def _climb(f: Spline, y: Tensor, rho: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """Newton steps on F(y) = f(y) − c‖y − ρ‖² from y [B, 2], each kept only where F rises: (y, F(y))."""
    height, slope, hessian = _objective(f, y, rho, c)
    for _ in range(NEWTON_STEPS):
        there = y + _ascent(slope, hessian, c)
        higher, slope_there, hessian_there = _objective(f, there, rho, c)
        up = (higher > height)[:, None]
        y, height = torch.where(up, there, y), torch.maximum(higher, height)
        slope = torch.where(up, slope_there, slope / 4)  # a quarter of the step where it overshot
        hessian = torch.where(up, hessian_there, hessian)
    return y, height


def _objective(f: Spline, y: Tensor, rho: Tensor, c: float) -> tuple[Tensor, Tensor, Tensor]:
    """F [B], ∇F [B, 2] and ∇²F [B, 3] as (∂₁₁, ∂₁₂, ∂₂₂)."""
    value, slope, hessian = f.second_order(y)
    away = y - rho
    return value - c * away.square().sum(1), slope - 2 * c * away, hessian - 2 * c * hessian.new_tensor([1, 0, 1])


def _ascent(slope: Tensor, hessian: Tensor, c: float) -> Tensor:
    """−H⁻¹∇F where F is concave; elsewhere a step along ∇F, as long as the quadratic's own curvature 2c allows."""
    xx, xy, yy = hessian.unbind(1)
    determinant = xx * yy - xy.square()
    concave = (determinant > 0) & (xx < 0)
    newton = torch.stack([xy * slope[:, 1] - yy * slope[:, 0], xy * slope[:, 0] - xx * slope[:, 1]], -1)
    return torch.where(concave[:, None], newton / determinant[:, None], slope / (2 * c))
