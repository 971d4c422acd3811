"""The figures of reward backpropagation's training, memory, truncation and tails (§5.2), from arrays."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter
from torch import Tensor

from ... import plots

SHOWN = 3.4  # half a map's side


def show_training(target: Tensor, extent: float, snapshots: Mapping[int, Tensor]) -> None:
    """Samples by the number of reward queries so far, on the target [n, n]."""
    _, axes = plt.subplots(1, len(snapshots), figsize=(11.5, 2.7))
    for ax, (queries, x) in zip(axes, snapshots.items(), strict=True):
        plots.density(ax, target, extent=extent, color=plots.TARGET, title=f"{queries:,} queries")
        plots.samples(ax, x)
        ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))


def show_race(
    ax: Axes, curves: Mapping[str, tuple[Sequence[int], Sequence[float], str]], *, family: float, good: float
) -> None:
    """Regret against reward queries: name → (queries, regret, colour). Two lines across: the family's gap, the aim."""
    for name, (queries, regret, color) in curves.items():
        ax.loglog(queries, regret, color=color, label=name)
    for height, label in ((good, f"{good:.0%}"), (family, "family gap")):
        ax.axhline(height, color=plots.PRETRAINED, linestyle="--", linewidth=1)
        ax.text(1, height, f" {label}", color=plots.PRETRAINED, va="center", transform=ax.get_yaxis_transform())
    ax.set(xlabel="reward queries", ylabel="regret")
    plots.percents(ax)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="upper right")


def show_memory(ax: Axes, T: Sequence[int], curves: Mapping[str, tuple[Sequence[float], str]]) -> None:
    """Mebibytes against T, both logarithmic: name → (values, colour)."""
    for name, (values, color) in curves.items():
        ax.loglog(T, values, "o-", color=color)
        ax.annotate(name, (T[-1], values[-1]), (6, 0), textcoords="offset points", va="center", color=color)
    ax.set(xlabel="T", ylabel="MiB kept for the backward pass", xticks=list(T), xticklabels=[str(t) for t in T])
    ax.minorticks_off()


def show_dimensions(
    D: Sequence[int], queries: Sequence[int], regrets: Mapping[str, tuple[Tensor, str]], title: str
) -> Figure:
    """A panel for each D: regret against queries, a thin line a seed and their mean thick. name → ([D, queries, seed],
    colour)."""
    figure, axes = plt.subplots(1, len(D), figsize=(10.5, 3.6), sharey=True, layout="constrained")
    figure.suptitle(title)
    for i, (ax, dimension) in enumerate(zip(axes, D, strict=True)):
        for name, (values, color) in regrets.items():
            ax.loglog(queries, values[i], color=color, alpha=0.4, linewidth=1)
            ax.loglog(queries, values[i].mean(1), "o-", color=color, label=name)
        ax.set(xlabel="reward queries", title=f"D = {dimension}", xticks=queries, xlim=(queries[0] / 1.3, None))
        ax.set_xticklabels([f"{q:,}" for q in queries])
        plots.percents(ax)
        ax.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set(ylabel="regret")
    axes[-1].legend(loc="lower left")
    return figure


def show_truncation(ax: Axes, least: Mapping[int, float], arms: Mapping[str, tuple[Tensor, str]]) -> None:
    """Regret against K: the least that steering only these steps allows, and every arm's seeds around their mean.
    name → ([K, seed], colour)."""
    places = range(len(least))
    ax.plot(places, list(least.values()), color=plots.TARGET, label="the bound", zorder=1)
    for shift, (name, (regrets, color)) in zip((-0.12, 0.12), arms.items(), strict=True):
        x = np.repeat(np.arange(len(regrets)) + shift, regrets.shape[1])
        ax.plot(x, regrets.flatten(), "o", color=color, markersize=4, alpha=0.6)
        ax.plot(np.arange(len(regrets)) + shift, regrets.mean(1), "_", color=color, markersize=16, label=name)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel="K", ylabel="regret", xticks=list(places), xticklabels=[str(K) for K in least])
    ax.set(ylim=(0, 1.08 * max(1, *(float(regrets.max()) for regrets, _ in arms.values()))))
    ax.legend(loc="upper right")


def show_borders(axes: Sequence[Axes], x: Tensor, stretch: Tensor, t: int) -> None:
    """Left, x_t of every path, darker the further x_0 moves with it; right, that stretch against t. x [n, 2], stretch
    [T, n], row t for ∂x_0/∂x_t."""
    left, right = axes
    size = stretch[t].log10()
    order = size.argsort()
    cmap = plots.shades(plots.TUNED)
    left.scatter(x[order, 0], x[order, 1], c=size[order], s=4, cmap=cmap, vmin=-1, vmax=3, linewidths=0)
    left.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN), xticks=[], yticks=[], title=f"x$_t$ at t = {t}")
    left.set_aspect("equal")
    for share, name in ((0.5, "half of the paths below"), (0.99, "99 %"), (1.0, "the largest")):
        heights = stretch.quantile(share, dim=1)
        right.semilogy(range(len(stretch)), heights, color=plots.TUNED, alpha=0.4 + 0.6 * (share == 0.5))
        right.annotate(name, (t, float(heights[t])), (0, 4), textcoords="offset points", color=plots.TUNED)
    right.axvline(t, color=plots.PRETRAINED, linestyle="--", linewidth=1)
    right.set(xlabel="t", xlim=(len(stretch) - 1, 0), title="‖∂x$_0$/∂x$_t$‖ along the paths")


def show_batches(ax: Axes, means: Mapping[str, tuple[Tensor, str]], truth: float) -> None:
    """Histograms of the slope that a batch tells, around the mean of all: name → ([batches], colour)."""
    ends = min(float(m.min()) for m, _ in means.values()), max(float(m.max()) for m, _ in means.values())
    for name, (mean, color) in means.items():
        ax.hist(mean.numpy(), bins=50, range=ends, color=color, alpha=0.5, label=name)
    ax.axvline(truth, color=plots.TARGET, label="mean of all batches")
    ax.set(xlabel="mean slope in a batch of 128 paths", ylabel="batches")
    ax.legend()


def show_arms(ax: Axes, regrets: Mapping[str, tuple[Tensor, str]], family: float) -> None:
    """A row of dots for each method, one a seed, and the family's gap: name → ([seed], colour)."""
    for i, (values, color) in enumerate(regrets.values()):
        ax.plot(values, [i] * len(values), "o", color=color, alpha=0.7)
    ax.axvline(family, color=plots.PRETRAINED, linestyle="--", linewidth=1)
    ax.text(family, -0.45, "family gap ", color=plots.PRETRAINED, ha="right")
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(xlabel="regret, five seeds", xlim=(0, None), ylim=(-0.6, len(regrets) - 0.4))
    ax.set_yticks(range(len(regrets)), list(regrets))


def show_tails(ax: Axes, shares: Mapping[str, tuple[Tensor, str]]) -> None:
    """Share of the gradient's energy in the top 1 % of the paths against t: name → ([T], colour)."""
    for name, (share, color) in shares.items():
        T = len(share)
        ax.plot(range(1, T + 1), share, color=color)
        t = round(0.75 * T)
        ax.annotate(name, (t, float(share[t - 1])), (0, -16), textcoords="offset points", color=color)
    ax.axhline(0.01, color=plots.PRETRAINED, linestyle="--", linewidth=1)
    ax.text(T, 0.02, "all paths alike", color=plots.PRETRAINED, va="bottom")
    ax.set(xlabel="t", xlim=(T, 1), ylim=(0, 1), ylabel="share of energy", xticks=range(T, 0, -5))
