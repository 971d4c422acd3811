r"""Derivative-free guidance (§6.2): values choose among samples of p_pre; nobody asks for a slope.

Sequential Monte Carlo lets a cloud of n particles take pretrained steps and weighs each by

    w_T = exp(v_T(x_T)/α),   w_{t−1} = w_t exp((v_{t−1}(x_{t−1}) − v_t(x_t))/α),   v_0 = r

and copies the heavy over the light where the effective sample size (Σw)²/Σw² falls below a share of n. The v_t cancel
along a path, so for any v whatever the weighted cloud aims at p_pre exp(r/α); a poor v costs particles. Its mean weight
Ẑ is unbiased for Z = E_pre[exp(r/α)], and as a particle's law q has α KL(q‖p_r) ≤ α E[log Z − log Ẑ] (Naesseth et al.
2018), α E[log Ẑ] is a J that the sampler attains at least. FK steering (Singhal et al. 2025) is this.

The steps may be another policy's, such as Algorithm 4's slopes: the twisted diffusion sampler (TDS, Wu et al. 2023).
And v may be tempered, λ_t v_t in the place of v_t with λ_T ≥ 0 small and λ_0 = 1 (DAS, Kim et al. 2025). Then

    w_{t−1} = w_t exp((λ_{t−1} v_{t−1} − λ_t v_t)/α) p_pre(x_{t−1}|x_t)/q(x_{t−1}|x_t)

with q = N(ρ + λ_{t−1} σ_t u_t, σ_t² I), the step that was taken; the aim stays what it was.

SVDD (Li et al. 2024) asks each particle alone: of M candidates from p_pre(·|x_t), keep one with probability ∝
exp(v_{t−1}/α). As M → ∞ that is a draw from the soft-optimal kernel; here a poor v is followed wherever it leads.
Shapes: B particles; t is a whole number in 0..T."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import count, not_negative, positive
from ..policies import DenoisingPolicy, Policy, Trajectory, rollout_with
from ..policies.chain import log_ratio

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
    proposal: Policy | None = None,
    temper: Sequence[float] | None = None,
    generator: torch.Generator,
) -> Particles:
    """Independent clouds of n particles each. `value` maps x [B, …] and t in 0..T to v_t [B]; v_0 must be the reward.

    Resampling is systematic, where the effective share falls below `resample_below` in (0, 1], and at t = 0.
    proposal: whose steps the particles take, a policy around the same pretrained one; None takes the pretrained steps.
    temper: the share λ_t of v_t, and of the proposal's shift to x_t, that counts at each t, [T+1] with λ_0 = 1.
    """
    alpha, n, clouds = positive("alpha", alpha), count("n", n), count("clouds", clouds)
    if not 0 < resample_below <= 1:
        raise ValueError(f"resample_below must lie in (0, 1], got {resample_below!r}")
    T, sigma, proposal = pretrained.schedule.T, pretrained.schedule.sigma, proposal or pretrained
    share = _shares(temper, T)
    x = torch.empty(T + 1, clouds * n, *pretrained.shape, device=sigma.device)
    v, log_w = sigma.new_zeros(clouds * n), sigma.new_zeros(clouds, n)
    effective, log_z = sigma.new_zeros(T + 1, clouds), sigma.new_zeros(clouds)
    for t in range(T, -1, -1):
        z = torch.randn(x.shape[1:], device=x.device, generator=generator)
        x[t], paid = _step(proposal, x[t + 1], t + 1, z, share[t]) if t < T else (z, 0.0)
        ahead = share[t] * _ask(value, x[t], t)
        log_w, v = log_w + ((ahead - v) / alpha - paid).reshape(clouds, n), ahead
        weights = log_w.softmax(1)
        effective[t] = 1 / (n * weights.square().sum(1))
        light = (effective[t] < resample_below) | (t == 0)
        chosen = torch.where(light[:, None], systematic(weights, generator), torch.arange(n, device=x.device))
        log_z += torch.where(light, log_w.logsumexp(1) - math.log(n), 0.0)
        log_w = log_w.masked_fill(light[:, None], 0.0)
        chosen = (chosen + n * torch.arange(clouds, device=x.device)[:, None]).reshape(-1)
        x[t:], v = x[t:, chosen], v[chosen]
    return Particles(x, effective, log_z)


def _step(proposal: Policy, x: Tensor, t: int, z: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """x_{t−1} from a share of the proposal's shift, and log q − log p_pre of that step: [B, …], [B]."""
    rho, u = proposal.proposal(x, t)
    u = share * u
    return rho + proposal.schedule.sigma[t] * (u + z), log_ratio(u, u + z)


def _shares(temper: Sequence[float] | None, T: int) -> list[float]:
    """λ_0 … λ_T as numbers, all one where nothing is tempered."""
    shares = [1.0] * (T + 1) if temper is None else [not_negative("temper", share) for share in temper]
    if len(shares) != T + 1 or shares[0] != 1:
        raise ValueError(f"temper must hold T + 1 = {T + 1} shares, the first of them 1, got {shares}")
    return shares


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
