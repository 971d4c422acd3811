r"""Path consistency and PPO on paths that p_pre drew (§6.3), at several α.

    an iteration's n paths:  (1 − share)·n by p_θ,  share·n by p_pre,  for path consistency and for PPO alike

A `Scene` holds the policy of every setting, tuned once. Shapes: x_0 [B, 2].
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ...algorithms import Step, path_consistency, run
from ...exact import GaussianOptimum, TiltedDensity
from ...metrics import quiet_objective
from ...policies import Policy, SteeredPolicy, rollout
from ...worlds import World
from .foreign_study import ITERATIONS, PATHS, foreign_ppo

ALPHAS, SHARES = (0.2, 0.5, 2.0), (0.0, 0.5, 1.0)
METHODS = CONSISTENCY, PPO = "path consistency", "PPO"
PARTICLES = 400


@dataclass(frozen=True)
class Tuned:
    """What one training came to: samples x_0 [PARTICLES, 2], and the regret with its standard error."""

    x_0: Tensor
    regret: float
    regret_se: float


@dataclass(frozen=True, eq=False)
class Scene:
    """Every tuned policy by (method, α, share), the exact target and the family gap by α."""

    world: World
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
    """Tune by both methods at every α and share, with the same number of paths, from the same seed."""
    assert world.extent is not None
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
    return Scene(world, shares, {alpha: tilted.at(alpha).mass for alpha in alphas}, gaps, tuned)


def examine(policy: Policy, world: World, best: GaussianOptimum) -> Tuned:
    """Samples, from the same noise for everyone, and regret."""
    noise = torch.Generator().manual_seed(1)
    J, se = quiet_objective(policy, world.reward, alpha=world.alpha, n=2000, generator=noise)
    x_0 = rollout(policy, PARTICLES, generator=torch.Generator().manual_seed(2)).x_0
    return Tuned(x_0, best.soft.share(best.soft.optimum - J), best.soft.share(se))
