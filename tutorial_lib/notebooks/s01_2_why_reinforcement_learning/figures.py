"""Maps of samples beyond the data, and the pipeline of fine-tuning as four pictures (§1.2)."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, ConnectionPatch
from torch import Tensor

from ... import plots
from .rivals_study import Place
from .study import GRID, ROWS, WINDOW, Pipeline, Scene

GUIDED = plots.OTHERS[0]
COLORS = dict(zip(ROWS, (plots.PRETRAINED, plots.PRETRAINED, plots.PRETRAINED, GUIDED, plots.TARGET), strict=True))

# Of each rival: what the legend says of it, its colour, its marker, and where its labels stand (nowhere: None).
RIVALS: dict[str, tuple[str, str, str, tuple[int, int] | None]] = {
    "class": ("guidance on a class, γ", GUIDED, "o", (7, -12)),
    "score": ("conditioned on a point's own score, −4, −2, 0", plots.OTHERS[2], "s", None),
    "slope of r̂": ("guidance by the slope of r̂, α", plots.OTHERS[3], "D", (7, -12)),
    "r̂ = 0": ("conditioned on r̂ = 0 ± 2, 1, 0.5, 0.3", plots.OTHERS[1], "^", None),
    "best of n": ("best of n by r̂", plots.PRETRAINED, "o", (-7, 6)),
    "trained": ("the trained policy", plots.TUNED, "*", None),
}


def show_map(ax: Axes, scene: Scene, x: Tensor, *, color: str, title: str = "") -> None:
    """Samples [n, 2] on the pretrained density, with the goal and the circle where the true reward is the cut."""
    plots.density(ax, scene.density, extent=GRID.extent)
    mark(ax, scene.cut)
    plots.samples(ax, x, color=color, size=5)
    window(ax, title)


def mark(ax: Axes, cut: float) -> tuple[Circle, Line2D]:
    """The circle of the cut, and the goal."""
    circle = Circle((0, 0), math.sqrt(-cut), fill=False, color=plots.REWARD, linewidth=1.5, zorder=2)
    ax.add_patch(circle)
    (goal,) = ax.plot(0, 0, "*", color=plots.REWARD, markersize=12, markeredgewidth=0, zorder=2)
    return circle, goal


def window(ax: Axes, title: str = "") -> None:
    """Limit a map to WINDOW, and frame it."""
    xlim, ylim = WINDOW
    plots.bare(ax, GRID.extent, title).set(xlim=xlim, ylim=ylim)
    ax.spines[:].set(visible=True, color="#cccccc")


def show_pipeline(found: Pipeline) -> None:
    """Pretrained model → reward model → RL → tuned model, each box a picture of its own part."""
    _, axes = plt.subplots(1, 4, figsize=(11.5, 2.4), gridspec_kw={"wspace": 0.12})
    plots.density(axes[0], found.scene.density, extent=GRID.extent)
    plots.samples(axes[0], found.scene.kept, color=plots.PRETRAINED, size=6)
    plots.reward_contours(axes[1], GRID.axis, found.reward)
    plots.samples(axes[1], found.scene.kept, color=plots.PRETRAINED, size=6)
    for path, color in ((found.before, plots.PRETRAINED), (found.after, plots.TARGET)):
        axes[2].plot(path[..., 0], path[..., 1], color=color, linewidth=1.0, alpha=0.8)
        axes[2].plot(*path[0].T, "o", color=color, markersize=6)
    for ax in (axes[0], axes[3]):
        mark(ax, found.scene.cut)
    plots.density(axes[3], found.tuned, extent=GRID.extent, color=plots.TARGET)
    titles = ("1  pretrained model", "2  reward model", "3  RL", "4  tuned model")
    below = ("makes likely samples", "scores them", "steers every denoising step", "makes good samples")
    for ax, title, text in zip(axes, titles, below, strict=True):
        window(ax, title)
        ax.set_xlabel(text)
    for before, after in itertools.pairwise(axes):
        _lead(before, after)


def _lead(before: Axes, after: Axes) -> None:
    """An arrow from one box to the next."""
    ends: dict[str, Any] = dict(xyA=(1.0, 0.5), xyB=(0.0, 0.5), coordsA=before.transAxes, coordsB=after.transAxes)
    arrow = ConnectionPatch(**ends, arrowstyle="-|>", mutation_scale=14, color="#444444", zorder=5)
    arrow.set_in_layout(False)
    before.figure.add_artist(arrow)


def show_rivals(curve: Tensor, rivals: Mapping[str, Mapping[str, Place]], cut: float, *, title: str = "") -> None:
    """KL of x_0 against true reward: RL's optimum at every α, rows (α, KL, reward), and each rival at some settings."""
    _, ax = plt.subplots(figsize=(10, 4.8))
    plots.frontier(ax, curve[:, 1].tolist(), curve[:, 2].tolist(), title=title)
    for name, places in rivals.items():
        legend, color, marker, offset = RIVALS[name]
        kl, reward = zip(*places.values(), strict=True)
        ax.plot(kl, reward, marker, color=color, markersize=10 if marker == "*" else 6, label=legend, zorder=4)
        if offset is not None:
            options: dict[str, Any] = dict(fontsize=9, color=color, ha="left" if offset[0] > 0 else "right")
            for label, at in places.items():
                ax.annotate(label, at, offset, textcoords="offset points", **options)
    ax.axhline(cut, color=plots.REWARD, linewidth=1)
    ax.annotate("the cut", (11, cut), (0, 3), textcoords="offset points", color=plots.REWARD)
    ax.set(xscale="log", xlim=(0.4, 16), ylim=(-4.4, 0), xlabel="KL of $x_0$ (nats, logarithmic)", ylabel="true reward")
    ax.set(xticks=[0.5, 1, 2, 4, 8, 16], xticklabels=["0.5", "1", "2", "4", "8", "16"])
    ax.minorticks_off()
    ax.legend(loc="lower right", fontsize=9)
