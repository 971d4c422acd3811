"""Still pictures of path consistency (§6.3): a training in snapshots, φ along paths, regret by iteration."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots

SHOWN = 3.4  # half the side of a map, in the data's units


def show_learned(snapshots: Mapping[str, Tensor], target: Tensor, data: Tensor, *, extent: float) -> Figure:
    """Grey: the ends [B, 2] of the paths that it learns from. Then samples [B, 2] by title, over the exact target."""
    figure, axes = plt.subplots(1, 1 + len(snapshots), figsize=(2.4 * (1 + len(snapshots)), 2.7))
    for ax in axes:
        plots.density(ax, target, extent=extent, color=plots.TARGET)
    plots.samples(axes[0], data, color=plots.PRETRAINED)
    plots.bare(axes[0], SHOWN, "all it ever learns from")
    for ax, (title, x_0) in zip(axes[1:], snapshots.items(), strict=True):
        plots.samples(ax, x_0)
        plots.bare(ax, SHOWN, title)
    return figure


def show_phi(ax: Axes, phi: Mapping[str, Tensor], *, title: str = "") -> None:
    """φ_t [T+1, B] against t, a line a path, in one shade for each source of paths; time runs to the right."""
    shades = (plots.TARGET, plots.PRETRAINED, plots.REWARD)
    for (name, lines), shade in zip(phi.items(), shades, strict=True):
        drawn = ax.plot(range(len(lines)), lines.numpy(), color=shade, linewidth=0.8, alpha=0.6)
        drawn[0].set_label(name)
    ax.set(xlim=(len(lines) - 1, 0), xlabel="time t", title=title)


def show_curves(ax: Axes, curves: Mapping[str, Mapping[int, float]], *, floor: float, title: str = "") -> None:
    """Regret against iterations by name, in the legend as they end, and the family gap."""
    looks = [(color, style) for style in ("-", "--") for color in (plots.TUNED, *plots.OTHERS)]
    ranked = sorted(curves.items(), key=lambda item: -list(item[1].values())[-1])
    for (color, style), (name, curve) in zip(looks, ranked, strict=False):
        ax.semilogy(list(curve), list(curve.values()), style, color=color, label=name)
    ax.axhline(floor, color=plots.TARGET, linestyle=":", label="family gap")
    ax.set(xlabel="iteration", ylabel="regret", title=title, xticks=list(ranked[0][1]))
    plots.percents(ax)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
