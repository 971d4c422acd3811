r"""Derivative-free guidance (§6.2): values choose among samples of p_pre; nobody asks for a slope.

Sequential Monte Carlo lets a cloud of n particles take pretrained steps and weighs each by

    w_T = exp(v_T(x_T)/α),   w_{t−1} = w_t exp((v_{t−1}(x_{t−1}) − v_t(x_t))/α),   v_0 = r

and copies the heavy over the light where the effective sample size (Σw)²/Σw² falls below a share of n. The v_t cancel
along a path, so for any v whatever the weighted cloud aims at p_pre exp(r/α); a poor v costs particles. Its mean weight
Ẑ is unbiased for Z = E_pre[exp(r/α)], and as a particle's law q has α KL(q‖p_r) ≤ α E[log Z − log Ẑ] (Naesseth et al.
2018), α E[log Ẑ] is a J that the sampler attains at least.

SVDD (Li et al. 2024) asks each particle alone: of M candidates from p_pre(·|x_t), keep one with probability ∝
exp(v_{t−1}/α). As M → ∞ that is a draw from the soft-optimal kernel; here a poor v is followed wherever it leads.
Shapes: B particles; t is a whole number in 0..T."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import count, positive
from ..policies import DenoisingPolicy, Trajectory, rollout_with

Value = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Particles(Trajectory):
    """The survivors' own paths, x [T+1, clouds·n, …], equally weighted, one cloud after another.

    effective: sample size as a share of n, before resampling, [T+1, clouds]; log_z: log Ẑ, [clouds].
    """

    effective: Tensor
    log_z: Tensor


@torch.no_grad()
def sample(
    pretrained: DenoisingPolicy,
    value: Value,
    *,
    alpha: float,
    n: int,
    clouds: int = 1,
    resample_below: float = 0.5,
    generator: torch.Generator,
) -> Particles:
    """Independent clouds of n particles each. `value` maps x [B, …] and t in 0..T to v_t [B]; v_0 must be the reward.

    Resampling is systematic, where the effective share falls below `resample_below` in (0, 1], and at t = 0.
    """
    alpha, n, clouds = positive("alpha", alpha), count("n", n), count("clouds", clouds)
    if not 0 < resample_below <= 1:
        raise ValueError(f"resample_below must lie in (0, 1], got {resample_below!r}")
    T, sigma = pretrained.schedule.T, pretrained.schedule.sigma
    x = torch.empty(T + 1, clouds * n, *pretrained.shape, device=sigma.device)
    v, log_w = sigma.new_zeros(clouds * n), sigma.new_zeros(clouds, n)
    effective, log_z = sigma.new_zeros(T + 1, clouds), sigma.new_zeros(clouds)
    for t in range(T, -1, -1):
        z = torch.randn(x.shape[1:], device=x.device, generator=generator)
        x[t] = pretrained.mean(x[t + 1], t + 1) + sigma[t + 1] * z if t < T else z
        ahead = _ask(value, x[t], t)
        log_w, v = log_w + ((ahead - v) / alpha).reshape(clouds, n), ahead
        weights = log_w.softmax(1)
        effective[t] = 1 / (n * weights.square().sum(1))
        light = (effective[t] < resample_below) | (t == 0)
        chosen = torch.where(light[:, None], systematic(weights, generator), torch.arange(n, device=x.device))
        log_z += torch.where(light, log_w.logsumexp(1) - math.log(n), 0.0)
        log_w = log_w.masked_fill(light[:, None], 0.0)
        chosen = (chosen + n * torch.arange(clouds, device=x.device)[:, None]).reshape(-1)
        x[t:], v = x[t:, chosen], v[chosen]
    return Particles(x, effective, log_z)


def systematic(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Indices [clouds, n] for weights [clouds, n] that sum to one: i comes n·w_i times, rounded up or down."""
    clouds, n = weights.shape
    u = torch.rand(clouds, 1, device=weights.device, generator=generator)
    places = (torch.arange(n, device=weights.device) + u) / n
    return torch.searchsorted(weights.cumsum(1), places).clamp_max(n - 1)


def svdd(
    pretrained: DenoisingPolicy,
    value: Value,
    *,
    alpha: float,
    n: int,
    candidates: int = 16,
    generator: torch.Generator,
) -> Trajectory:
    """n independent particles, each choosing among `candidates` at every step: Trajectory [T+1, n, …]."""
    alpha, M = positive("alpha", alpha), count("candidates", candidates)

    def choose(x: Tensor, t: int) -> Tensor:
        z = torch.randn(M, *x.shape, device=x.device, generator=generator)
        y = pretrained.mean(x, t) + pretrained.sigma(t) * z
        v = _ask(value, y.flatten(0, 1), t - 1).reshape(M, len(x))
        gumbel = -(-torch.rand(v.shape, device=x.device, generator=generator).log()).log()
        return y[(v / alpha + gumbel).argmax(0), torch.arange(len(x), device=x.device)]

    still = torch.zeros_like(pretrained.schedule.sigma)  # the choice is all the noise there is
    return rollout_with(choose, pretrained, n, std=still, generator=generator)


def _ask(value: Value, x: Tensor, t: int) -> Tensor:
    v = value(x, t)
    if v.shape != x.shape[:1] or not torch.isfinite(v).all():
        raise ValueError(f"value must return {[len(x)]} finite numbers for x {list(x.shape)}, got {_told(v)}")
    return v


def _told(v: Tensor) -> str:
    return f"shape {list(v.shape)}" + ("" if torch.isfinite(v).all() else " with NaN or infinity")
