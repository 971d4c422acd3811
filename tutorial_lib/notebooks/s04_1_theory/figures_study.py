r"""What the still pictures of §4 show: the pretrained chain's marginals, one optimal kernel, and ranks.

Shapes: points [B, 2]; masses [n, n] or [n²] on the square of `axis` [n]; T steps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...exact import FrontierPoint, SoftValues
from ...metrics import Compared
from ...policies import DenoisingPolicy

__all__ = ["Compared", "FrontierPoint", "Kernel", "kernel", "on_white", "pretrained_marginals", "ranks"]


@dataclass(frozen=True)
class Kernel:
    """p*(x_{t−1}|x_t) in units z = (x_{t−1} − ρ)/σ_t: masses [121, 121] on [−extent, extent]², and its mean [2]."""

    mass: Tensor
    mean: Tensor
    extent: float


def kernel(soft: SoftValues, x_t: Tensor, t: int, *, extent: float = 4.0) -> Kernel:
    """The optimal kernel at one point x_t [1, 2], ∝ N(z; 0, I) exp(v_{t−1}(ρ + σ_t z)/α)."""
    with torch.no_grad():
        rho, sigma = soft.pretrained.mean(x_t, t)[0].double(), float(soft.schedule.sigma[t])
    z = torch.linspace(-extent, extent, 121, dtype=torch.float64)
    pairs = torch.cartesian_prod(z, z)
    weights = (soft(rho + sigma * pairs, t - 1) / soft.alpha - pairs.square().sum(1) / 2).softmax(0)
    return Kernel(weights.reshape(121, 121), weights @ pairs, extent)


def pretrained_marginals(pretrained: DenoisingPolicy, axis: Tensor) -> Tensor:
    """p_pre,t as masses on the grid, [T+1, n, n]: N(0, I) through the chain by a plain sum a step. The grid's spacing
    should not exceed σ_1."""
    points = torch.cartesian_prod(axis, axis)
    mass = (-points.square().sum(1) / 2).softmax(0).reshape(len(axis), -1)
    found = [mass]
    for t in range(pretrained.schedule.T, 0, -1):
        with torch.no_grad():
            means = pretrained.mean(points.float(), t).to(axis)
        z = (axis[:, None, None] - means) / float(pretrained.sigma(t))  # [n, n², 2]
        first, second = (-z.square() / 2).exp().unbind(-1)
        mass = (first * mass.reshape(-1)) @ second.mT
        found.append(mass / mass.sum())
        mass = found[-1]
    return torch.stack(found[::-1])


def ranks(weights: Tensor, x: Tensor, axis: Tensor) -> Tensor:
    """P(X ≤ x) along the first axis under masses [B, n²], straight between grid points: [B]."""
    line = weights.reshape(len(x), len(axis), -1).sum(2)
    place = (x[:, 0].to(axis) - axis[0]) / (axis[1] - axis[0]) + 0.5
    cell = place.floor().long().clamp(0, len(axis) - 1)[:, None]
    below, here = line.cumsum(1).gather(1, cell), line.gather(1, cell)
    return (below - here * (1 - place[:, None] + cell))[:, 0]


def on_white(mass: Tensor, x: Tensor, extent: float, *, shades: int = 20) -> tuple[float, int]:
    """Of points [B, 2]: how many masses [n, n] expect, and how many came, where their root is below the first of so
    many shades, which is white."""
    white = mass.sqrt() < mass.sqrt().max() / shades
    cell = ((x + extent) / (2 * extent) * (len(mass) - 1)).round().long().clamp(0, len(mass) - 1)
    return float(mass[white].sum()) * len(x), int(white[cell[:, 0], cell[:, 1]].sum())
