r"""What reward-weighted MLE (§6.1) has to learn from: α against the effective sample size, and what that costs.

    w_i ∝ exp(r(x_i)/α),  x_i ~ p_pre;   ESS = 1/Σ w_i² → n Z(α)²/Z(α/2),   Z(α) = E_pre[exp(r/α)]

A `Scene` holds what no setting changes; `answer` maps settings to arrays; `contest` trains both forms at several α.
Shapes: B, n, N samples of p_pre; m grid cells a side.
"""

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ... import worlds
from ...algorithms import run
from ...algorithms.reward_weighted_mle import fine_tune, share_of_samples
from ...checks import positive
from ...exact import SoftValues, Tilt, TiltedDensity
from ...metrics import quiet_objective
from ...policies import Policy, SteeredPolicy, rollout
from ...rewards import Reward, peak, query

ALPHAS, SIZES = (0.05, 5.0), (100, 500, 2500)
REWARDS = {"a peak on the ring": peak((2.0, 0.5)), "a peak beyond the ring": peak((3.0, 1.0))}
BLUR = 0.15
OFFLINE, ONLINE, LIMIT = "offline", "online", "endless samples"


def exact_share(tilted: TiltedDensity, alpha: float) -> float:
    """Z(α)²/Z(α/2): the share of n that ESS tends to, from J* = α log Z at α and at α/2."""
    return math.exp(2 / positive("alpha", alpha) * (tilted.at(alpha).objective - tilted.at(alpha / 2).objective))


@dataclass(frozen=True, eq=False)
class Scene:
    """One reward on Ring: samples x_0 [N, 2] of p_pre and their rewards [N]; the exact share at alphas [M]; and each
    sample's blurred indicator along both axes, [2, m, N]."""

    tilted: TiltedDensity
    x_0: Tensor
    rewards: Tensor
    alphas: Tensor
    shares: Tensor
    bumps: Tensor


@functools.lru_cache(maxsize=2)
def scene(reward_name: str) -> Scene:
    """The scene of one of REWARDS; ValueError for another."""
    if reward_name not in REWARDS:
        raise ValueError(f"unknown reward {reward_name!r}; known: {', '.join(REWARDS)}")
    world, reward = worlds.ring(T=20), REWARDS[reward_name]
    tilted = TiltedDensity(world.pretrained, reward, extent=5.0, grid=101)
    x_0 = rollout(world.pretrained, SIZES[-1], generator=torch.Generator().manual_seed(0)).x_0
    alphas = torch.logspace(math.log10(ALPHAS[0]), math.log10(ALPHAS[1]), 41)
    shares = torch.tensor([exact_share(tilted, float(alpha)) for alpha in alphas])
    distance = tilted.grid.axis.float()[:, None] - x_0.T[:, None]
    bumps = (-(distance / BLUR).square() / 2).exp() / (BLUR * math.sqrt(2 * math.pi))
    return Scene(tilted, x_0, query(reward, x_0), alphas, shares, bumps)


@dataclass(frozen=True)
class Answer:
    """One setting: weights [n], their effective sample size and n times the exact share; the weighted samples' density,
    blurred [m, m]; their mean reward; and the exact target."""

    alpha: float
    weights: Tensor
    effective: float
    foretold: float
    density: Tensor
    reward: float
    target: Tilt


def answer(scene: Scene, alpha: float, n: int) -> Answer:
    """The first n samples, weighted by exp(r/α)."""
    weights = (scene.rewards[:n] / positive("alpha", alpha)).softmax(0)
    first, second = scene.bumps[:, :, :n]
    return Answer(
        alpha,
        weights,
        n * share_of_samples(weights),
        n * exact_share(scene.tilted, alpha),
        (first * weights) @ second.mT,
        float(weights @ scene.rewards[:n]),
        scene.tilted.at(alpha),
    )


@dataclass(frozen=True)
class Row:
    """One α of a contest: the effective sample size of p_pre's samples, and each form's regret."""

    alpha: float
    effective: float
    regrets: Mapping[str, float]


def contest(
    start: SteeredPolicy,
    reward: Reward,
    limit: Callable[[float], Policy],
    *,
    alphas: Sequence[float],
    extent: float,
    n: int = 64,
    iterations: int = 8,
    progress: bool = False,
) -> list[Row]:
    """Offline and online from the same start with the same n·iterations rewards and updates, at each α.

    limit: α → the policy that endless samples would give. Offline weights are plain, exp(r/α).
    """
    x_0 = rollout(start.pretrained, n * iterations, generator=torch.Generator().manual_seed(0)).x_0
    r, rows = query(reward, x_0), []
    for alpha in tqdm(alphas, disable=not progress):
        soft = SoftValues(start.pretrained, reward, alpha=alpha, extent=extent, grid=81)
        policies: dict[str, Policy] = {LIMIT: limit(alpha)}
        for name, effective in ((OFFLINE, 1e-6), (ONLINE, 0.1)):
            policies[name] = policy = copy.deepcopy(start)
            g = torch.Generator().manual_seed(0)
            options: dict[str, Any] = dict(iterations=iterations, n=n, updates=15, batch=800, effective=effective)
            run(fine_tune(policy, reward, alpha=alpha, generator=g, online=name == ONLINE, **options))
        regrets = {name: regret(soft, reward, tuned) for name, tuned in policies.items()}
        rows.append(Row(alpha, len(r) * share_of_samples((r / alpha).softmax(0)), regrets))
    return rows


def regret(soft: SoftValues, reward: Reward, policy: Policy) -> float:
    """(J* − J)/(J* − J_pre), J from 3000 quiet paths."""
    g = torch.Generator().manual_seed(1)
    J, _ = quiet_objective(policy, reward, alpha=soft.alpha, n=3000, generator=g)
    return soft.share(soft.optimum - J)
