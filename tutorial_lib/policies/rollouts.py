r"""Rolling a policy out: x_T ~ N(0, I), then one step after another down to x_0 (§1.1).

The noise depends on the generator alone, so that two policies can be sent down the same paths.
Shapes: paths [T+1, n, …], row t is x_t.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..checks import count
from ..schedules import NoiseSchedule
from .chain import DenoisingPolicy, Policy, Recorded, Trajectory


def rollout(policy: Policy, n: int, *, generator: torch.Generator) -> Trajectory:
    """n paths x_T → x_0 of the policy, without gradients. The noise depends on the generator alone."""
    return rollout_with(policy.mean, policy, n, generator=generator)


def record(policy: Policy, n: int, *, generator: torch.Generator) -> Recorded:
    """`rollout` that keeps u and z, so that no network is asked twice about the policy's own paths."""
    T, like = policy.schedule.T, policy.schedule.sigma
    u, z = (torch.zeros(T + 1, count("n", n), *policy.shape, device=like.device) for _ in range(2))

    def mean(x_t: Tensor, t: int) -> Tensor:
        z[t], u[t] = policy.proposal(x_t, t)
        return z[t] + like[t] * u[t]

    x = rollout_with(mean, policy, n, generator=generator).x
    z[1:] = (x[:-1] - z[1:]) / like[1:].reshape(-1, *[1] * (x.ndim - 1))  # z held ρ until here
    return Recorded(x, u, z)


@torch.no_grad()
def rollout_with(
    mean: Callable[[Tensor, int], Tensor],
    policy: Policy,
    n: int,
    *,
    std: Tensor | None = None,
    generator: torch.Generator,
) -> Trajectory:
    """`rollout` with another mean(x_t, t), or steps of another std [T+1]; the policy lends schedule and shape."""
    schedule = policy.schedule
    std = schedule.sigma if std is None else std
    like: dict[str, Any] = dict(device=std.device, generator=generator)
    x = torch.empty(schedule.T + 1, count("n", n), *policy.shape, device=std.device)
    x[schedule.T] = torch.randn(x.shape[1:], **like)
    for t in range(schedule.T, 0, -1):
        z = torch.randn(x.shape[1:], **like)
        torch.add(mean(x[t], t), z, alpha=float(std[t]), out=x[t - 1])
    return Trajectory(x)


def ddim_mean(
    x_0: Tensor, x_t: Tensor, schedule: NoiseSchedule, t: int, s: int, *, std: Tensor | float = 0.0
) -> Tensor:
    """√ᾱ_s x̂_0 + √(1 − ᾱ_s − std²) ε̂, the mean of a step from x_t to x_s, s < t, whose fresh noise has `std`.

    x_0: the guess at x_t, [B, …]; std: a number, or a tensor that broadcasts against it.
    """
    epsilon = (x_t - schedule.alpha_bar[t].sqrt() * x_0) / schedule.noise[t].sqrt()
    kept = (schedule.noise[s] - std**2).clamp_min(0).sqrt()
    return schedule.alpha_bar[s].sqrt() * x_0 + kept * epsilon


def ddim(pretrained: DenoisingPolicy, n: int, *, eta: float = 0.0, generator: torch.Generator) -> Trajectory:
    """Song et al. 2021's family between the ODE (η = 0) and an SDE (η = 1): the same marginals, less and less noise.

    x_{t−1} = √ᾱ_{t−1} x̂_0 + √(1 − ᾱ_{t−1} − η²β̃_t) ε̂ + η √β̃_t z
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    schedule = pretrained.schedule
    std = eta * schedule.posterior_std

    def mean(x: Tensor, t: int) -> Tensor:
        return ddim_mean(pretrained.denoiser(x, t), x, schedule, t, t - 1, std=std[t])

    return rollout_with(mean, pretrained, n, std=std, generator=generator)


@torch.no_grad()
def glimpse(policy: Policy, n: int, *, steps: int = 12, generator: torch.Generator) -> Tensor:
    """x_0 [n, …] of any policy for a quick look: DDIM with η = 0 that visits `steps` of the T levels.

    A step's mean c⁰_t x̂_0 + c¹_t x_t tells x̂_0, with whatever steers the policy in it; all noise is in x_T.
    """
    schedule = policy.schedule
    if not 1 <= count("steps", steps) <= schedule.T:
        raise ValueError(f"steps must lie in 1..{schedule.T}, got {steps}")
    levels = torch.linspace(schedule.T, 0, steps + 1).round().int().tolist()
    device = schedule.sigma.device
    x = torch.randn(count("n", n), *policy.shape, device=device, generator=generator)
    for t, s in itertools.pairwise(levels):
        x_0 = (policy.mean(x, t) - schedule.carry[t] * x) / schedule.signal[t]
        x = ddim_mean(x_0, x, schedule, t, s)
    return x
