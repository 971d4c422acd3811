r"""Asking a reward r(x_0), any callable [B, …] → [B]: what comes back is checked, and counted (§7).

−∞ says "never": such a sample has weight exp(r/α) = 0. Where that has a meaning, it is let through.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Reward = Callable[[Tensor], Tensor]


def query(reward: Reward, x_0: Tensor, *, never: bool = False) -> Tensor:
    """reward(x_0), [B, …] → [B], yes and no as 1 and 0; ValueError naming the shape or the share that is not finite.

    never: let −∞ through, but not for all samples.
    """
    values = reward(x_0)
    if not isinstance(values, Tensor) or values.shape != x_0.shape[:1]:
        came = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"reward {name_of(reward)} must return shape {[len(x_0)]} for x_0 {list(x_0.shape)}, got {came}"
        )
    bad = ~torch.isfinite(values.detach())
    if never and bad.any():
        barred = values.detach() == -math.inf
        if barred.all():
            raise ValueError(f"reward {name_of(reward)} returned −∞, never, for all of {len(x_0)} samples")
        bad &= ~barred
    if bad.any():
        share = bad.float().mean().item()
        raise ValueError(f"reward {name_of(reward)} returned NaN or infinity for {share:.1%} of {len(x_0)} samples")
    return values.to(x_0.dtype) if values.dtype == torch.bool else values


def query_slope(reward: Reward, x_0: Tensor) -> Tensor:
    """`query` at an x_0 that needs a gradient; ValueError for a reward that passes none on, or that says "never"."""
    try:
        values = query(reward, x_0, never=True)
    except RuntimeError as problem:
        if "requires grad" not in str(problem):  # what .numpy() says
            raise
        values = x_0.new_zeros(len(x_0))
    if not values.requires_grad:
        raise ValueError(
            f"expected a differentiable reward, got {name_of(reward)}, which gives no gradient; soft_ppo, "
            f"reward_weighted_mle and path_consistency need none, nor does sequential_monte_carlo"
        )
    if (values.detach() == -math.inf).any():
        raise ValueError(
            f"expected finite rewards, got −∞ from {name_of(reward)}, and a wall has no slope to follow; soft_ppo, "
            f"reward_weighted_mle, path_consistency and sequential_monte_carlo take −∞ as “never”"
        )
    return values


def name_of(reward: Reward) -> str:
    return getattr(reward, "__name__", type(reward).__name__)


class QueryCounter:
    """A reward that counts the samples it is asked about, in `queries`."""

    def __init__(self, reward: Reward):
        self.reward, self.queries, self.__name__ = reward, 0, name_of(reward)

    def __call__(self, x_0: Tensor) -> Tensor:
        self.queries += len(x_0)
        return self.reward(x_0)
