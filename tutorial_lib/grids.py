r"""Functions and densities on a square grid: the quadrature behind every exact answer in 2-D.

A function is its values on the grid, values[i, j] = f(axis[i], axis[j]), joined by a cubic B-spline; outside the grid
it keeps its border value. Expectations over a Gaussian step, E_z f(x + σz), are Gauss–Hermite sums, one axis at a time.
Shapes: grids are [n, n], points [B, 2]. float64 throughout; results of point look-ups come back in the points' dtype.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .checks import count, positive


class Grid:
    """n × n points on [−extent, extent]²: `axis` [n], `spacing`, `points` [n·n, 2] (float32, for networks)."""

    def __init__(self, extent: float, n: int, *, device: torch.device | str = "cpu"):
        self.extent, self.n = positive("extent", extent), count("n", n, least=8)
        self.axis = torch.linspace(-self.extent, self.extent, n, dtype=torch.float64, device=device)
        self.spacing = 2 * self.extent / (n - 1)

    @functools.cached_property
    def points(self) -> Tensor:
        return torch.cartesian_prod(self.axis, self.axis).float()

    def mass(self, log_density: Tensor) -> Tensor:
        """A log-density on the grid [n·n] or [n, n] as cell masses that sum to one, [n, n]."""
        return log_density.double().reshape(-1).softmax(0).reshape(self.n, self.n)

    def spline(self, values: Tensor) -> "Spline":
        return Spline(values, self)

    def taps(self, x: Tensor) -> tuple["Taps", "Taps"]:
        """How points x [B, 2] read a spline on this grid, worth keeping to read many splines there."""
        return _taps(x[:, 0].double(), self), _taps(x[:, 1].double(), self)

    def hermite(self, sigma: float, count: int) -> tuple[Tensor, Tensor]:
        """Gauss–Hermite shifts along one axis: S [count, n, n] and w with E_z f(· + σz) ≈ Σ_k w_k S_k f."""
        nodes, weights = map(torch.as_tensor, np.polynomial.hermite_e.hermegauss(count))
        nodes, weights = nodes.to(self.axis), (weights / weights.sum()).to(self.axis)
        taps = _taps((self.axis + sigma * nodes[:, None]).reshape(-1), self)
        return self._rows(taps.places, taps.weights).reshape(count, self.n, self.n), weights

    def slope_matrix(self) -> Tensor:
        """[n, n] matrix from values along an axis to the slopes of their spline at the same points."""
        taps = _taps(self.axis, self)
        return self._rows(taps.places, taps.slopes)

    def _rows(self, places: Tensor, weights: Tensor) -> Tensor:
        """Taps [B, 4] as a matrix [B, n] that acts on values."""
        rows = weights.new_zeros(len(places), self.n + 2).scatter_(1, places, weights)
        return rows @ _prefilter(self.n).to(rows)

    def deal(self, mass: Tensor, first: "Taps", second: "Taps") -> Tensor:
        """Masses [B] at the points of `taps`, dealt to the grid: the transpose of reading a spline there, [n, n]."""
        flat = first.places.unsqueeze(-1) * (self.n + 2) + second.places.unsqueeze(-2)
        shares = mass[:, None, None] * first.weights.unsqueeze(-1) * second.weights.unsqueeze(-2)
        dealt = mass.new_zeros((self.n + 2) ** 2).index_add_(0, flat.reshape(-1), shares.reshape(-1))
        prefilter = _prefilter(self.n).to(mass)
        return prefilter.mT @ dealt.reshape(self.n + 2, self.n + 2) @ prefilter

    def inverse_cdf(self, mass: Tensor, uniforms: Tensor) -> Tensor:
        """Points [B, 2] (float32) distributed as cell masses [n, n], from uniforms [B, 2] in (0, 1).

        The first coordinate from its marginal, the second given the first; uniform within a cell.
        """
        rows = mass.sum(1)
        i, within = invert_cdf(rows.cumsum(0).unsqueeze(0), uniforms[:, :1].double())
        j, across = invert_cdf((mass / rows.clamp_min(1e-300)[:, None]).cumsum(1)[i[:, 0]], uniforms[:, 1:].double())
        corner = torch.cat([i + within, j + across], 1) - 0.5
        return (corner * self.spacing - self.extent).float()

    @staticmethod
    def soft_blur(values: Tensor, hermite: tuple[Tensor, Tensor], alpha: float) -> Tensor:
        """α log E_z exp(f(x + σz)/α), z ~ N(0, I₂): [n, n] → [n, n]. α = ∞ is the plain mean E_z f(x + σz)."""
        matrices, weights = hermite
        if math.isinf(alpha):
            mean = torch.einsum("k,kij->ij", weights, matrices)
            return mean @ values @ mean.mT
        along_first = soft_mean(matrices @ values, weights[:, None, None], alpha, 0)
        return soft_mean(along_first @ matrices.mT, weights[:, None, None], alpha, 0)


def soft_mean(values: Tensor, weights: Tensor, alpha: float, dim: int) -> Tensor:
    """α log Σ w exp(values/α) along `dim`, for weights that sum to one; α = ∞ is the weighted mean."""
    if math.isinf(alpha):
        return (values * weights).sum(dim)
    return alpha * (values / alpha + weights.log()).logsumexp(dim)


class Spline:
    """The cubic B-spline through values [n, n] on a grid: a smooth function [B, 2] → [B] with its exact gradient."""

    def __init__(self, values: Tensor, grid: Grid):
        if values.shape != (grid.n, grid.n):
            raise ValueError(f"expected values [{grid.n}, {grid.n}] for this grid, got {list(values.shape)}")
        prefilter = _prefilter(grid.n).to(values.device)
        self.grid, self.coefficients = grid, prefilter @ values.double() @ prefilter.mT

    def __call__(self, x: Tensor) -> Tensor:
        return self.at(*self.grid.taps(x)).to(x.dtype)

    def at(self, first: "Taps", second: "Taps") -> Tensor:
        """f at the points that `Grid.taps` was asked about: [B]."""
        return ((self._patch(first, second) @ second.weights.unsqueeze(-1)).squeeze(-1) * first.weights).sum(-1)

    def grad(self, x: Tensor) -> Tensor:
        """∇f: [B, 2] → [B, 2]; zero in a direction that leaves the grid."""
        first, second = self.grid.taps(x)
        patch = self._patch(first, second) @ torch.stack([second.weights, second.slopes], -1)  # [B, 4, 2]
        slope = (patch[..., 0] * first.slopes).sum(-1)
        return torch.stack([slope, (patch[..., 1] * first.weights).sum(-1)], -1).to(x.dtype)

    def second_order(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(f [B], ∇f [B, 2], (∂₁₁f, ∂₁₂f, ∂₂₂f) [B, 3]) at x [B, 2], in float64."""
        first, second = self.grid.taps(x)
        a = torch.stack([first.weights, first.slopes, first.bends], -2)  # [B, 3, 4]
        b = torch.stack([second.weights, second.slopes, second.bends], -1)  # [B, 4, 3]
        d = (a @ (self._patch(first, second) @ b)).flatten(1)  # column 3i + j: ∂ of order i along x₁ and j along x₂
        return d[:, 0], d[:, [3, 1]], d[:, [6, 4, 2]]

    def _patch(self, first: "Taps", second: "Taps") -> Tensor:
        """The 4 × 4 coefficients around each point: [B, 4, 4]."""
        flat = first.places.unsqueeze(-1) * (self.grid.n + 2) + second.places.unsqueeze(-2)
        return self.coefficients.reshape(-1)[flat]


def invert_cdf(cdf: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """The cell of each u [B, 1] under cdf [1 or B, n], and the share of that cell below u: both [B, 1]."""
    cdf = (cdf / cdf[:, -1:]).expand(len(u), -1).contiguous()
    cell = torch.searchsorted(cdf, u.contiguous()).clamp_max(cdf.shape[1] - 1)
    high = cdf.gather(1, cell)
    low = torch.where(cell > 0, cdf.gather(1, (cell - 1).clamp_min(0)), 0.0)
    return cell, (u - low) / (high - low).clamp_min(1e-300)


class Taps(NamedTuple):
    """Which B-spline coefficients act at positions along one axis, how strongly, and with what slope and
    curvature: each [B, 4]."""

    places: Tensor
    weights: Tensor
    slopes: Tensor
    bends: Tensor


def _taps(x: Tensor, grid: Grid) -> Taps:
    inside = x.clamp(-grid.extent, grid.extent)
    position = (inside + grid.extent) / grid.spacing
    cell = position.detach().floor().clamp(0, grid.n - 2)
    s, r = position - cell, 1 - position + cell
    s2, r2 = s * s, r * r
    weights = torch.stack([r2 * r, 3 * s2 * s - 6 * s2 + 4, 3 * r2 * r - 6 * r2 + 4, s2 * s], -1) / 6
    on_grid = (x == inside).to(x.dtype).unsqueeze(-1) / (2 * grid.spacing)
    slopes = torch.stack([-r2, 3 * s2 - 4 * s, 4 * r - 3 * r2, s2], -1) * on_grid
    bends = torch.stack([r, 3 * s - 2, 3 * r - 2, s], -1) * (2 * on_grid).square()
    return Taps(cell.long().unsqueeze(-1) + torch.arange(4, device=x.device), weights, slopes, bends)


@functools.lru_cache(maxsize=32)
def _prefilter(n: int) -> Tensor:
    """[n+2, n] matrix from values at the grid points to B-spline coefficients; the end pieces are parabolas."""
    collocation = torch.zeros(n + 2, n + 2, dtype=torch.float64)
    rows = torch.arange(n)
    for offset, weight in enumerate((1 / 6, 4 / 6, 1 / 6)):
        collocation[rows + 1, rows + offset] = weight
    collocation[0, :4] = collocation[-1, -4:] = torch.tensor([-1.0, 3.0, -3.0, 1.0], dtype=torch.float64)
    return torch.linalg.inv(collocation)[:, 1:-1]


def soft_blur_of(
    f: Callable[[Tensor], Tensor], sigma: float, alpha: float, grid: Grid, *, jump: float, reach: float = 5.0
) -> Tensor:
    """α log E_z exp(f(x + σz)/α) on the grid, [n, n], for a callable f: [B, 2] → [B] that may jump.

    Midpoint rule on cells of about σ/3. A cell that f crosses with a kink or a jump (second difference above `jump`)
    is first averaged over 8 × 8 points, so that the place of a discontinuity is known to σ/24.
    """
    per_cell = min(math.ceil(grid.spacing / (0.35 * sigma)), 4)
    delta = grid.spacing / per_cell
    half = math.ceil(reach * sigma / delta)
    steps = torch.arange(-half, (grid.n - 1) * per_cell + half, dtype=torch.float64, device=grid.axis.device)
    centres = delta * (steps + 0.5) - grid.extent
    offsets = delta * (torch.arange(-half, half, device=grid.axis.device) + 0.5)
    weights = (-(offsets / sigma).square() / 2).softmax(0)

    def blur(values: Tensor) -> Tensor:  # along the last axis: [rows, len(centres)] → [rows, n]
        return soft_mean(values.unfold(-1, 2 * half, per_cell), weights, alpha, -1)

    along_second = torch.cat([blur(_cell_values(f, rows, centres, delta, alpha, jump)) for rows in centres.split(128)])
    return torch.cat([blur(columns) for columns in along_second.mT.contiguous().split(128)]).mT.double()


def _cell_values(
    f: Callable[[Tensor], Tensor], rows: Tensor, columns: Tensor, delta: float, alpha: float, jump: float
) -> Tensor:
    """Soft mean of f over the cells around rows × columns: f at the centre, finer where f bends sharply."""
    halo = torch.cat([rows[:1] - delta, rows, rows[-1:] + delta])
    values = f(torch.cartesian_prod(halo, columns).float()).reshape(len(halo), len(columns)).float()
    bend = torch.zeros_like(values, dtype=torch.bool)
    bend[:, 1:-1] |= (values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]).abs() > jump
    bend[1:-1] |= (values[2:] - 2 * values[1:-1] + values[:-2]).abs() > jump
    values = values[1:-1].clone()
    i, j = bend[1:-1].nonzero(as_tuple=True)
    within = delta * ((torch.arange(8, device=rows.device, dtype=rows.dtype) + 0.5) / 8 - 0.5)
    sub = torch.cartesian_prod(within, within)
    even = torch.full((64,), 1 / 64, device=rows.device)
    for a, b in zip(i.split(8192), j.split(8192), strict=True):
        fine = f((torch.stack([rows[a], columns[b]], -1).unsqueeze(1) + sub).reshape(-1, 2).float())
        values[a, b] = soft_mean(fine.reshape(-1, 64).float(), even, alpha, -1)
    return values
