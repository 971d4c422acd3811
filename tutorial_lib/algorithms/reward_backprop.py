r"""Reward backpropagation (§5.2): follow the reward's own gradient through every step of the sampler.

    x_{t−1} = ρ(x_t, t) + σ_t (u_t(x_t) + z_t),   z_t ~ N(0, I)
    loss = − E[ r(x_0) − α Σ_t ½‖u_t(x_t)‖² ] / α

With the noise z fixed, x_0 is a differentiable function of θ, and the loss is J itself. Truncation to the last K steps
stops the gradient at x_K: less memory, and a bias, for the steps before learn nothing. Checkpointing keeps only the
states and runs each step again on the way back.

Where the data lie in modes, only the few paths near a border between two of them tell of the other mode, by slopes so
large that a batch's mean is mostly luck. So on the way back each slope is mixed with a second estimate of the same
expectation from the same paths, the score's, whose tails are light (total propagation, Parmas et al. 2018):

    k_t a + (1 − k_t) b,   a = ∂C_t/∂x_t,   b = (C_t − C̄_t) z_t/σ_{t+1},   C_t = Σ_{s≤t} KL_s − r(x_0)/α

The variance of the mix is least at k_t = (Var b − Cov(a, b))/(Var a + Var b − 2 Cov(a, b)). Where C_t is quadratic in
z_t, Cov(a, b) = Var a, and k_t = 1: nothing is mixed in where slopes are all one needs.

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
from ..schedules import NoiseSchedule
from .loop import Step, Training

RATE = 1e-2  # of learning, for a policy of pace 1


class TotalPropagation:
    """Mixes, at every x_t on the way back, two estimates of the slope of the mean cost so that the variance is least:
    along the paths, and across them by the score.

    spread [T+1, 3]: Var a, Var b and Cov(a, b), summed over all batches so far, for most batches have no path near a
    border. `total` [n] is the cost of each path, Σ_t KL_t − r(x_0)/α, to be set before the way back begins.
    """

    def __init__(self, schedule: NoiseSchedule):
        self.spread = schedule.sigma.new_zeros(schedule.T + 1, 3)
        self.paid: dict[int, Tensor] = {}
        self.total = torch.empty(0)

    def watch(self, x: Tensor, t: int, *, paid: Tensor, z: Tensor, sigma: Tensor) -> None:
        """x_t = mean + σ z [n, …], and Σ_{s>t} KL_s [n], what its path had paid by then."""
        self.paid[t] = paid.detach()
        x.register_hook(lambda slope: self.mixed(slope, t, z, sigma))

    def mixed(self, slope: Tensor, t: int, z: Tensor, sigma: Tensor) -> Tensor:
        """The two estimates of the slope in x_t, each path's share of the mean over n: [n, …]."""
        cost = self.total - self.paid[t]
        surprise = (cost - cost.mean()) / ((len(cost) - 1) * sigma)  # against the mean of the other paths
        score = surprise.reshape(-1, *[1] * (z.ndim - 1)) * z
        a, b = slope - slope.mean(0), score - score.mean(0)
        self.spread[t] += torch.stack([a.square().sum(), b.square().sum(), (a * b).sum()])
        along, across, both = self.spread[t]
        k = ((across - both) / (along + across - 2 * both).clamp_min(1e-30)).clamp(0, 1)
        return k * slope + (1 - k) * score


def sample(
    policy: Policy, noise: Tensor, *, last: int, checkpointed: bool = False, mix: TotalPropagation | None = None
) -> tuple[Tensor, Tensor]:
    """(x_0 [n, …], Σ_t KL_t [n]) with gradients through the last `last` steps, mixed on the way back by `mix`."""

    def step(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        rho, u = policy.proposal(x, t)
        return rho + policy.sigma(t) * (u + noise[t - 1]), u.flatten(1).square().sum(1) / 2

    x, kl = noise[-1], noise.new_zeros(noise.shape[1])
    for t in range(policy.schedule.T, 0, -1):
        with torch.set_grad_enabled(t <= last):
            x, paid = checkpoint(step, x, t, use_reentrant=False) if checkpointed else step(x, t)
        kl = kl + paid
        if mix is not None and x.requires_grad:
            mix.watch(x, t - 1, paid=kl, z=noise[t - 1], sigma=policy.sigma(t))
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
    mixed: bool | None = None,
    learning_rate: float | None = None,
) -> Iterator[Step]:
    """Each iteration: n paths, their gradient, one step of Adam.

    mixed: by total propagation; else the slope comes along the paths alone, and the weight of other modes is missed.
    None: for points, not for images, where the score is so noisy that its weight would be 0.1 % a step at most.

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
    mixed = len(policy.shape) == 1 if mixed is None else mixed
    mix = TotalPropagation(policy.schedule) if mixed else None
    for _ in training:
        noise = torch.randn(T + 1, training.n, *policy.shape, **like)
        depth = int(torch.randint(low, high + 1, (), **like))
        x_0, kl = sample(policy, noise, last=depth, checkpointed=checkpointed, mix=mix)
        r = training.rewards(x_0, ask=query_slope)
        if mix is not None:
            mix.total = (kl - r).detach()
        objective = loss(r, kl)
        training.descend(objective)
        yield training.step(objective.item(), r, kl, last=depth)
