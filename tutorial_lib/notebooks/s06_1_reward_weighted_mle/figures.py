"""The figures of the notebook on reward-weighted MLE: what was learned from which samples, at which α."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots
from .study import OFFLINE, ONLINE, Arms, FewSamples

SHOWN = 3.7
COLORS = {OFFLINE: plots.PRETRAINED, ONLINE: plots.TUNED}
UNIFORM = "uniform ε-weights"


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
    axes[0].set_title("pretrained, weighted")
    for ax, (title, learned) in zip(axes[1:], snapshots.items(), strict=True):
        plots.samples(ax, learned)
        ax.set_title(title)
    return figure


def show_counts(rows: FewSamples, share: Callable[[float], float]) -> Figure:
    """1/Σw² of every seed beside n times the exact share: against α at the budget's n, and against n at each α."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.7))
    ends, of = (min(rows.alphas), max(rows.alphas)), rows.sizes.index(rows.budget)
    fine = torch.logspace(math.log10(ends[0]), math.log10(ends[1]), 41).tolist()
    left.loglog(fine, [rows.budget * share(alpha) for alpha in fine], color=plots.TARGET, label="foretold")
    for seed, counts in enumerate(rows.effective[:, of]):
        label = "five draws" if seed == 0 else None
        left.loglog(rows.alphas, counts, "o", color=plots.PRETRAINED, markersize=4, label=label)
    left.set(xlabel="α", ylabel="effective samples", title=f"n = {rows.budget}: foretold, and drawn")
    left.legend()
    for a, alpha in enumerate(rows.alphas):
        counts, color = rows.effective[:, :, a].mean(0), plt.get_cmap("copper")(a / (len(rows.alphas) - 1))
        right.loglog(rows.sizes, counts, "o-", color=color)
        right.text(rows.sizes[-1] * 1.1, float(counts[-1]), f"α = {alpha:g}", color=color, va="center", fontsize=9)
    right.set(xlabel="n", title="The same, against n (means)", xlim=(rows.sizes[0] / 1.2, rows.sizes[-1] * 2.6))
    right.set_xticks(rows.sizes, [str(n) for n in rows.sizes])
    right.minorticks_off()
    for ax in (left, right):
        ax.axhline(1, color=plots.PRETRAINED, linewidth=1, linestyle="--")
    return figure


def band(ax: Axes, x: Sequence[float], y: Tensor, **style: Any) -> None:
    """The mean over seeds of y [S, n], and from the least to the largest of them."""
    ax.plot(x, y.mean(0), "o-", **style)
    ax.fill_between(x, y.amin(0), y.amax(0), color=style["color"], alpha=0.2, linewidth=0)


def show_excess(rows: FewSamples, share: Callable[[float], float]) -> Figure:
    """Nats lost beyond endless samples, five seeds: by form against α; offline at each n against foretold samples."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.7), sharey=True)
    for form in (OFFLINE, ONLINE):
        band(left, rows.alphas, rows.excess(form), color=COLORS[form], label=form)
    for i, (n, color) in enumerate(zip(rows.sizes, plots.OTHERS, strict=False)):
        foretold = [n * share(alpha) for alpha in rows.alphas]
        band(right, foretold, rows.offline[:, i] - rows.endless, color=color, label=f"offline, n = {n}")
    left.set(xlabel="α", ylabel="nats beyond endless samples", title=f"{rows.budget} samples, two forms")
    right.set(xlabel="effective samples, foretold", title="Offline, three sizes")
    for ax in (left, right):
        ax.set(xscale="log", yscale="log")
        ax.legend()
    return figure


def show_spending(arms: Arms) -> Figure:
    """KL_t of each arm, the mean over seeds and their range."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
    T = arms.kl.shape[2] - 1
    for i, name in enumerate(arms.names):
        way, _, weights = name.partition(", ")
        color = plots.TUNED if weights == UNIFORM else plots.PRETRAINED
        band(axes[int(way == "LoRA")], range(1, T + 1), arms.kl[:, i, 1:], color=color, markersize=2, label=weights)
    for ax, way in zip(axes, ("control", "LoRA"), strict=True):
        ax.set(yscale="log", xlabel="t", xlim=(T, 1), title=f"Where the KL is spent: {way}")
        ax.legend()
    axes[0].set_ylabel("KL$_t$ (nats)")
    return figure


def show_progress(objectives: Sequence[float], effective: Sequence[float], levels: Mapping[str, float]) -> Figure:
    """J of the samples of each round but the first, beside exact levels by name; ESS/n of their weights."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
    steps = range(1, len(objectives) + 1)
    left.plot(steps[1:], objectives[1:], "o-", color=plots.TUNED)
    for name, height in levels.items():
        left.axhline(height, xmax=0.86, color=plots.TARGET, linewidth=1.2)
        left.text(steps[-1] + 0.5, height, name, va="center", color=plots.TARGET)
    title = plots.minus(f"J of each round's samples (round 1: {objectives[0]:.1f})")
    left.set(xlabel="round", ylabel="J of its samples", title=title, xlim=(1.5, steps[-1] * 7 / 6))
    right.plot(steps, effective, "o-", color=plots.TUNED)
    right.set(xlabel="round", ylabel="ESS / n", ylim=(0, 1), title="Effective share of the weights")
    return figure


def show_fits(x: Tensor, target: Tensor, fits: Mapping[str, Tensor]) -> Figure:
    """A density [n] at x [n], and a panel for each fitted one by title."""
    figure, axes = plt.subplots(1, len(fits), figsize=(3.4 * len(fits), 2.9), sharey=True)
    for ax, (title, density) in zip(axes, fits.items(), strict=True):
        ax.fill_between(x, target, color=plots.TARGET, alpha=0.3, linewidth=0)
        ax.plot(x, density, color=plots.TUNED)
        ax.set(xlim=(-5, 5), yticks=[], xlabel="$x_0$", title=title)
    return figure
