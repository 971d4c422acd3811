"""The figures of reward backpropagation's training, memory, truncation and tails (§5.2), from arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
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


def show_truncation(ax: Axes, trained: Mapping[int, float], least: Mapping[int, float], random: float) -> None:
    """Regret against K: trained, the least that steering only these steps allows, and that of a random K."""
    look: dict[str, Any] = dict(markersize=6)
    ax.semilogx(list(least), list(least.values()), "o-", color=plots.TARGET, **look)
    ax.semilogx(list(trained), list(trained.values()), "o-", color=plots.TUNED, **look)
    ax.axhline(random, color=plots.TUNED, linestyle=":")
    first, second, *_ = trained
    middle = list(trained)[len(trained) // 2]
    for text, K, height, color in (
        ("best that steers these K steps alone", middle, least[middle], plots.TARGET),
        ("trained, last K", second, trained[second], plots.TUNED),
        ("trained, random K", first, random, plots.TUNED),
    ):
        ax.annotate(text, (K, height), (6, 7), textcoords="offset points", color=color)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel="K", ylabel="regret", ylim=(0, 1.08), xticks=list(trained), xticklabels=[str(K) for K in trained])
    ax.minorticks_off()


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
