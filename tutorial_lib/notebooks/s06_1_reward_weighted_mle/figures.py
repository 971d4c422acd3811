"""The figures of the notebook on reward-weighted MLE: what was learned from which samples, at which α."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots
from .study import LIMIT, OFFLINE, ONLINE, Row, TiltedDensity, exact_share

SHOWN = 3.7
COLORS = {OFFLINE: plots.PRETRAINED, ONLINE: plots.TUNED, LIMIT: plots.TARGET}


def areas(weights: Tensor) -> np.ndarray:
    """Marker areas for weights [n] that sum to one; an even weight still makes a small dot."""
    return (1 + 1500 * weights).clamp_max(500).numpy()


def show_learned(
    x_0: Tensor, weights: Tensor, snapshots: Mapping[str, Tensor], target: Tensor, extent: float
) -> Figure:
    """Samples [B, 2] as large as their weights [B], then what was learned, by title, over the target's masses."""
    figure, axes = plt.subplots(1, 1 + len(snapshots), figsize=(2.7 * (1 + len(snapshots)), 3))
    for ax in axes:
        plots.density(ax, target, extent=extent, color=plots.TARGET)
        ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
    plots.samples(axes[0], x_0, color=plots.PRETRAINED).set_sizes(areas(weights))
    axes[0].set_title("the first samples")
    for ax, (title, learned) in zip(axes[1:], snapshots.items(), strict=True):
        plots.samples(ax, learned)
        ax.set_title(title)
    return figure


def show_contest(rows: Sequence[Row], tilted: TiltedDensity, n: int) -> Figure:
    """Effective samples of n against α, and each form's regret."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.7))
    alphas = [row.alpha for row in rows]
    fine = torch.logspace(math.log10(min(alphas)), math.log10(max(alphas)), 41).tolist()
    left.loglog(fine, [n * exact_share(tilted, alpha) for alpha in fine], color=plots.TARGET)
    left.loglog(alphas, [row.effective for row in rows], "o", color=plots.PRETRAINED)
    left.axhline(1, color=plots.PRETRAINED, linewidth=1, linestyle="--")
    left.set(xlabel="α", title=f"Effective samples of {n}: foretold, and drawn")
    for name, color in COLORS.items():
        regrets = [row.regrets[name] for row in rows]
        right.loglog(alphas, regrets, ":" if name == LIMIT else "o-", color=color, label=name)
    right.set(xlabel="α", ylabel="regret", title="Regret: cold targets need new samples")
    plots.percents(right)
    right.legend()
    return figure


def show_progress(objectives: Sequence[float], effective: Sequence[float], levels: Mapping[str, float]) -> Figure:
    """J of the samples of each round but the first, beside exact levels by name; ESS/n of their weights."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
    steps = range(1, len(objectives) + 1)
    left.plot(steps[1:], objectives[1:], "o-", color=plots.TUNED)
    for name, height in levels.items():
        left.axhline(height, xmax=0.86, color=plots.TARGET, linewidth=1.2)
        left.text(steps[-1] + 0.5, height, name, va="center", color=plots.TARGET)
    title = plots.minus(f"The first round does most of it (from J = {objectives[0]:.1f})")
    left.set(xlabel="round", ylabel="J of its samples", title=title, xlim=(1.5, steps[-1] * 7 / 6))
    right.plot(steps, effective, "o-", color=plots.TUNED)
    right.set(xlabel="round", ylabel="ESS / n", ylim=(0, 1), title="The better the policy, the evener the weights")
    return figure


def show_fits(x: Tensor, target: Tensor, fits: Mapping[str, Tensor]) -> Figure:
    """A density [n] at x [n], and a panel for each fitted one by title."""
    figure, axes = plt.subplots(1, len(fits), figsize=(3.4 * len(fits), 2.9), sharey=True)
    for ax, (title, density) in zip(axes, fits.items(), strict=True):
        ax.fill_between(x, target, color=plots.TARGET, alpha=0.3, linewidth=0)
        ax.plot(x, density, color=plots.TUNED)
        ax.set(xlim=(-5, 5), yticks=[], xlabel="$x_0$", title=title)
    return figure
