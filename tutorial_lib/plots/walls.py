r"""Pictures of images: walls of them, the same noise before and after fine-tuning, and where policies stand.

Images are [n, 1, H, W] in [−1, 1].
"""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from ..exact import Frontier
from ..metrics import Pairs, Standing
from .maps import PRETRAINED, TARGET, TUNED, frontier


def wall(images: Tensor, *, columns: int) -> np.ndarray:
    """Images [B, 1, H, W] as one picture [rows·(H+1), columns·(W+1)] in [0, 1], white lines between them."""
    images = ((images.detach().cpu()[:, 0] + 1) / 2).clamp(0, 1)
    rows = -(-len(images) // columns)
    tiles = np.ones((rows * columns, images.shape[1] + 1, images.shape[2] + 1))
    tiles[: len(images), :-1, :-1] = 1 - images
    return tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2).reshape(rows * tiles.shape[1], -1)


def show_wall(ax: Axes, images: Tensor, *, columns: int, title: str = "") -> AxesImage:
    """A wall of images, ink on paper."""
    options: dict[str, Any] = dict(cmap="gray", vmin=0, vmax=1, origin="upper", interpolation="nearest")
    picture = ax.imshow(wall(images, columns=columns), **options)
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    return picture


def show_walls(pairs: Pairs, *, reward: str, method: str = "fine-tuned") -> Figure:
    """The wall before, the wall after, and every path's reward before and after; `reward` is its name."""
    columns = round(len(pairs.before) ** 0.5)
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.9), width_ratios=[1, 1, 0.75])
    means = [float(r.mean()) for r in (pairs.rewards_before, pairs.rewards_after)]
    for ax, images, mean, name in zip(axes, (pairs.before, pairs.after), means, ("pretrained", method), strict=False):
        show_wall(ax, images, columns=columns, title=f"{name}: mean {reward} {mean:.3g}")
    slopes(axes[2], pairs, reward, method)
    return figure


def slopes(ax: Axes, pairs: Pairs, reward: str, method: str = "fine-tuned") -> None:
    """A line for each path, from its reward before to its reward after."""
    ends = np.stack([pairs.rewards_before.numpy(), pairs.rewards_after.numpy()])
    ax.plot([0, 1], ends, color=TUNED, alpha=0.25, linewidth=1)
    for side, color in enumerate((PRETRAINED, TUNED)):
        ax.plot(np.full(ends.shape[1], side), ends[side], "o", color=color, markersize=4, alpha=0.6)
    ax.set(xticks=[0, 1], xticklabels=["pretrained", method], xlim=(-0.25, 1.25))
    better = float((pairs.rewards_after > pairs.rewards_before).float().mean())
    ax.set(ylabel=reward, title=f"Higher in {better:.0%} of paths")


def show_standings(
    ax: Axes, best_known: Frontier, found: Mapping[str, Standing], *, alpha: float, title: str = ""
) -> None:
    """The bank's frontier, the optimum at α, and a point for each, all with ± 2 standard errors."""
    best, lowest = best_known.at(alpha), min(s.reward for s in found.values())
    furthest = 1.15 * max(best.kl, *(s.kl for s in found.values()))
    curve = [p for p in best_known.curve(alpha * torch.logspace(2, -5, 240)) if p.kl <= furthest and p.trusted]
    kl, top = [point.kl for point in curve], np.array([point.reward for point in curve])
    error = 2 * np.array([point.objective_se for point in curve])
    frontier(ax, kl, list(top), title=title, exact=False)
    ax.fill_between(kl, top - error, top + error, color=TARGET, alpha=0.3, linewidth=0)
    ax.plot(best.kl, best.reward, "*", color=TARGET, markersize=12)
    ax.annotate(
        f"optimum at α = {alpha:g}",
        (best.kl, best.reward),
        (0, 9),
        textcoords="offset points",
        ha="right",
        color=TARGET,
    )
    ax.set(xlabel="KL (nats), ± 2 s.e.", ylabel="reward, ± 2 s.e.")
    for name, s in found.items():
        color = TUNED if s.kl > 0 else PRETRAINED
        ax.errorbar(s.kl, s.reward, 2 * s.reward_se, 2 * s.kl_se, fmt="o", color=color, capsize=2, zorder=4)
        ax.annotate(name, (s.kl, s.reward), (8, -4), textcoords="offset points", va="top", color=color)
    ax.set_ylim(bottom=lowest - 0.15 * (max(top) - lowest))
