"""One shipped policy for each reward of the digits: what it makes of the pretrained model's noise, and where it stands
against the bank's frontier.

A function from a reward's name to arrays, functions from arrays to figures, and a menu. Images are [n, 1, 8, 8].
"""

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots, worlds
from ...exact import Frontier
from ...metrics import (
    Pairs,
    Standing,
    class_entropy,
    class_entropy_error,
    mean_distance,
    mean_distance_error,
    sorted_pairs,
    standing,
    standings_table,
)
from ...metrics.pairs import SIDE
from ...plots import show_standings
from ...policies import record, rollout
from ...rewards import query
from ...widgets import choice, moving_image, together, words
from ...worlds import World, described, digits_bank, digits_rewards, pretrained_standing

PATHS, SEED = 144, 0  # of each tuned policy
INKS = ("#b0413e", "#7a4fa3", "#1aa3a3", "#8a6d00", "#d36fa5")  # of the rewards, in their order


@dataclass(frozen=True)
class Result:
    """A reward's world and frontier, the tuned policy's digits x_0 [PATHS, …], the standing of both policies and of the
    optimum, and `gained`: the share of J* − J_pre that the tuned policy attains, with its standard error."""

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
    return Result(world, frontier, path.x_0, before, after, optimal_standing(world, frontier), share)


def optimal_standing(world: World, frontier: Frontier) -> Standing:
    """Of the bank, re-weighted to the optimum; how far apart two digits are, from 512 draws of its images."""
    bank, images, best = digits_rewards(), digits_bank(), frontier.at(world.alpha)
    with torch.no_grad():
        weights = (query(world.reward, images).double() / world.alpha).softmax(0)
    drawn = images[torch.multinomial(weights, 512, replacement=True, generator=_noise())]
    labels, shares = bank["label"], frontier.weights(world.alpha)
    return Standing(
        *(best.reward, best.reward_se, best.kl, best.kl_se),
        *(class_entropy(labels, shares), class_entropy_error(labels, shares)),
        *(mean_distance(drawn), mean_distance_error(drawn)),
        *frontier.mean(bank["nearest"].float(), world.alpha),
    )


def _noise() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


@functools.cache
def pretrained_digits() -> Tensor:
    """What the pretrained model makes of the same noise: [PATHS, 1, 8, 8]."""
    return rollout(worlds.digits().pretrained, PATHS, generator=_noise()).x_0


def show_tastes(found: Mapping[str, Result], *, side: int = 4) -> Figure:
    """The same noise, pretrained and tuned for each reward: side² digits each, the same place on every wall."""
    figure, axes = plt.subplots(1, 1 + len(found), figsize=(2.1 * (1 + len(found)), 2.5))
    plots.show_wall(axes[0], pretrained_digits()[: side**2], columns=side, title="pretrained")
    for ax, (name, here) in zip(axes[1:], found.items(), strict=True):
        plots.show_wall(ax, here.x_0[: side**2], columns=side, title=name.replace("_", " "))
    return figure


def show_frontiers(found: Mapping[str, Result]) -> Figure:
    """Every policy against its frontier, and the shares of J* − J_pre."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    for ax, (name, here) in zip(axes.flat, found.items(), strict=False):
        points = {"pretrained": here.before, "tuned": here.after}
        show_standings(ax, here.frontier, points, alpha=here.world.alpha, title=name.replace("_", " "))
    show_gains(axes.flat[-1], found)
    return figure


def show_gains(ax: Axes, found: Mapping[str, Result]) -> None:
    """A bar for each reward: the share of J* − J_pre, ± 2 standard errors."""
    shares, errors = zip(*(here.gained for here in found.values()), strict=True)
    names = [f"{name.replace('_', ' ')}\n{share:.0%}" for name, share in zip(found, shares, strict=True)]
    ax.barh(names, shares, xerr=[2 * error for error in errors], color=plots.TUNED, alpha=0.8)
    ax.axvline(1, color=plots.TARGET, linestyle="--")
    ax.set(xlabel="share of J* − J_pre, ± 2 s.e.", title="How much of the gain is attained", xlim=(0, 1.15))
    ax.invert_yaxis()


def show_variety(found: Mapping[str, Result]) -> Figure:
    """The three numbers of variety for each reward, ± 2 standard errors: pretrained, tuned, and at the optimum."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")
    roles = {
        "pretrained": (plots.PRETRAINED, [here.before for here in found.values()]),
        "tuned": (plots.TUNED, [here.after for here in found.values()]),
        "optimum": (plots.TARGET, [here.optimum for here in found.values()]),
    }
    for offset, (role, (color, standings)) in zip((-0.27, 0, 0.27), roles.items(), strict=True):
        values = np.array([(s.classes, s.apart, s.nearest) for s in standings])
        errors = np.array([(s.classes_se, s.apart_se, s.nearest_se) for s in standings])
        for ax, column, error in zip(axes, values.T, errors.T, strict=True):
            ax.bar(np.arange(len(found)) + offset, column, 0.25, yerr=2 * error, color=color, label=role)
    names = [name.replace("_", "\n") for name in found]
    titles = ("Entropy of the classes (nats)", "Distance between two digits", "Distance to the data's nearest digit")
    for ax, title in zip(axes, titles, strict=True):
        ax.set(title=title)
        ax.set_xticks(range(len(found)), names, fontsize=8)
    axes[0].legend(ncols=3, fontsize=8)
    axes[0].set(ylim=(0, 2.9), ylabel="± 2 s.e.")
    return figure


def show(here: Result) -> Figure:
    """Pairs before and after from the same noise, sorted by the reward before, and the point against the frontier."""
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.15], layout="constrained")
    walls = here.walls
    plots.show_wall(axes[0], walls.before, columns=SIDE, title="pretrained")
    plots.show_wall(axes[1], walls.after, columns=SIDE, title="tuned, from the same noise")
    points = {"pretrained": here.before, "tuned": here.after}
    rise, error = here.rise
    title = f"reward up by {rise:.2f} ± {error:.2f} std"
    show_standings(axes[2], here.frontier, points, alpha=here.world.alpha, title=title)
    return figure


def table(here: Result) -> str:
    """Reward, KL and variety of both policies, and of the bank re-weighted to the optimum."""
    share, error = here.gained
    found = {"pretrained": here.before, "tuned": here.after, "optimum": here.optimum}
    rows = standings_table(found, here.frontier, here.world.alpha)
    return f"{rows}\nα = {here.world.alpha:g}; from log-ratios, quieter: {share:.0%} ± {error:.0%} of J* − J_pre."


@functools.cache
def frame(reward: str) -> bytes:
    """The picture of one reward, as a JPEG."""
    figure, buffer = show(result(reward)), io.BytesIO()
    figure.savefig(buffer, format="jpeg", pil_kwargs=dict(quality=90, subsampling=0))
    plt.close(figure)
    return buffer.getvalue()


def explore() -> ui.VBox:
    """A menu over the rewards: walls, point, and the numbers of variety."""
    names = list(worlds.digits().rewards)
    figure = show(result(names[0]))
    plt.close(figure)
    image, text = moving_image(figure, "tastes"), words()

    def respond(reward: str) -> None:
        image.value, text.value = frame(reward), f"<pre>{table(result(reward))}</pre>"

    return together([choice("reward", names)], respond, image, text)
