"""Walls of digits: the same noise before and after fine-tuning, what each reward likes, and where a policy stands
against the frontier of the bank.

Functions from policies and rewards to arrays, then from arrays to figures. Images are [n, 1, H, W] in [−1, 1].
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .. import plots
from ..checks import count
from ..digit_data import described, digits_bank, digits_rewards
from ..diversity import class_entropy, class_entropy_error, mean_distance, mean_distance_error
from ..exact import Frontier
from ..metrics import rollout_with_kl
from ..policies import Policy, rollout
from ..rewards import Reward, query

SIDE = 6  # of a wall
QUANTILES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
FAILED = ("#b0413e", "#7a4fa3", "#8a6d00")


@dataclass(frozen=True)
class Walls:
    """What two policies make of the same noise, [n, …] each, the worst `before` first: a place on the walls is a path.

    rewards_before, rewards_after: [n].
    """

    before: Tensor
    after: Tensor
    rewards_before: Tensor
    rewards_after: Tensor


def before_after(pretrained: Policy, tuned: Policy, reward: Reward, *, n: int = SIDE**2, seed: int = 0) -> Walls:
    """n paths of each policy under the same noise, sorted by the reward before."""
    device = pretrained.schedule.sigma.device
    x, y = (
        rollout(policy, count("n", n), generator=torch.Generator(device).manual_seed(seed)).x_0
        for policy in (pretrained, tuned)
    )
    return sorted_walls(x, y, reward)


def sorted_walls(before: Tensor, after: Tensor, reward: Reward) -> Walls:
    """Images [n, …] of the same n paths, sorted by the reward before."""
    with torch.no_grad():
        r, s = query(reward, before), query(reward, after)
    order = r.argsort()
    return Walls(before[order].cpu(), after[order].cpu(), r[order].cpu(), s[order].cpu())


def show_walls(walls: Walls, *, reward: str, method: str = "fine-tuned") -> Figure:
    """The wall before, the wall after, and every path's reward before and after; `reward` is its name."""
    columns = round(len(walls.before) ** 0.5)
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.9), width_ratios=[1, 1, 0.75])
    means = [float(r.mean()) for r in (walls.rewards_before, walls.rewards_after)]
    for ax, images, mean, name in zip(axes, (walls.before, walls.after), means, ("pretrained", method), strict=False):
        plots.show_wall(ax, images, columns=columns, title=f"{name}: mean {reward} {mean:.3g}")
    slopes(axes[2], walls, reward, method)
    return figure


def slopes(ax: Axes, walls: Walls, reward: str, method: str = "fine-tuned") -> None:
    """A line for each path, from its reward before to its reward after."""
    ends = np.stack([walls.rewards_before.numpy(), walls.rewards_after.numpy()])
    ax.plot([0, 1], ends, color=plots.TUNED, alpha=0.25, linewidth=1)
    for side, color in enumerate((plots.PRETRAINED, plots.TUNED)):
        ax.plot(np.full(ends.shape[1], side), ends[side], "o", color=color, markersize=4, alpha=0.6)
    ax.set(xticks=[0, 1], xticklabels=["pretrained", method], xlim=(-0.25, 1.25))
    better = float((walls.rewards_after > walls.rewards_before).float().mean())
    ax.set(ylabel=reward, title=f"Higher in {better:.0%} of paths")


def show_ranges(images: Tensor, rewards: Mapping[str, Reward]) -> Figure:
    """Each reward over the images [n, …]: its histogram, above it the images at its QUANTILES."""
    figure, axes = plt.subplots(len(rewards), 1, figsize=(7, 1.75 * len(rewards)), squeeze=False)
    for ax, (name, reward) in zip(axes[:, 0], rewards.items(), strict=True):
        with torch.no_grad():
            values = query(reward, images)
        order = values.argsort()
        chosen = order[[round(q * (len(order) - 1)) for q in QUANTILES]]
        tallest = ax.hist(values.numpy(), bins=60, color=plots.REWARD, alpha=0.7)[0].max()
        ax.set(ylim=(0, 2.5 * tallest), yticks=[], title=name.replace("_", " "))
        ax.spines["left"].set_visible(False)
        for place, index in enumerate(chosen.tolist()):
            frame = ax.inset_axes((0.02 + 0.14 * place, 0.56, 0.12, 0.44))
            plots.show_wall(frame, images[index : index + 1], columns=1)
            frame.annotate(
                f"{QUANTILES[place]:.0%}", (0.5, 0), (0, -2), "axes fraction", "offset points", ha="center", va="top"
            )
    return figure


@dataclass(frozen=True)
class Standing:
    """What n digits attain, reward and KL (nats), and how varied they are: `classes`, the entropy in nats of the labels
    that the classifier sees; `apart`, E‖x − x′‖; `nearest`, to the data's nearest digit. Each with its standard error.
    """

    reward: float
    reward_se: float
    kl: float
    kl_se: float
    classes: float
    classes_se: float
    apart: float
    apart_se: float
    nearest: float
    nearest_se: float

    def above(self, frontier: Frontier) -> tuple[float, float]:
        """The reward less the frontier's at the same KL, and its standard error: the reward's, the KL's, the bank's."""
        point = frontier.at_kl(max(self.kl, 0.0))  # an estimate of a KL may be negative
        return self.reward - point.reward, math.hypot(self.reward_se, point.alpha * self.kl_se, point.objective_se)

    def share(self, frontier: Frontier, alpha: float) -> tuple[float, float]:
        """(J − J_pre)/(J* − J_pre), one minus the regret, and its standard error if reward and KL are unrelated."""
        before = float(frontier.rewards.mean())
        gain = frontier.at(alpha).objective - before
        return (self.reward - alpha * self.kl - before) / gain, math.hypot(self.reward_se, alpha * self.kl_se) / gain


def standing(x_0: Tensor, r: Tensor, kl: Tensor) -> Standing:
    """Of digits [n, 1, 8, 8]. r, kl: a number for each of them, or for each of m clouds of akin ones, [m]."""
    seen = described(x_0)
    reward, paid, nearest = ((float(v.mean()), float(v.std()) / len(v) ** 0.5) for v in (r, kl, seen["nearest"]))
    classes = class_entropy(seen["label"]), class_entropy_error(seen["label"])
    return Standing(*reward, *paid, *classes, mean_distance(x_0), mean_distance_error(x_0), *nearest)


def policy_standing(policy: Policy, reward: Reward, *, n: int = 256, seed: int = 99) -> Standing:
    """Of n fresh digits of the policy."""
    generator = torch.Generator(policy.schedule.sigma.device).manual_seed(seed)
    path, kl = rollout_with_kl(policy, n, generator=generator)
    with torch.no_grad():
        return standing(path.x_0, query(reward, path.x_0), kl)


def pretrained_standing(reward: str, *, n: int = 1024) -> Standing:
    """Of the bank: the reward of that name from all of it, the variety from n of its digits."""
    rewards = digits_rewards()[reward].float()
    return standing(digits_bank()[: count("n", n, least=3)], rewards, torch.zeros(len(rewards)))


def standings_table(found: Mapping[str, Standing], frontier: Frontier, alpha: float) -> str:
    """A line for each: reward, KL, the share of J* − J_pre at that α, and the three numbers of variety."""
    width = max(map(len, found)) + 2
    rows = [f"{'':{width}}{'reward':>16}  {'KL (nats)':>14}  {'of J* − J_pre':>13}  classes  apart  nearest"]
    for name, s in found.items():
        share, error = s.share(frontier, alpha)  # + 0.0 below: no −0 %
        rows.append(
            f"{name:{width}}{s.reward:8.3f} ± {s.reward_se:.3f}  {s.kl:6.2f} ± {s.kl_se:.3f}"
            f"  {round(share, 2) + 0.0:6.0%} ± {error:4.0%}  {s.classes:7.2f}  {s.apart:5.2f}  {s.nearest:7.2f}"
        )
    return "\n".join(rows)


def show_standings(
    ax: Axes, frontier: Frontier, found: Mapping[str, Standing], *, alpha: float, title: str = ""
) -> None:
    """The bank's frontier, the optimum at α, and a point for each, all with ± 2 standard errors."""
    best, lowest = frontier.at(alpha), min(s.reward for s in found.values())
    furthest = 1.15 * max(best.kl, *(s.kl for s in found.values()))
    curve = [p for p in frontier.curve(alpha * torch.logspace(2, -5, 240)) if p.kl <= furthest and p.trusted]
    kl, top = [point.kl for point in curve], np.array([point.reward for point in curve])
    error = 2 * np.array([point.objective_se for point in curve])
    plots.frontier(ax, kl, list(top), title=title, exact=False)
    ax.fill_between(kl, top - error, top + error, color=plots.TARGET, alpha=0.3, linewidth=0)
    ax.plot(best.kl, best.reward, "*", color=plots.TARGET, markersize=12)
    ax.annotate(
        f"optimum at α = {alpha:g}",
        (best.kl, best.reward),
        (0, 9),
        textcoords="offset points",
        ha="right",
        color=plots.TARGET,
    )
    ax.set(xlabel="KL (nats), ± 2 s.e.", ylabel="reward, ± 2 s.e.")
    for name, s in found.items():
        color = plots.TUNED if s.kl > 0 else plots.PRETRAINED
        ax.errorbar(s.kl, s.reward, 2 * s.reward_se, 2 * s.kl_se, fmt="o", color=color, capsize=2, zorder=4)
        ax.annotate(name, (s.kl, s.reward), (8, -4), textcoords="offset points", va="top", color=color)
    ax.set_ylim(bottom=lowest - 0.15 * (max(top) - lowest))


def warning_signs(images: Tensor) -> tuple[float, float]:
    """Two detectors of failure on digits [n, 1, 8, 8]: the classes' entropy, low where modes are lost, and the mean
    distance to the data's nearest digit, large where a reward is hacked."""
    seen = described(images)
    return class_entropy(seen["label"]), float(seen["nearest"].mean())


def usual_signs(n: int, *, batches: int = 200) -> Tensor:
    """The `warning_signs` of batches of n pretrained digits, [batches, 2]: what healthy samples of that size show."""
    return torch.tensor([warning_signs(images) for images in digits_bank()[: n * batches].split(n)])


def show_gallery(walls: Mapping[str, Tensor], usual: Tensor) -> Figure:
    """A wall for each name, its images [n, 1, 8, 8], and their warning signs beside the usual ones [batches, 2]. What
    follows a colon in a name stands above the wall alone."""
    figure, axes = plt.subplots(
        1, len(walls) + 1, figsize=(3 * len(walls) + 3.6, 3.3), width_ratios=[1] * len(walls) + [1.2]
    )
    colors = (plots.TUNED, *FAILED)
    ax = axes[-1]
    ax.plot(*usual.T, ".", color=plots.PRETRAINED, alpha=0.3)
    ax.axvline(float(usual[:, 0].min()), color=plots.PRETRAINED, linestyle="--", linewidth=1)
    ax.axhline(float(usual[:, 1].max()), color=plots.PRETRAINED, linestyle="--", linewidth=1)
    for picture, (name, images), color in zip(axes, walls.items(), colors, strict=False):
        plots.show_wall(picture, images, columns=round(len(images) ** 0.5), title=name)
        entropy, nearest = warning_signs(images)
        ax.plot(entropy, nearest, "o", color=color, markersize=8)
        place, side = ((7, 7), "left") if entropy < float(usual[:, 0].min()) else ((0, 11), "right")
        short = name.partition(":")[0]
        ax.annotate(short, (entropy, nearest), place, textcoords="offset points", ha=side, color=color)
    ax.set(xlabel="entropy of the classes (nats)", ylabel="distance to the nearest digit", yscale="log", ylim=(1.8, 40))
    ax.set(title="Dashed: where pretrained digits end", yticks=[2, 5, 10, 20], yticklabels=[2, 5, 10, 20])
    ax.minorticks_off()
    return figure
