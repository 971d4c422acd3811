r"""Reward backpropagation (§5.2): follow the reward's own gradient through every step of the sampler.

    x_{t−1} = ρ(x_t, t) + σ_t (u_t(x_t) + z_t),   z_t ~ N(0, I)
    loss = − E[ r(x_0) − α Σ_t ½‖u_t(x_t)‖² ] / α

With the noise z fixed, x_0 is a differentiable function of θ, and the loss is J itself. Truncation to the last K steps
stops the gradient at x_K: less memory, and a bias, for the steps before learn nothing. Checkpointing keeps only the
states and runs each step again on the way back.
Shapes: noise [T+1, n, …], its row T is x_T and row t < T drives the step to x_t.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..checks import count
from ..policies import Policy, TunablePolicy
from ..rewards import Reward, query_slope
from .loop import Step, Training

RATE = 1e-2  # of learning, for a policy of pace 1


def sample(policy: Policy, noise: Tensor, *, last: int, checkpointed: bool = False) -> tuple[Tensor, Tensor]:
    """(x_0 [n, …], Σ_t KL_t [n]) with gradients through the last `last` steps."""

    def step(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        rho, u = policy.proposal(x, t)
        return rho + policy.sigma(t) * (u + noise[t - 1]), u.flatten(1).square().sum(1) / 2

    x, kl = noise[-1], noise.new_zeros(noise.shape[1])
    for t in range(policy.schedule.T, 0, -1):
        with torch.set_grad_enabled(t <= last):
            x, paid = checkpoint(step, x, t, use_reentrant=False) if checkpointed else step(x, t)
        kl = kl + paid
    return x, kl


def loss(r: Tensor, kl: Tensor) -> Tensor:
    """−J/α from r(x_0)/α [n] and Σ_t KL_t [n]."""
    return (kl - r).mean()


def fine_tune(
    policy: TunablePolicy,
    reward: Reward,
    *,
    alpha: float,
    generator: torch.Generator,
    iterations: int = 120,
    n: int = 128,
    last: int | tuple[int, int] | None = None,
    checkpointed: bool = False,
    learning_rate: float | None = None,
) -> Iterator[Step]:
    """Each iteration: n paths, their gradient, one step of Adam.

    learning_rate: None is RATE times `policy.pace`.
    last: steps that the gradient goes through; None is all T, a pair (low, high) draws a number every iteration.
    ValueError for a reward without a gradient.
    """
    T = policy.schedule.T
    low, high = last if isinstance(last, tuple) else (T if last is None else last,) * 2
    low, high = count("last", low), count("last", high)
    if not low <= high <= T:
        raise ValueError(f"last must lie in 1..{T}, got {last!r}")
    plan: dict[str, Any] = dict(alpha=alpha, n=n, iterations=iterations, learning_rate=learning_rate, usual=RATE)
    training = Training(policy, reward, generator=generator, **plan)
    like: dict[str, Any] = dict(device=policy.schedule.sigma.device, generator=generator)
    for _ in training:
        noise = torch.randn(T + 1, training.n, *policy.shape, **like)
        depth = int(torch.randint(low, high + 1, (), **like))
        x_0, kl = sample(policy, noise, last=depth, checkpointed=checkpointed)
        r = training.rewards(x_0, ask=query_slope)
        objective = loss(r, kl)
        training.descend(objective)
        yield training.step(objective.item(), r, kl, last=depth)
