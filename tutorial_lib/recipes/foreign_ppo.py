r"""Soft PPO on paths that another policy drew, as it should not be used (§6.3): the arms of a comparison.

    ratio  p_θ/p_old of a step,    p_old: who drew the path ("recorded"), or p_θ as it was, whoever drew it ("ignored")
    A      from the returns r/α − Σ log p_θ/p_pre of the paths, whoever drew them

With its own paths alone it is `algorithms.soft_ppo`. Shapes: n paths, T steps, T·n rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..algorithms import Step, Training, ValueNetwork, minibatches, path_kl, soft_ppo
from ..checks import count
from ..policies import Policy, SteeredPolicy, Trajectory, log_ratio, rollout
from ..rewards import Reward

CLIP = 0.1


@dataclass(frozen=True)
class Steps:
    """Every step of n paths, T·n rows: x_t, t, z = (x_{t−1} − ρ)/σ_t, log p_old/p_pre, the advantage and the return."""

    x: Tensor
    t: Tensor
    z: Tensor
    old: Tensor
    advantage: Tensor
    returns: Tensor


def fine_tune(
    policy: SteeredPolicy,
    reward: Reward,
    *,
    alpha: float,
    generator: torch.Generator,
    off_policy: float,
    recorded: bool = True,
    clip: float | None = CLIP,
    behaviour: Policy | None = None,
    iterations: int,
    n: int,
) -> Iterator[Step]:
    """A share `off_policy` of the n paths of each iteration is by `behaviour` (p_pre unless given).

    recorded: p_old of a path is the policy that drew it; else p_θ, as if all were its own. clip: None leaves the ratio
    as it is, plain importance weighting of every step.
    """
    n, sampler = count("n", n, least=2), behaviour or policy.pretrained
    critic = ValueNetwork(policy, generator=generator)
    plan: dict[str, Any] = dict(alpha=alpha, n=n, iterations=iterations, learning_rate=4e-3)
    training = Training(policy, reward, generator=generator, helpers=[critic], **plan)
    for _ in training:
        path, foreign = mixed_rollout(policy, sampler, n, off_policy, generator=generator)
        r, kl = training.rewards(path.x_0), path_kl(policy, path)
        critic.adapt(r)
        steps = judged(policy, critic, path, r, foreign, sampler if recorded else None)
        for rows in minibatches(len(steps.t), 3, generator):
            objective, missed = losses(policy, critic, steps, rows, clip)
            training.descend(objective + missed)
        yield training.step(objective.item(), r, kl)


def mixed_rollout(
    policy: Policy, other: Policy, n: int, share: float, *, generator: torch.Generator
) -> tuple[Trajectory, Tensor]:
    """n paths, the last `share` of them drawn by the other policy, and which those are: [n] bool."""
    if not 0 <= share <= 1:
        raise ValueError(f"off_policy must lie in [0, 1], got {share!r}")
    others = round(share * n)
    drawn = [rollout(p, m, generator=generator).x for p, m in ((policy, n - others), (other, others)) if m]
    return Trajectory(torch.cat(drawn, 1)), torch.arange(n) >= n - others


@torch.no_grad()
def judged(
    policy: SteeredPolicy, critic: ValueNetwork, path: Trajectory, r: Tensor, foreign: Tensor, sampler: Policy | None
) -> Steps:
    """What PPO makes of n paths. sampler: p_old of the foreign ones [n]; None: all count as the policy's own."""
    x, t, x_next = path.steps()
    rho, sigma, u = policy.pretrained.mean(x, t), policy.schedule.at("sigma", t, x), policy.shift(x, t)
    z = (x_next - rho) / sigma
    own = old = log_ratio(u, z)
    if sampler is not None:
        old = torch.where(foreign.repeat(path.T), log_ratio((sampler.mean(x, t) - rho) / sigma, z), own)
    values = critic.along(path, r)
    advantage = soft_ppo.advantages(values, path.by_step(own), lam=0.99)
    returns = (advantage + values)[1:].reshape(-1)
    return Steps(x, t, z, old, soft_ppo.standardised(advantage[1:].reshape(-1)), returns)


def losses(
    policy: SteeredPolicy, critic: ValueNetwork, steps: Steps, rows: Tensor, clip: float | None
) -> tuple[Tensor, Tensor]:
    """The surrogate, clipped or not, and the critic's error, of a minibatch of rows."""
    x, t = steps.x[rows], steps.t[rows]
    new, old, advantage = log_ratio(policy.shift(x, t), steps.z[rows]), steps.old[rows], steps.advantage[rows]
    missed = (critic(x, t) - steps.returns[rows]) / critic.scale
    objective = soft_ppo.loss(new, old, advantage, clip=clip) if clip else -((new - old).exp() * advantage).mean()
    return objective, missed.square().mean() / 2
