r"""Reward-weighted MLE (§6.1): supervised learning on samples weighted by exp(r/α).

    minimise  E_{x_0 ~ p_r} Σ_t E_{q(x_t|x_0)} [ ½‖u_t(x_t) − (c⁰_t x_0 + c¹_t x_t − ρ(x_t, t))/σ_t‖² ]
    where     p_r ∝ p_pre exp(r/α)

It is the pretraining loss in units of σ_t (claim 6.3), and a forward KL from p_r. Fine-tuning leaves the noising
direction as it was (§4), so x_t is drawn afresh from q(x_t|x_0) as often as one likes: every reward is asked for once,
and used many times. Offline, x_0 comes from p_pre and the weights soon rest on a few samples; online it comes from p_θ
with the weights exp(r/α) p_pre/p_θ of its whole path, which even out as p_θ improves. Where they do not yet, they are
tempered: raised to the power that leaves the effective sample size at a share `effective` of n.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..checks import count
from ..policies import Policy, TunablePolicy, record
from ..rewards import Reward
from ..schedules import NoiseSchedule
from .loop import Step, Training, floored, path_kl


def loss(policy: Policy, x_0: Tensor, x_t: Tensor, t: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Weighted mean of ½‖u_t − u target‖² over x_0, x_t [B, …], t [B]; weights [B] of mean one, or 1 for x_0 ~ p_r."""
    rho, u = policy.proposal(x_t, t)
    target = (policy.schedule.posterior_mean(x_0, x_t, t) - rho) / policy.schedule.at("sigma", t, x_t)
    return (weight * (u - target).flatten(1).square().sum(1) / 2).mean()


def epsilon_weights(schedule: NoiseSchedule) -> Tensor:
    """What turns the loss into ‖ε̂ − ε‖², as pretraining has it, up to a factor: [T+1], of mean one over t = 1..T."""
    ratio = (schedule.sigma.square() * schedule.alpha_bar / (schedule.noise * schedule.signal.square()))[1:]
    return torch.cat([ratio.new_zeros(1), ratio / ratio.mean()])


def share_of_samples(weights: Tensor) -> float:
    """Effective sample size 1/Σw² of weights [n] that sum to one, as a share of n."""
    return 1 / (weights.square().sum().item() * len(weights))


def tempered(log_weights: Tensor, effective: float) -> Tensor:
    """softmax(λ log w) [n], with the largest λ ≤ 1 whose effective sample size is at least a share `effective` of those
    with a weight; one of log w = −∞ has none at any λ."""
    if (barred := log_weights == -math.inf).any():
        weights = torch.zeros_like(log_weights)
        weights[~barred] = tempered(log_weights[~barred], effective)
        return weights
    low, high = 0.0, 1.0
    if share_of_samples(log_weights.softmax(0)) >= effective:
        return log_weights.softmax(0)
    for _ in range(30):
        middle = (low + high) / 2
        enough = share_of_samples((middle * log_weights).softmax(0)) >= effective
        low, high = (middle, high) if enough else (low, middle)
    return (low * log_weights).softmax(0)


def fine_tune(
    policy: TunablePolicy,
    reward: Reward,
    *,
    alpha: float,
    generator: torch.Generator,
    iterations: int = 15,
    n: int = 1024,
    updates: int = 20,
    batch: int = 3200,
    online: bool = True,
    denoised: bool | None = None,
    effective: float = 0.1,
    per_time: Tensor | None = None,
    learning_rate: float | None = None,
) -> Iterator[Step]:
    """Each iteration: n paths of the policy (of p_pre where not `online`, all of them kept), then `updates` steps of
    Adam on batches drawn by weight. Step.extra["effective"]: the untempered weights' effective sample size / n.

    denoised: learn from the mean of the last step instead of x_0, which carries that step's noise. A network pretrained
    on clean data would spend its KL on imitating the noise; the weight is still that of the noisy x_0's reward. None:
    for images, not for points. per_time: another weight of each t [T+1], such as `epsilon_weights`, for the KL's own.
    learning_rate: None is `loop.RATE` times `policy.pace`.
    """
    updates, batch = count("updates", updates), count("batch", batch)
    if not 0 < effective < 1:
        raise ValueError(f"effective must lie in (0, 1), got {effective!r}")
    plan: dict[str, Any] = dict(alpha=alpha, n=n, iterations=iterations, learning_rate=learning_rate)
    training = Training(policy, reward, generator=generator, **plan)
    n, denoised = training.n, len(policy.shape) > 1 if denoised is None else denoised
    T, device = policy.schedule.T, policy.schedule.sigma.device
    kept: list[tuple[Tensor, Tensor]] = []
    for _ in training:
        path = record(policy if online else policy.pretrained, n, generator=generator)
        r = training.rewards(path.x_0).detach()
        kl = path.kl() if online else path_kl(policy, path)
        log_weight = r - path.log_ratio().sum(0)
        x_0 = path.x_0 - policy.sigma(1) * (path.z[1] - path.u[1]) if denoised else path.x_0
        kept = [(x_0, log_weight)] if online else [*kept, (x_0, log_weight)]
        x_0, log_weights = (torch.cat(part) for part in zip(*kept, strict=True))
        weights, total = tempered(log_weights, effective), 0.0
        for _ in range(updates):
            chosen = torch.multinomial(weights, batch, replacement=True, generator=generator)
            t = torch.randint(1, T + 1, (batch,), device=device, generator=generator)
            x_t, _ = policy.schedule.add_noise(x_0[chosen], t, generator=generator)
            objective = loss(policy, x_0[chosen], x_t, t, 1.0 if per_time is None else per_time[t])
            training.descend(objective)
            total += objective.item() / updates
        yield training.step(total, floored(r), kl, effective=share_of_samples(log_weights.softmax(0)))
