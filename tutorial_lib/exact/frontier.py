r"""The frontier of reward against KL, J*(α) = α log E_pre[exp(r/α)] (§4)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import positive


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
        errors = [0.0, 0.0, 0.0]
        if not self.exact:  # delta method: what each sample adds to the error of E*[r], J* and KL*
            of_reward = weights * (self.rewards - reward)
            of_value = weights - 1 / len(weights)
            pushes = (of_reward, alpha * of_value, of_reward / alpha - of_value)
            errors = [float(push.square().sum().sqrt()) for push in pushes]
        return FrontierPoint(float(alpha), reward, (reward - objective) / alpha, objective, size, *errors)

    def mean(self, values: Tensor, alpha: float) -> tuple[float, float]:
        """E*[f] for f [N] at the samples, and its standard error: Σ w f and (Σ w² (f − E*[f])²)^½, zero where exact."""
        if values.shape != self.rewards.shape:
            raise ValueError(f"values must have shape {list(self.rewards.shape)}, got {list(values.shape)}")
        weights, f = self.weights(alpha), values.double()
        mean = (weights * f).sum()
        error = (weights.square() * (f - mean).square()).sum().sqrt()
        return float(mean), 0.0 if self.exact else float(error)

    def at_kl(self, kl: float) -> "FrontierPoint":
        """The frontier's point at a KL, by bisection in log α. ValueError for a KL that no α here attains.

        Its `objective_se` is also the standard error of the reward at that KL, for R(KL) = min_α J*(α) + α KL.
        """
        span = float(self.rewards.max() - self.rewards.min()) or 1.0
        low, high = math.log(1e-6 * span), math.log(1e6 * span)  # of α: the KL falls as α grows
        if not 0 <= kl <= self.at(math.exp(low)).kl:
            raise ValueError(f"kl must lie in 0..{self.at(math.exp(low)).kl:.3g} nats, got {kl!r}")
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.at(math.exp(middle)).kl > kl else (low, middle)
        return self.at(math.exp(high))

    def best_reward(self, kl: float) -> float:
        """The frontier's reward at a KL."""
        return self.at_kl(kl).reward

    def curve(self, alphas: Tensor) -> list["FrontierPoint"]:
        return [self.at(float(alpha)) for alpha in alphas]


@dataclass(frozen=True)
class FrontierPoint:
    """E*[r], KL* (nats) and J* at one α; `size` is the effective sample size (∞ where exact), `reward_se`,
    `objective_se` and `kl_se` the standard errors."""

    alpha: float
    reward: float
    kl: float
    objective: float
    size: float
    reward_se: float
    objective_se: float
    kl_se: float

    @property
    def trusted(self) -> bool:
        """Whether at least 100 effective samples stand behind it."""
        return self.size >= 100
