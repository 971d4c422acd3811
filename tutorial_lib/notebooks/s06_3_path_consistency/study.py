r"""Path consistency and PPO on the same paths (§6.3): α and the share of paths that p_pre drew.

    an iteration's n paths:  (1 − share)·n by p_θ,  share·n by p_pre,  for path consistency and for PPO alike

`foreign_ppo` is soft PPO on paths that another policy drew; `scene` tunes by both methods at every setting, once.
Shapes: x_0 [B, 2]; n paths, T steps, T·n rows.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ...algorithms import Step, Training, ValueNetwork, minibatches, path_consistency, path_kl, run, soft_ppo
from ...checks import count
from ...exact import GaussianOptimum, TiltedDensity
from ...metrics import quiet_objective
from ...policies import Policy, SteeredPolicy, Trajectory, log_ratio, rollout
from ...rewards import Reward
from ...worlds import World

ALPHAS, SHARES = (0.2, 0.5, 2.0), (0.0, 0.5, 1.0)
CONSISTENCY, PPO = METHODS = ("path consistency", "PPO")
PARTICLES, CLIP = 400, 0.1
ITERATIONS, PATHS = 15, 128  # of each training in a scene


@dataclass(frozen=True)
class Steps:
    """Every step of n paths, T·n rows: x_t, t, z = (x_{t−1} − ρ)/σ_t, log p_old/p_pre, the advantage and the return."""

    x: Tensor
    t: Tensor
    z: Tensor
    old: Tensor
    advantage: Tensor
    returns: Tensor


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
) -> Iterator[Step]:
    """Soft PPO as it should not be used: a share `off_policy` of its paths is by `behaviour` (p_pre unless given).

    recorded: a path's p_old is the policy that drew it, as a rollout writes it down; else all count as p_θ's own.
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
            objective, missed = losses(policy, critic, steps, rows)
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
    if sampler is not None:
        u = torch.where(foreign.repeat(path.T).unsqueeze(1), (sampler.mean(x, t) - rho) / sigma, u)
    z = (x_next - rho) / sigma
    old, values = log_ratio(u, z), critic.along(path, r)
    advantage = soft_ppo.advantages(values, path.by_step(old), lam=0.99)
    returns = (advantage + values)[1:].reshape(-1)
    return Steps(x, t, z, old, soft_ppo.standardised(advantage[1:].reshape(-1)), returns)


def losses(policy: SteeredPolicy, critic: ValueNetwork, steps: Steps, rows: Tensor) -> tuple[Tensor, Tensor]:
    """PPO's clipped surrogate and the critic's error, of a minibatch of rows."""
    x, t = steps.x[rows], steps.t[rows]
    new = log_ratio(policy.shift(x, t), steps.z[rows])
    missed = (critic(x, t) - steps.returns[rows]) / critic.scale
    return soft_ppo.loss(new, steps.old[rows], steps.advantage[rows], clip=CLIP), missed.square().mean() / 2


@dataclass(frozen=True)
class Tuned:
    """What one training came to: samples x_0 [PARTICLES, 2], and the regret with its standard error."""

    x_0: Tensor
    regret: float
    regret_se: float


@dataclass(frozen=True, eq=False)
class Scene:
    """Every tuned policy by (method, α, share); the exact target's masses [n, n] and the family gap by α."""

    extent: float
    shares: Sequence[float]
    targets: Mapping[float, Tensor]
    family_gaps: Mapping[float, float]
    tuned: Mapping[tuple[str, float, float], Tuned]


def scene(
    world: World,
    *,
    alphas: Sequence[float] = ALPHAS,
    shares: Sequence[float] = SHARES,
    iterations: int = ITERATIONS,
    n: int = PATHS,
    progress: bool = False,
) -> Scene:
    """Tune by both methods at every α and share: as many paths, the same seed and the same first weights."""
    if world.extent is None:
        raise ValueError(f"expected a world of points, got {world.name}")
    tilted = TiltedDensity(world.pretrained, world.reward, extent=world.extent)
    best = {a: GaussianOptimum(world.pretrained, world.reward, alpha=a, extent=world.extent, grid=81) for a in alphas}
    settings = [(method, a, share) for a in alphas for share in shares for method in METHODS]
    tuned = {}
    for method, alpha, share in tqdm(settings, disable=not progress):
        fine_tune: Callable[..., Iterator[Step]] = path_consistency.fine_tune if method == CONSISTENCY else foreign_ppo
        policy, g = SteeredPolicy(world.pretrained), torch.Generator().manual_seed(0)
        run(fine_tune(policy, world.reward, alpha=alpha, generator=g, iterations=iterations, n=n, off_policy=share))
        tuned[method, alpha, share] = examine(policy, dataclasses.replace(world, alpha=alpha), best[alpha])
    gaps = {alpha: found.family_gap for alpha, found in best.items()}
    return Scene(world.extent, shares, {alpha: tilted.at(alpha).mass for alpha in alphas}, gaps, tuned)


def examine(policy: Policy, world: World, best: GaussianOptimum) -> Tuned:
    """Samples, from the same noise for every policy, and regret."""
    noise = torch.Generator().manual_seed(1)
    J, se = quiet_objective(policy, world.reward, alpha=world.alpha, n=2000, generator=noise)
    x_0 = rollout(policy, PARTICLES, generator=torch.Generator().manual_seed(2)).x_0
    return Tuned(x_0, best.soft.share(best.soft.optimum - J), best.soft.share(se))
