"""Figures of the digits: what each reward likes, where policies stand, how varied they are, a gallery of failures.

Images are [n, 1, 8, 8] in [−1, 1].
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots
from .study import QUANTILES, Range, Result, pretrained_digits, warning_signs

INKS = (plots.ALARM, *plots.OTHERS)  # of the rewards, in their order
FAILED = (plots.ALARM, plots.OTHERS[0], plots.OTHERS[2])


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
        plots.show_standings(ax, here.frontier, points, alpha=here.world.alpha, title=name.replace("_", " "))
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


def show_ranges(found: Mapping[str, Range]) -> Figure:
    """Each reward's histogram, above it the images at its QUANTILES."""
    figure, axes = plt.subplots(len(found), 1, figsize=(7, 1.75 * len(found)), squeeze=False)
    for ax, (name, here) in zip(axes[:, 0], found.items(), strict=True):
        tallest = ax.hist(here.values.numpy(), bins=60, color=plots.REWARD, alpha=0.7)[0].max()
        ax.set(ylim=(0, 2.5 * tallest), yticks=[], title=name.replace("_", " "))
        ax.spines["left"].set_visible(False)
        for place, share in enumerate(QUANTILES):
            frame = ax.inset_axes((0.02 + 0.14 * place, 0.56, 0.12, 0.44))
            plots.show_wall(frame, here.images[place : place + 1], columns=1)
            frame.annotate(f"{share:.0%}", (0.5, 0), (0, -2), "axes fraction", "offset points", ha="center", va="top")
    return figure


def show_gallery(walls: Mapping[str, Tensor], usual: Tensor) -> Figure:
    """A wall for each name, its images [n, 1, 8, 8], and their warning signs beside the usual ones [batches, 2]. What
    follows a colon in a name stands above the wall alone; in the last panel those within the usual are blue."""
    figure, axes = plt.subplots(
        1, len(walls) + 1, figsize=(3 * len(walls) + 3.6, 3.3), width_ratios=[1] * len(walls) + [1.2]
    )
    ax, failed, healthy = axes[-1], iter(FAILED), 0
    least, most = float(usual[:, 0].min()), float(usual[:, 1].max())
    ax.plot(*usual.T, ".", color=plots.PRETRAINED, alpha=0.3)
    ax.axvline(least, color=plots.PRETRAINED, linestyle="--", linewidth=1)
    ax.axhline(most, color=plots.PRETRAINED, linestyle="--", linewidth=1)
    for picture, (name, images) in zip(axes, walls.items(), strict=False):
        plots.show_wall(picture, images, columns=round(len(images) ** 0.5), title=name)
        entropy, nearest = warning_signs(images)
        usually = entropy >= least and nearest <= most
        color = plots.TUNED if usually else next(failed)
        ax.plot(entropy, nearest, "o", color=color, markersize=8)
        place, side = ((0, 11 + 13 * healthy), "right") if entropy >= least else ((7, 7), "left")
        healthy += usually
        short = name.partition(":")[0]
        ax.annotate(short, (entropy, nearest), place, textcoords="offset points", ha=side, color=color)
    ax.set(xlabel="entropy of the classes (nats)", ylabel="distance to the nearest digit", yscale="log", ylim=(1.8, 40))
    ax.set(title="Dashed: where pretrained digits end", yticks=[2, 5, 10, 20], yticklabels=[2, 5, 10, 20])
    ax.minorticks_off()
    return figure
