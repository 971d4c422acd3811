r"""A reward learned from labels that were there before (§7.3.1): fit it, and doubt it where there were none.

    r̂(x) − s ĝ(x)      pessimism of strength s: what the data do not cover is thought worse than it looks

Fine-tuning leans on r̂ hardest where it is most wrong (overoptimisation); the KL term is one guard against that, the
penalty another (both at once: BRAID, Uehara et al. 2024).
"""

import math
from typing import Any

import torch
from torch import Tensor

from ..rewards.uncertain import Features, LearnedReward, Networks, Process


def fit(x: Tensor, y: Tensor, *, kind: str = "ensemble", generator: torch.Generator, **options: Any) -> LearnedReward:
    """A reward from points [N, …] and labels [N]: called for its mean, `.std` for its deviation, both [B, …] → [B].

    kind: "mlp", one network; "ensemble", ten; "gp", an exact Gaussian process (at most 2,000 labels); "features",
    Bayesian linear regression. options: what that kind takes beside (see `rewards.uncertain`).
    """
    if kind == "mlp":
        return Networks(x, y, generator=generator, members=1, **options)
    kinds = {"ensemble": Networks, "gp": Process, "features": Features}
    if kind not in kinds:
        raise ValueError(f"unknown kind {kind!r}; known: mlp, {', '.join(kinds)}")
    return kinds[kind](x, y, generator=generator, **options)


class Bounded:
    """r̂(x) − strength ĝ(x): [B, …] → [B]."""

    def __init__(self, learned: LearnedReward, strength: float):
        if not math.isfinite(strength):
            raise ValueError(f"strength must be a finite number, got {strength!r}")
        self.learned, self.strength = learned, float(strength)
        self.__name__ = f"{'optimistic' if strength < 0 else 'pessimistic'}_{learned.__name__}"

    def __call__(self, x: Tensor) -> Tensor:
        mean, std = self.learned.predict(x)
        return mean - self.strength * std


def pessimistic(learned: LearnedReward, *, strength: float = 1.0) -> Bounded:
    """r̂ − strength·ĝ, differentiable; a negative strength is optimism."""
    return Bounded(learned, strength)
