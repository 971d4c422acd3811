r"""Soft PPO (§5.1): fine-tuning as policy gradient, with the KL to p_pre inside the objective.

    ratio_t = p_θ(x_{t−1}|x_t) / p_old(x_{t−1}|x_t)
    maximise  E[ min( ratio_t A_t,  clip(ratio_t, 1 − ε, 1 + ε) A_t ) ]

The reward of a step is −α log p_old/p_pre, and r(x_0) besides at the last one. The sampled log-ratio, not its mean
KL_t, makes the return the same on every path of the optimal policy, so that the noise dies out as learning succeeds.
A_t is the generalised advantage estimate, with the values v_t of §4; all is in units of α. r needs no gradient.
Shapes: n paths, T steps, T·n rows; row t of [T+1, n] belongs to the step x_t → x_{t−1}, row 0 to x_0.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..checks import count, positive
from ..policies import TunablePolicy, log_ratio, record
from ..rewards import Reward
from .loop import Step, Training, floored, minibatches
from .values import ValueNetwork


def loss(new: Tensor, old: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    """The clipped surrogate, negated: log p_θ, log p_old (both up to the same constant) and A_t, all [B] → a scalar."""
    ratio = (new - old).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def advantages(values: Tensor, log_ratios: Tensor, *, lam: float) -> Tensor:
    """A_t = Σ_{s≤t} λ^{t−s} (v_{s−1} − log-ratio_s − v_s): [T+1, n], with v_0 = r/α in row 0 of `values`."""
    advantage = torch.zeros_like(values)
    for t in range(1, len(values)):
        advantage[t] = values[t - 1] - log_ratios[t] - values[t] + lam * advantage[t - 1]
    return advantage


def leave_one_out(ahead: Tensor) -> Tensor:
    """Return to go minus its mean over the other paths: [T+1, n] → [T+1, n]."""
    return ahead - (ahead.sum(1, keepdim=True) - ahead) / (ahead.shape[1] - 1)


def standardised(advantage: Tensor) -> Tensor:
    """Mean 0 and spread 1."""
    return (advantage - advantage.mean()) / advantage.std().clamp_min(1e-8)


def fine_tune(
    policy: TunablePolicy,
    reward: Reward,
    *,
    alpha: float,
    generator: torch.Generator,
    iterations: int = 75,
    n: int = 256,
    epochs: int = 2,
    parts: int = 3,
    clip: float = 0.1,
    lam: float = 0.99,
    baseline: bool | ValueNetwork | None = None,
    learning_rate: float | None = None,
) -> Iterator[Step]:
    """Each iteration: n paths, then `epochs` passes over their T·n steps in `parts` minibatches.

    baseline: learn v_t for the advantage (points only), in a network of yours if you pass one; without it the mean over
    the other paths stands in (leave one out). None: with it for points, without it for images. learning_rate: None is
    `loop.RATE` times `policy.pace`.
    Step.extra["clipped"]: share of ratios outside 1 ± clip, over the last pass.
    """
    epochs, parts = count("epochs", epochs), count("parts", parts)
    clip, lam = positive("clip", clip), positive("lam", lam)
    baseline = len(policy.shape) == 1 if baseline is None else baseline
    critic = ValueNetwork(policy, generator=generator) if baseline is True else baseline or None
    helpers = [critic] if critic else []
    plan: dict[str, Any] = dict(alpha=alpha, n=n, iterations=iterations, learning_rate=learning_rate)
    training = Training(policy, reward, generator=generator, helpers=helpers, **plan)
    for _ in training:
        path = record(policy, training.n, generator=generator)
        r = floored(training.rewards(path.x_0).detach())
        x, t, _ = path.steps()
        ratios, z = path.log_ratio(), path.z[1:].flatten(0, 1)
        old = ratios[1:].reshape(-1)
        with torch.no_grad():
            if critic:
                critic.adapt(r)
                values = critic.along(path, r)
                advantage = advantages(values, ratios, lam=lam)
                returns = (advantage + values)[1:].reshape(-1)
            else:
                advantage = leave_one_out(r - ratios.cumsum(0))
        advantage = standardised(advantage[1:]).reshape(-1)
        for _ in range(epochs):
            clipped = total = 0.0
            for rows in minibatches(len(x), parts, generator):
                new = log_ratio(policy.shift(x[rows], t[rows]), z[rows])
                objective = loss(new, old[rows], advantage[rows], clip=clip)
                if critic:
                    missed = (critic(x[rows], t[rows]) - returns[rows]) / critic.scale
                    training.descend(objective + missed.square().mean() / 2)
                else:
                    training.descend(objective)
                total += objective.item() / parts
                clipped += ((new - old[rows]).exp() - 1).abs().gt(clip).float().mean().item() / parts
        yield training.step(total, r, path.kl(), clipped=clipped)
