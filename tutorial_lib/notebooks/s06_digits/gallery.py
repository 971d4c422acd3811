"""Figures of 06_digits: what each reward likes, and a gallery of failures with the two detectors that tell them."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots
from ...metrics import class_entropy
from ...rewards import Reward, query
from ...worlds import described, digits_bank

QUANTILES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
FAILED = ("#b0413e", "#7a4fa3", "#8a6d00")


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
