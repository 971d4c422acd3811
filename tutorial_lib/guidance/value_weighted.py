r"""Value-weighted sampling (§6.2, Algorithm 4): steer every step by the soft value's gradient.

    x_{t−1} ~ N( ρ(x_t, t) + γ (σ_t² / α) ∇v_{t−1}(ρ(x_t, t)),  σ_t² I )

With the exact v and T → ∞ this samples p_pre exp(r/α); γ = 1 is the theorem, other γ are what sliders are for.
Classifier guidance (§8; Dhariwal & Nichol 2021) is this with r = log p(y|x) and α = 1.
Shapes: B particles, D dimensions; t is a whole number in 1..T."""

from typing import Any, Protocol

import torch
from torch import Tensor

from ..checks import finite, not_negative, positive
from ..policies import DenoisingPolicy, Policy, Trajectory, rollout


class Sloped(Protocol):
    """Anything that offers the gradient of a soft value, ([B, …], t in 0..T) → [B, …]."""

    def grad(self, x: Tensor, t: Any) -> Tensor: ...


class ValueWeightedPolicy(Policy):
    """The guided chain as a policy, so that it can be rolled out and evaluated like a trained one."""

    def __init__(self, pretrained: DenoisingPolicy, value: Sloped, *, alpha: float, strength: float = 1.0):
        super().__init__()
        self.pretrained, self.schedule, self.shape = pretrained, pretrained.schedule, pretrained.shape
        self.value, self.alpha, self.strength = value, positive("alpha", alpha), not_negative("strength", strength)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        rho = self.pretrained.mean(x_t, t)
        slope = self.value.grad(rho, t - 1)
        if slope.shape != rho.shape:
            raise ValueError(f"value.grad must return shape {list(rho.shape)}, as x has, got {list(slope.shape)}")
        finite("value.grad", slope)
        return rho, self.strength * self.schedule.at("sigma", t, x_t) / self.alpha * slope


def sample(
    pretrained: DenoisingPolicy,
    value: Sloped,
    *,
    alpha: float,
    n: int,
    strength: float = 1.0,
    generator: torch.Generator,
) -> Trajectory:
    """Guided rollout: n particles → Trajectory [T+1, n, …]. `value` offers grad(x, t): ([B, …], int) → [B, …]."""
    return rollout(ValueWeightedPolicy(pretrained, value, alpha=alpha, strength=strength), n, generator=generator)
