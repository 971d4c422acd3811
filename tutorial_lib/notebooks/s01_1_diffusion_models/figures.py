r"""Still pictures of noising, denoising and learning to denoise, for the notebook on diffusion models (§1.1).

Every function draws arrays into given axes. Shapes: points [B, 2], T steps, densities [m, m] on the study's grid.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ... import plots
from .study import EXTENT, Posterior

POINTS = 300  # shown of a cloud
PATHS = (plots.TUNED, *plots.OTHERS)  # a colour for each of five paths, the same in every panel
EARLY, LATER = plots.shades(plots.TUNED)(0.25), plots.TUNED  # two shades of learned


def backdrop(ax: Axes, density: Tensor, *, title: str = "") -> None:
    """A density, pale and in few shades: points stay visible and the stored picture small."""
    image = plots.density(ax, density, extent=EXTENT, title=title)
    image.set(cmap=plots.shades(plots.PRETRAINED).resampled(40), alpha=0.6)


def show_cloud(ax: Axes, density: Tensor, *clouds: Tensor, title: str = "") -> None:
    """One or two clouds [B, 2], the first blue, the second orange, on a density."""
    backdrop(ax, density, title=title)
    for x, color in zip(clouds, (plots.TUNED, plots.TARGET), strict=False):
        plots.samples(ax, x[:POINTS], color=color, size=5)


def show_within(ax: Axes, z: Tensor, names: Sequence[str], *, band: float, title: str) -> None:
    """Standardised differences z [T, M] at t = 1..T over the band where chance keeps them."""
    ax.axhspan(-band, band, color=plots.PRETRAINED, alpha=0.12, linewidth=0)
    for values, name in zip(z.T, names, strict=True):
        ax.plot(range(1, len(z) + 1), values, linewidth=1.3, label=name)
    ax.set(xlabel="$t$", ylabel="standard errors", ylim=(-1.5 * band, 1.5 * band), title=title)
    ax.legend(ncols=len(names), loc="upper center")


def show_posterior(ax: Axes, found: Posterior, *, title: str) -> None:
    """p(x_0|x_t) of one point (black cross), and its mean (orange)."""
    backdrop(ax, found.density, title=title)
    (x, y), (to_x, to_y) = found.x_t.tolist(), found.mean.tolist()
    ax.annotate("", (to_x, to_y), (x, y), arrowprops=dict(arrowstyle="->", color=plots.TARGET))
    ax.plot(x, y, "x", markersize=8, markeredgewidth=2, color="black", zorder=5)
    ax.plot(to_x, to_y, "o", markersize=8, color=plots.TARGET, zorder=5)


def show_training(losses: Sequence[float], floor: float, missed: Mapping[int, Tensor]) -> None:
    """The loss [steps] over the exact denoiser's own, and the score error (iteration → [T]) beside it."""
    _, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.3))
    running = torch.tensor(losses).unfold(0, 50, 1).mean(1)
    left.plot(range(0, len(losses), 5), losses[::5], color=EARLY, linewidth=0.5)
    left.plot(range(50, len(losses) + 1), running, color=plots.TUNED)
    left.axhline(floor, color=plots.TARGET, linestyle="--")
    left.text(len(losses), 0.9 * floor, "the exact denoiser's loss", color=plots.TARGET, ha="right", va="top")
    left.set(ylim=(0.75 * floor, 1.3 * floor), xlabel="training step", title="Loss, and its running mean")
    right.loglog(list(missed), [error.mean().item() for error in missed.values()], "o-", color=plots.TUNED)
    ticks = (0.02, 0.05, 0.1, 0.2, 0.5)
    right.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks])
    right.minorticks_off()
    right.set(xlabel="training step", ylabel="score missed, mean over $t$", title="Error of the score")


def show_fields(ax: Axes, density: Tensor, points: Tensor, exact: Tensor, learned: Tensor, *, title: str = "") -> None:
    """Two vector fields [B, 2] at points [B, 2] on the density: the exact one broad and orange, the learned one thin
    and blue on top of it."""
    backdrop(ax, density, title=title)
    unit = exact.norm(dim=1).max().item() / 0.6
    plots.arrows(ax, points, exact, unit=unit, color=plots.TARGET, width=0.014, head=False)
    plots.arrows(ax, points, learned, unit=unit, color=plots.TUNED, width=0.006)


def show_missed(ax: Axes, missed: Mapping[int, Tensor], *, limit: float, title: str) -> None:
    """The share of the score that is missed at t = 1..T, after three numbers of training steps."""
    for (iteration, error), color in zip(missed.items(), (plots.PRETRAINED, EARLY, LATER), strict=True):
        ax.semilogy(range(1, len(error) + 1), error, color=color, label=f"after {iteration} steps")
    ax.axhline(limit, color=plots.TARGET, linestyle="--", linewidth=1)
    ax.text(max(map(len, missed.values())), 1.2 * limit, f"{limit:.0%}", color=plots.TARGET, ha="right")
    ax.set(xlabel="$t$", ylabel="share of score missed", ylim=(1e-5, 3), title=title)
    ax.legend(loc="lower left")


def show_paths(ax: Axes, density: Tensor, paths: Tensor, *, title: str) -> None:
    """Paths [T+1, P, 2] from x_T (grey dots) to x_0 on a density, each in a colour of its own."""
    backdrop(ax, density, title=title)
    for path, color in zip(paths.movedim(1, 0), PATHS, strict=True):
        ax.plot(*path.T.numpy(), color=color, linewidth=1.2, alpha=0.7)
    plots.samples(ax, paths[-1], color=plots.PRETRAINED, size=16).set_alpha(1)
    ends = plots.samples(ax, paths[0], size=34)
    ends.set(facecolor=list(PATHS), alpha=1)


def show_convergence(ax: Axes, distances: Mapping[str, Mapping[int, float]], floors: Tensor, *, title: str) -> None:
    """Distances (name → T → distance) against T, over the band of what exact samples score in the same comparison."""
    ax.axhspan(floors.min().item(), floors.max().item(), color=plots.PRETRAINED, alpha=0.2, linewidth=0)
    for (name, distance), line, color in zip(distances.items(), ("o-", "s-", "^-", "D-"), PATHS, strict=False):
        ax.loglog(list(distance), list(distance.values()), line, color=color, label=name)
    steps = list(next(iter(distances.values())))
    ax.text(steps[0], 0.97 * floors.max().item(), "exact samples", color=plots.PRETRAINED, va="top")
    ax.set_xticks(steps, [str(T) for T in steps])
    ax.set_yticks((0.01, 0.02, 0.05, 0.1), ("0.01", "0.02", "0.05", "0.1"))
    ax.minorticks_off()
    ax.set(xlabel="number of steps $T$", ylabel="distance", ylim=(0.007, 0.15), title=title)
    ax.legend(fontsize=9)
