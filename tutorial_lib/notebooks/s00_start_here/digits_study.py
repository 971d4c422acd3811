r"""What α trades on digits: a bank of samples that is re-weighted, and a tuned policy, live; settings → arrays.

    p_r ∝ p_pre exp(r/α)   beside   p_θ(·; α), tuned once for every α

A `Scene` holds what no setting changes; `answer` maps α to walls of images and to where they stand.
The bank's frontier is of KL(x_0), a tuned policy is told by its KL(path), which is never less.
Images are [n, 1, 8, 8] in [−1, 1].
"""

import functools
import math
from dataclasses import dataclass

import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from ... import worlds
from ...exact import Frontier, FrontierPoint
from ...policies import Policy, glimpse
from ...rewards import Reward, query

SIDE = 6
WALL = SIDE**2
STEPS = 9  # of DDIM, for a live wall
REWARDS = ("ink", "symmetry", "compressed_size", "log_probability", "few_labels")


@dataclass(frozen=True)
class Attained:
    """What a tuned policy was measured to attain, KL(path) in nats and reward, each with its standard error."""

    kl: float
    kl_se: float
    reward: float
    reward_se: float


@dataclass(frozen=True)
class Scene:
    """A bank of pretrained images [N, 1, 8, 8], sorted by one reward, and the frontier of a larger one.

    bank: the images' own rewards. They are kept in bytes, cut to [−1, 1], which is why the frontier is drawn from
    rewards that were taken before (`digits_rewards`): those are of what a policy draws.
    curve: the frontier at many α. pretrained: the live wall before tuning, sorted by its reward; order: the places
    of its noise in that order. measured: the tuned policy's reward and KL at a few α, where one is shipped.
    """

    reward_name: str
    reward: Reward
    images: Tensor
    bank: Frontier
    frontier: Frontier
    curve: list[FrontierPoint]
    pretrained: Tensor
    order: Tensor
    measured: dict[str, Tensor] | None


@dataclass(frozen=True)
class Answer:
    """One α: the re-weighted wall and the optimum's place, and, where a policy is shipped, its live wall and place.

    live: the tuned wall, or the pretrained one. trained_at: the α of the policy, the nearest of its range.
    """

    alpha: float
    wall: Tensor
    best: FrontierPoint
    live: Tensor
    attained: Attained | None
    trained_at: float | None


@functools.lru_cache(maxsize=len(REWARDS))
def scene(reward_name: str) -> Scene:
    """The digits' bank under one of its rewards."""
    world = worlds.make("digits").with_reward(reward_name)
    images = worlds.digits_bank()
    with torch.no_grad():
        rewards = query(world.reward, images)
    order = rewards.argsort()
    frontier = Frontier(worlds.digits_rewards()[reward_name])
    low, high = alpha_range(reward_name)
    curve = frontier.curve(torch.logspace(math.log10(low), math.log10(high), 60))
    live = live_wall(world.pretrained)
    with torch.no_grad():
        places = query(world.reward, live).argsort()
    measured = worlds.shipped.digits_measured(reward_name) if reward_name in worlds.shipped.DIGITS else None
    bank = Frontier(rewards[order])
    return Scene(reward_name, world.reward, images[order], bank, frontier, curve, live[places], places, measured)


@functools.lru_cache(maxsize=len(REWARDS))
def alpha_range(reward_name: str) -> tuple[float, float]:
    """The span of α worth a look, around the one that suits the reward's scale."""
    suits = worlds.make("digits").with_reward(reward_name).alpha
    return suits / 8, 100 * suits


def answer(scene: Scene, alpha: float) -> Answer:
    """Both walls and both places at one α."""
    wall, best = bank_at(scene, alpha)
    if scene.measured is None:
        return Answer(alpha, wall, best, scene.pretrained, None, None)
    return Answer(alpha, wall, best, tuned_at(scene, alpha), tuned_point(scene, alpha), nearest_alpha(scene, alpha))


def bank_at(scene: Scene, alpha: float) -> tuple[Tensor, FrontierPoint]:
    """WALL images drawn from the re-weighted bank, worst reward first, and where α stands on the frontier.

    Systematic resampling along the sorted bank: as α moves, each place on the wall changes its image seldom.
    """
    cdf = scene.bank.weights(alpha).cumsum(0)
    places = (torch.arange(WALL, dtype=cdf.dtype) + 0.5) / WALL * cdf[-1]
    return scene.images[torch.searchsorted(cdf, places)], scene.frontier.at(alpha)


def live_wall(policy: Policy) -> Tensor:
    """WALL images of a policy in STEPS steps, from the same noise every time."""
    return glimpse(policy, WALL, steps=STEPS, generator=torch.Generator().manual_seed(0))


def nearest_alpha(scene: Scene, alpha: float) -> float:
    """α, or the end of the tuned policy's range that is nearest to it."""
    low, high = worlds.shipped.DIGITS[scene.reward_name]
    return min(max(alpha, low), high)


def tuned_at(scene: Scene, alpha: float) -> Tensor:
    """The tuned policy's wall at α; the same noise at every α and in the order of the pretrained rewards."""
    return live_wall(worlds.shipped.digits(scene.reward_name).at(nearest_alpha(scene, alpha)))[scene.order]


def tuned_point(scene: Scene, alpha: float) -> Attained:
    """What was measured, with a smooth curve over log α between."""
    assert scene.measured is not None
    at, known = math.log(nearest_alpha(scene, alpha)), scene.measured["alpha"].log()
    names = ("kl", "kl_se", "reward", "reward_se")
    curve = PchipInterpolator(known, torch.stack([scene.measured[name] for name in names], 1))
    return Attained(**dict(zip(names, curve(at).tolist(), strict=True)))
