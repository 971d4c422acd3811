r"""Rewards learned from preferences (§7.3): the better of two samples is known, no number is.

    P(x preferred to y) = sigmoid(r(x) − r(y))                        (Bradley and Terry 1952)
    minimise  − Σ log sigmoid(r(winner) − r(loser)) + ½ λ ‖w‖²,   r(x) = w·φ(x)

A constant added to r changes nothing, here as in fine-tuning: p_pre exp(r/α)/Z is the same. φ are random Fourier
features, so that the sum is convex in w; their length ℓ and λ maximise the pairs' marginal likelihood (Laplace's).
Shapes: winners and losers [N, …], one pair a row; r [B, …] → [B], of mean zero over the samples that were compared.
"""

import math

import torch
from torch import Tensor, nn

from ..checks import batch_of, count, finite
from .queries import Reward, query

FITTED_ON = 500  # pairs that choose ℓ and λ
LENGTHS = (0.35, 0.6, 1.0, 1.7, 3.0)  # ℓ, in units of √D after scaling
STRENGTHS = (1e-2, 3e-2, 1e-1, 3e-1, 1.0)  # λ


class PreferredReward(nn.Module):
    """r(x) = w·φ((x − center)/scale) − offset."""

    center: Tensor
    frequencies: Tensor
    phases: Tensor
    weights: Tensor
    offset: Tensor

    def __init__(self, x: Tensor, frequencies: Tensor, phases: Tensor):
        super().__init__()
        self.shape, self.__name__ = tuple(x.shape[1:]), "preferred_reward"
        flat = x.flatten(1)
        self.scale = float(flat.var(0).mean().sqrt().clamp_min(1e-6))
        self.register_buffer("center", flat.mean(0))
        self.register_buffer("frequencies", frequencies)
        self.register_buffer("phases", phases)
        self.register_buffer("weights", torch.zeros_like(phases))
        self.register_buffer("offset", torch.zeros((), dtype=phases.dtype, device=phases.device))

    def features(self, x: Tensor) -> Tensor:
        """φ: [B, …] → [B, m], of size about one."""
        z = (batch_of("x", x, self.shape).flatten(1) - self.center.to(x)) / self.scale
        return (2 / len(self.phases)) ** 0.5 * (z.to(self.phases) @ self.frequencies + self.phases).cos()

    def forward(self, x: Tensor) -> Tensor:
        return (self.features(x) @ self.weights - self.offset).to(x)


def judged(reward: Reward, x: Tensor, y: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(winners, losers) [N, …] of pairs x, y [N, …], as a judge says who follows Bradley and Terry with this reward."""
    if x.shape != y.shape:
        raise ValueError(f"expected pairs of one shape, got {list(x.shape)} and {list(y.shape)}")
    chance = torch.sigmoid(query(reward, x) - query(reward, y))
    first = torch.rand(len(x), device=x.device, generator=generator) < chance
    mask = first.reshape(-1, *[1] * (x.ndim - 1))
    return torch.where(mask, x, y), torch.where(mask, y, x)


def pairs(winners: Tensor, losers: Tensor) -> None:
    """ValueError unless there are two pairs or more, of one shape, finite and without a tie."""
    if winners.shape != losers.shape or winners.ndim < 2:
        raise ValueError(
            f"expected winners and losers of one shape [N, …], got {list(winners.shape)} and {list(losers.shape)}"
        )
    if len(winners) < 2:
        raise ValueError(f"expected two pairs or more, got {len(winners)}")
    finite("winners", winners)
    finite("losers", losers)
    tied = (winners == losers).flatten(1).all(1)
    if tied.any():
        raise ValueError(
            f"expected one winner in each pair, got a tie in {int(tied.sum())} of {len(tied)}, the first at "
            f"{int(tied.nonzero()[0])}; leave ties out"
        )


def fit(winners: Tensor, losers: Tensor, *, m: int = 200, generator: torch.Generator) -> PreferredReward:
    """A reward, up to a constant, from N ≥ 2 pairs: winners, losers [N, …]."""
    pairs(winners, losers)
    x = torch.cat([winners, losers])
    D, like = x[0].numel(), dict(device=x.device, generator=generator, dtype=torch.float64)
    directions = torch.randn(D, count("m", m), **like)  # type: ignore[call-overload]
    phases = 2 * math.pi * torch.rand(m, **like)  # type: ignore[call-overload]
    best, most = (1.0, 1.0), -math.inf
    for length in LENGTHS:
        trial = PreferredReward(x, directions / (length * D**0.5), phases)
        apart = _apart(trial, winners[:FITTED_ON], losers[:FITTED_ON])
        for strength in STRENGTHS:
            if (found := maximise(apart, strength)[1]) > most:
                best, most = (length, strength), found
    reward = PreferredReward(x, directions / (best[0] * D**0.5), phases)
    reward.weights.copy_(maximise(_apart(reward, winners, losers), best[1])[0])
    reward.offset.copy_((reward.features(x) @ reward.weights).mean())
    return reward


def _apart(reward: PreferredReward, winners: Tensor, losers: Tensor) -> Tensor:
    return reward.features(winners) - reward.features(losers)


def maximise(apart: Tensor, strength: float, *, steps: int = 15) -> tuple[Tensor, float]:
    """(w [m] by Newton's method, log marginal likelihood by Laplace's) for features winner − loser: [N, m]."""
    _, S, V = torch.linalg.svd(apart, full_matrices=False)  # w lies in the span of the rows
    rows, w = apart @ V.mT, apart.new_zeros(len(S))

    def gain(w: Tensor) -> Tensor:
        return nn.functional.logsigmoid(rows @ w).sum() - strength * w.square().sum() / 2

    for _ in range(steps):
        p = torch.sigmoid(rows @ w)
        curvature = (rows.mT * (p * (1 - p))) @ rows + strength * torch.eye(len(S)).to(rows)
        step = torch.linalg.solve(curvature, rows.mT @ (1 - p) - strength * w)
        tried = w + torch.stack([step / 2**k for k in range(6)])
        w = max(tried, key=lambda w: float(gain(w)))
    evidence = gain(w) + (len(S) * math.log(strength) - torch.linalg.slogdet(curvature)[1]) / 2
    return V.mT @ w, float(evidence)
