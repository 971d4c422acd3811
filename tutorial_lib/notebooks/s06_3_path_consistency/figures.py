"""Still pictures of path consistency (§6.3): a training in snapshots, φ along paths, regret by iteration."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import PercentFormatter
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


def show_curves(ax: Axes, looks: Sequence[int], curves: Mapping[str, Tensor], *, floor: float, title: str = "") -> None:
    """Regret [looks, seeds] by name: median and range over the seeds, in the legend as they end; and the family gap."""
    ranked = sorted(curves.items(), key=lambda item: -item[1][-1].median().item())
    for color, (name, found) in zip((plots.TUNED, *plots.OTHERS), ranked, strict=False):
        ax.semilogy(looks, found.median(1).values.numpy(), color=color, label=name)
        ax.fill_between(looks, found.amin(1).numpy(), found.amax(1).numpy(), color=color, alpha=0.15, linewidth=0)
    ax.axhline(floor, color=plots.TARGET, linestyle=":", label="family gap")
    ax.set(xlabel="iteration", ylabel="regret", title=title, xticks=list(looks))
    plots.percents(ax)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def show_seeds(ax: Axes, rows: Mapping[str, Tensor], *, floor: float, title: str = "") -> None:
    """A dot for each seed's regret [seeds], a row for each name, and the family gap."""
    for place, (name, found) in enumerate(rows.items()):
        color = plots.OTHERS[0] if name.startswith("PPO") else plots.TUNED
        ax.plot(found.numpy(), [place] * len(found), "o", color=color, alpha=0.7)
    ax.axvline(floor, color=plots.TARGET, linestyle=":")
    ax.annotate("family gap", (floor, 0), (4, 0), textcoords="offset points", color=plots.TARGET, va="center")
    ax.set(xlabel="regret", title=title, ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticks(range(len(rows)), list(rows))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def show_rare(clouds: Mapping[str, Tensor], shelf: Tensor, centre: Tensor, radius: float) -> Figure:
    """Samples [B, 2] by title, the circle in which the reward is paid, and in the last panel the shelf's samples."""
    figure, axes = plt.subplots(1, len(clouds), figsize=(3 * len(clouds), 3.2))
    for ax, (title, x_0) in zip(axes, clouds.items(), strict=True):
        plots.samples(ax, x_0, color=plots.PRETRAINED if ax is axes[0] else plots.TUNED)
        ax.add_patch(Circle(tuple(centre.tolist()), radius, fill=False, color=plots.REWARD))
        plots.bare(ax, SHOWN, title)
    axes[-1].plot(*shelf.T.numpy(), "x", color=plots.TARGET, markersize=4)
    return figure
