"""Walls of digits: one and the same noise before and after fine-tuning, and what each reward likes and dislikes.

Functions from policies and rewards to arrays, then from arrays to figures. Images are [n, 1, H, W] in [−1, 1].
"""

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
from ..policies import Policy, rollout
from ..rewards import Reward, query

SIDE = 6  # of a wall
QUANTILES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


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
    with torch.no_grad():
        r, s = query(reward, x), query(reward, y)
    order = r.argsort()
    return Walls(x[order].cpu(), y[order].cpu(), r[order].cpu(), s[order].cpu())


def show_walls(walls: Walls, *, reward: str, method: str = "fine-tuned") -> Figure:
    """The wall before, the wall after, and every path's reward before and after; `reward` is its name."""
    columns = round(len(walls.before) ** 0.5)
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.9), width_ratios=[1, 1, 0.75])
    means = [float(r.mean()) for r in (walls.rewards_before, walls.rewards_after)]
    for ax, images, mean, name in zip(axes, (walls.before, walls.after), means, ("pretrained", method), strict=False):
        plots.show_wall(ax, images, columns=columns, title=f"{name}: mean {reward} {mean:.3g}")
    slopes(axes[2], walls, reward)
    return figure


def slopes(ax: Axes, walls: Walls, reward: str) -> None:
    """A line for each path, from its reward before to its reward after."""
    ends = np.stack([walls.rewards_before.numpy(), walls.rewards_after.numpy()])
    ax.plot([0, 1], ends, color=plots.TUNED, alpha=0.25, linewidth=1)
    for side, color in enumerate((plots.PRETRAINED, plots.TUNED)):
        ax.plot(np.full(ends.shape[1], side), ends[side], "o", color=color, markersize=4, alpha=0.6)
    ax.set(xticks=[0, 1], xticklabels=["pretrained", "fine-tuned"], xlim=(-0.25, 1.25))
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
