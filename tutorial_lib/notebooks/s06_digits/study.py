"""One shipped policy for each reward of the digits: what it makes of the pretrained model's noise, and where it stands
against the bank's frontier; and two detectors of failure. Images are [n, 1, 8, 8].
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ... import assets, worlds
from ...denoisers.lora import LowRank
from ...exact import Frontier
from ...metrics import Pairs, Standing, class_entropy, sorted_pairs, standing, standings_table
from ...metrics.pairs import SIDE
from ...policies import record, rollout
from ...recipes import digits_ways
from ...rewards import Reward, query
from ...worlds import World, described, digits_bank, digits_rewards, optimal_standing, pretrained_standing

PATHS, SEED = 144, 0  # of each tuned policy
REWARDS = ("ink", "symmetry", "compressed_size", "log_probability", "few_labels")
QUANTILES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True)
class Result:
    """A reward's name, world and frontier, the tuned policy's digits x_0 [PATHS, …], the standing of both policies and
    of the optimum, and `gained`: the share of J* − J_pre that the tuned policy attains, with its standard error."""

    name: str
    world: World
    frontier: Frontier
    x_0: Tensor
    before: Standing
    after: Standing
    optimum: Standing
    gained: tuple[float, float]

    @property
    def rise(self) -> tuple[float, float]:
        """How far the reward rose, and its standard error, in pretrained standard deviations."""
        std = float(self.frontier.rewards.std())
        return (self.after.reward - self.before.reward) / std, self.after.reward_se / std

    @property
    def walls(self) -> Pairs:
        """The first SIDE² paths before and after, sorted by the reward before."""
        return sorted_pairs(pretrained_digits()[: SIDE**2], self.x_0[: SIDE**2], self.world.reward)


@functools.cache
def result(reward: str) -> Result:
    """What the policy that is shipped for a reward of `worlds.digits` makes of PATHS paths."""
    world, policy = worlds.digits().with_reward(reward), worlds.shipped.digits_at_one_alpha(reward)
    path, frontier = record(policy, PATHS, generator=_noise()), Frontier(digits_rewards()[reward])
    with torch.no_grad():
        r = query(world.reward, path.x_0)
    J = r - world.alpha * path.log_ratio().sum(0)  # quieter than r − α Σ KL_t, and of the same mean
    before, gain = pretrained_standing(reward), frontier.at(world.alpha).objective - float(frontier.rewards.mean())
    share = (float(J.mean()) - before.reward) / gain, float(J.std()) / len(J) ** 0.5 / gain
    after = standing(path.x_0, r, path.kl(), described)
    return Result(reward, world, frontier, path.x_0, before, after, optimal_standing(reward, world.alpha), share)


def _noise() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


@functools.cache
def pretrained_digits() -> Tensor:
    """What the pretrained model makes of the same noise: [PATHS, 1, 8, 8]."""
    return rollout(worlds.digits().pretrained, PATHS, generator=_noise()).x_0


def table(here: Result) -> str:
    """Reward, KL and variety of both policies, and of the bank re-weighted to the optimum."""
    share, error = here.gained
    found = {"pretrained": here.before, "tuned": here.after, "optimum": here.optimum}
    rows = standings_table(found, here.frontier, here.world.alpha)
    return f"{rows}\nα = {here.world.alpha:g}; from log-ratios, quieter: {share:.0%} ± {error:.0%} of J* − J_pre."


def warning_signs(images: Tensor) -> tuple[float, float]:
    """Two detectors of failure on digits [n, 1, 8, 8]: the classes' entropy, low where modes are lost, and the mean
    distance to the data's nearest digit, large where a reward is hacked."""
    seen = described(images)
    return class_entropy(seen["label"]), float(seen["nearest"].mean())


def usual_signs(n: int, *, batches: int = 200) -> Tensor:
    """The `warning_signs` of batches of n pretrained digits, [batches, 2]: what healthy samples of that size show."""
    return torch.tensor([warning_signs(images) for images in digits_bank()[: n * batches].split(n)])


def factored(layer: LowRank, x: Tensor) -> Tensor:
    """An adapter's layer as W x + s B (A x), where W + s B A is never made: the same output as its `forward`."""
    scaled, A, B = layer.layer(x), layer.A, layer.scale * layer.B
    if isinstance(layer.layer, nn.Conv2d):
        thin = nn.functional.conv2d(x, A.view(-1, *layer.layer.weight.shape[1:]), padding=layer.layer.padding)
        return scaled + nn.functional.conv2d(thin, B[:, :, None, None])
    return scaled + x @ A.T @ B.T


def ways() -> dict[str, Tensor]:
    """Regret of a few iterations by each way to tune, five seeds, as `recipes.digits_ways` has stored it."""
    return assets.load(digits_ways.NAME)


@dataclass(frozen=True)
class Range:
    """A reward over a sample: its values [n], and the images at QUANTILES, [len(QUANTILES), 1, 8, 8]."""

    values: Tensor
    images: Tensor


def ranges(images: Tensor, rewards: Mapping[str, Reward]) -> dict[str, Range]:
    """Each reward over the images [n, …]."""
    found = {}
    for name, reward in rewards.items():
        with torch.no_grad():
            values = query(reward, images)
        order = values.argsort()
        found[name] = Range(values, images[order[[round(q * (len(order) - 1)) for q in QUANTILES]]])
    return found
