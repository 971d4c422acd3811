r"""Soft PPO as it should not be used (§6.3): on paths that another policy drew.

    ratio_t = p_θ/p_old,  p_old of the policy that drew the path (recorded), or p_θ's own before the update

Shapes: x_t [B, D]; row t of [T+1, n] belongs to the step x_t → x_{t−1}.
"""

from collections.abc import Iterator
from typing import Any

import torch

from ...algorithms import Step, Training, ValueNetwork, minibatches, path_kl, soft_ppo
from ...checks import count
from ...policies import Policy, SteeredPolicy, Trajectory, log_ratio, rollout
from ...rewards import Reward

ITERATIONS, PATHS = 15, 128  # of each training


def foreign_ppo(
    policy: SteeredPolicy,
    reward: Reward,
    *,
    alpha: float,
    generator: torch.Generator,
    off_policy: float,
    recorded: bool = True,
    behaviour: Policy | None = None,
    iterations: int = ITERATIONS,
    n: int = PATHS,
    clip: float = 0.1,
) -> Iterator[Step]:
    """Soft PPO as it should not be used: a share `off_policy` of its paths is by `behaviour` (p_pre unless given).

    recorded: a path's p_old is the policy that drew it, as a rollout writes it down; else all count as p_θ's own.
    """
    n = count("n", n, least=2)
    if not 0 <= off_policy <= 1:
        raise ValueError(f"off_policy must lie in [0, 1], got {off_policy!r}")
    critic, others, sampler = ValueNetwork(policy, generator=generator), round(off_policy * n), behaviour
    sampler = policy.pretrained if sampler is None else sampler
    plan: dict[str, Any] = dict(alpha=alpha, n=n, iterations=iterations, learning_rate=4e-3)
    training = Training(policy, reward, generator=generator, helpers=[critic], **plan)
    foreign = (torch.arange(n) >= n - others).repeat(policy.schedule.T).unsqueeze(1)
    for _ in training:
        drawn = [rollout(p, m, generator=generator).x for p, m in ((policy, n - others), (sampler, others)) if m]
        path = Trajectory(torch.cat(drawn, 1))
        r, (x, t, x_next) = training.rewards(path.x_0), path.steps()
        critic.adapt(r)
        with torch.no_grad():
            rho, sigma = policy.pretrained.mean(x, t), policy.schedule.at("sigma", t, x)
            z, theirs = (x_next - rho) / sigma, (sampler.mean(x, t) - rho) / sigma
            old = log_ratio(torch.where(foreign, theirs, policy.shift(x, t)) if recorded else policy.shift(x, t), z)
            values = path.by_step(critic(x, t))
            values[0] = r
            advantage = soft_ppo.advantages(values, path.by_step(old), lam=0.99)
            returns, kl = (advantage + values)[1:].reshape(-1), path_kl(policy, path)
        advantage = soft_ppo.standardised(advantage[1:].reshape(-1))
        for rows in minibatches(len(x), 3, generator):
            new = log_ratio(policy.shift(x[rows], t[rows]), z[rows])
            objective = soft_ppo.loss(new, old[rows], advantage[rows], clip=clip)
            missed = (critic(x[rows], t[rows]) - returns[rows]) / critic.scale
            training.descend(objective + missed.square().mean() / 2)
        yield training.step(objective.item(), r, kl)
