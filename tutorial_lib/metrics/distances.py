r"""Distances between samples, with the noise floor that a perfect sampler has.

A distance between two samples is never zero, even for two samples of one law: `compare` measures that floor beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import count


def sliced_wasserstein(x: Tensor, y: Tensor, *, generator: torch.Generator, projections: int = 128) -> float:
    """W_1 between the projections of two samples on random directions, averaged, in x's units."""
    x, y = _pair(x, y)
    directions = torch.randn(x.shape[1], count("projections", projections), generator=generator, device=x.device).to(x)
    directions = directions / directions.norm(dim=0)
    return ((x @ directions).sort(0).values - (y @ directions).sort(0).values).abs().mean().item()


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E‖X−Y‖ − E‖X−X′‖ − E‖Y−Y′‖ without bias (Székely & Rizzo 2013): equal laws score zero up to noise."""
    x, y = _pair(x, y)
    return (
        2 * torch.cdist(x, y).mean() - _mean_off_diagonal(torch.cdist(x, x)) - _mean_off_diagonal(torch.cdist(y, y))
    ).item()


@dataclass(frozen=True)
class Compared:
    """A distance to the truth and what a perfect sampler would score: both with their spread over repeats."""

    value: float
    value_sd: float
    floor: float
    floor_sd: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.value_sd:.4f} (floor {self.floor:.4f} ± {self.floor_sd:.4f})"


def compare(
    distance: Callable[[Tensor, Tensor], float], x: Tensor, draw: Callable[[int], Tensor], *, repeats: int = 8
) -> Compared:
    """distance(x, exact sample) beside distance(exact sample, exact sample), each `repeats` times; draw(n) → [n, …]."""
    values = torch.tensor([distance(x, draw(len(x))) for _ in range(count("repeats", repeats, least=2))])
    floors = torch.tensor([distance(draw(len(x)), draw(len(x))) for _ in range(repeats)])
    return Compared(values.mean().item(), values.std().item(), floors.mean().item(), floors.std().item())


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.shape != y.shape or x.ndim < 2 or len(x) < 2:
        raise ValueError(f"expected two samples of one shape [n, …], n ≥ 2, got {list(x.shape)} and {list(y.shape)}")
    return x.flatten(1), y.flatten(1)


def _mean_off_diagonal(matrix: Tensor) -> Tensor:
    return (matrix.sum() - matrix.diagonal().sum()) / (len(matrix) * (len(matrix) - 1))
