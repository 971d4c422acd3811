"""The figures of soft PPO's training and of its pitfall (§5.1), from arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots
from .study import Beside, Judged, Look, Race, Step

CLIPPED, UNCLIPPED, SLIP = plots.OTHERS[0], plots.OTHERS[1], plots.ALARM


def approach(looks: Mapping[int, Look], target: Tensor, *, extent: float, shown: float = 3.4) -> Figure:
    """Samples over the exact target [m, m], one panel for each iteration."""
    figure, axes = plt.subplots(1, len(looks), figsize=(2.35 * len(looks), 2.7))
    for ax, (iteration, seen) in zip(axes, looks.items(), strict=True):
        plots.density(ax, target, extent=extent, color=plots.TARGET)
        plots.samples(ax, seen.x_0)
        plots.bare(ax, shown, "pretrained" if iteration == 0 else f"after {iteration}")
    return figure


def curves(history: Sequence[Step], looks: Mapping[int, Look], *, optimum: float, target_entropy: float) -> Figure:
    """Five panels of one run: J, reward, path KL, share of clipped ratios, entropy of the samples."""
    figure, axes = plt.subplots(1, 5, figsize=(12.5, 2.6))
    iterations = [step.iteration for step in history]
    rows = {
        "Objective $J$": ([step.objective for step in history], plots.TUNED),
        "Reward": ([step.reward for step in history], plots.REWARD),
        "Path KL (nats)": ([step.kl for step in history], plots.PRETRAINED),
        "Share of ratios clipped": ([step.extra["clipped"] for step in history], CLIPPED),
    }
    for ax, (title, (values, color)) in zip(axes, rows.items(), strict=False):
        ax.plot(iterations, values, color=color)
        ax.set(title=title, xlabel="iteration")
    _level(axes[0], optimum, "best of the family", above=True)
    axes[4].plot(list(looks), [seen.entropy for seen in looks.values()], "o-", color=plots.TUNED, markersize=4)
    axes[4].set(title="Entropy of $x_0$ (nats)", xlabel="iteration")
    _level(axes[4], target_entropy, "the target's", above=False)
    return figure


def _level(ax: Axes, height: float, name: str, *, above: bool) -> None:
    """A dashed line in the target's colour, its name at the right, and room for it."""
    ax.axhline(height, color=plots.TARGET, linestyle="--", linewidth=1.2)
    ax.margins(y=0.22)
    look: dict[str, Any] = dict(ha="right", va="bottom" if above else "top", color=plots.TARGET, fontsize=9)
    where: dict[str, Any] = dict(xycoords=("axes fraction", "data"), textcoords="offset points")
    ax.annotate(name, (1, height), (-2, 3 if above else -3), **where, **look)


def pitfall(runs: Mapping[str, Sequence[Step]], believed: Sequence[float]) -> Figure:
    """The runs of PPO, of "no clip" and of "the slip": the share of ratios outside the clip, the true one and, of the
    slip's updates, the `believed`; and path KL."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.2))
    for (name, history), color in zip(runs.items(), (plots.TUNED, UNCLIPPED, SLIP), strict=True):
        iterations = [step.iteration for step in history]
        left.plot(iterations, [step.extra["clipped"] for step in history], color=color, label=name)
        right.semilogy(iterations[1:], [step.kl for step in history][1:], color=color, label=name)
    updates = np.linspace(1, len(runs["the slip"]), len(believed))
    left.plot(updates, believed, "--", color=SLIP, label="the slip, as it believes")
    left.set(xlabel="iteration", ylim=(-0.04, 1.5), yticks=[0, 0.5, 1], title="Share of ratios outside 1 ± ε")
    left.legend(loc="upper right", fontsize=9, ncols=2)
    right.set(xlabel="iteration", ylabel="nats", title="Path KL, on a logarithmic axis")
    return figure


def regrets(short: Race, whole: Race) -> Figure:
    """Two panels, one a training: the regret of each kind, a dot a seed, and a bar at their mean."""
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 3.0))
    for ax, found, title in zip(
        axes, (short, whole), ("A short training", "A whole one, at the defaults"), strict=True
    ):
        for row, (name, values) in enumerate(found.regrets.items()):
            ax.plot(100 * values, [row] * len(values), "o", color=plots.TUNED, alpha=0.45, markersize=5)
            ax.plot([100 * found.mean(name)] * 2, [row - 0.3, row + 0.3], color=plots.TUNED, linewidth=3)
        ax.set(title=title, xlabel="regret (%): a dot a seed, a bar their mean", xlim=(0, None))
        ax.set_yticks(range(len(found.regrets)), list(found.regrets))
        ax.invert_yaxis()
    return figure


def judged(found: Judged) -> Figure:
    """How far the critic and a single return are from the exact value at x_t, for every t."""
    figure, ax = plt.subplots(figsize=(6.6, 3.2))
    t = np.arange(1, len(found.critic))
    ax.plot(t, found.critic[1:], "o-", color=plots.TUNED, markersize=4, label="the critic at $x_t$")
    ax.plot(t, found.single[1:], "o-", color=plots.PRETRAINED, markersize=4, label="the return that was drawn")
    ax.set(xlim=(len(t) + 0.6, 0.4), ylim=(0, None), xlabel="t", ylabel="distance from $v_t/α$ (rms)")
    ax.set_xticks(range(len(t), 0, -max(1, len(t) // 4)))
    ax.set_title("Two guesses of the exact value")
    ax.legend()
    return figure


def beside(found: Beside) -> Figure:
    """Samples of each policy over the exact target and the reward's contours, one panel each."""
    figure, axes = plt.subplots(1, len(found.samples), figsize=(3.6 * len(found.samples), 3.7), squeeze=False)
    for ax, (title, x_0) in zip(axes[0], found.samples.items(), strict=True):
        plots.density(ax, found.target, extent=found.extent, color=plots.TARGET)
        plots.reward_contours(ax, found.axis, found.reward)
        plots.samples(ax, x_0)
        plots.bare(ax, 3.4, title)
    return figure
