r"""Still pictures for the notebook on the theory (§4): targets with their samples, kernels, ranks, and gaps.

Shapes: points [B, 2]; masses [n, n] or [n²] on the square of `axis` [n]; T steps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from torch import Tensor

from ... import plots
from .figures_study import Compared, FrontierPoint, Kernel

SHOWN = 3.4  # half a map's side: of x_0, and below of every x_t
FAR = 4.5
LIGHT, DARK = (to_hex(plots.shades(plots.TARGET)(depth)) for depth in (0.28, 0.73))
SHADES = (LIGHT, plots.TARGET, DARK)  # three exact answers in one panel


def show_gallery(targets: Mapping[tuple[str, float], tuple[Tensor, Tensor]], extent: float) -> None:
    """One panel for each (reward, α), a row a reward: the target's masses [n, n] under sampled points [B, 2]."""
    names, alphas = (list(dict.fromkeys(key[i] for key in targets)) for i in (0, 1))
    _, axes = plt.subplots(len(names), len(alphas), figsize=(8.1, 8.4))
    for ax, ((name, alpha), (mass, x)) in zip(axes.flat, targets.items(), strict=True):
        backdrop(ax, mass, extent, color=plots.TARGET, title=f"α = {alpha}" if name == names[0] else "")
        plots.samples(ax, x, size=3)
        if alpha == alphas[0]:
            ax.set_ylabel(name)


def backdrop(ax: Axes, mass: Tensor, extent: float, *, color: str, title: str = "", shown: float = SHOWN) -> None:
    """The root of a density, so that small modes show, in few shades, so that points do."""
    image = plots.density(ax, mass.sqrt(), extent=extent, color=color, title=title)
    image.set(cmap=plots.shades(color).resampled(40), alpha=0.7)
    ax.set(xlim=(-shown, shown), ylim=(-shown, shown))


def show_marginals(x: Tensor, masses: Mapping[int, Tensor], kl: Mapping[int, float], extent: float) -> None:
    """Points x[t] on the masses of p*_t [n, n], for several t; above, t and KL(p*_t‖p_pre,t)."""
    _, axes = plt.subplots(1, len(masses), figsize=(11, 2.5))
    for ax, (t, mass) in zip(axes, masses.items(), strict=True):
        title = f"t = {t}, KL {abs(kl[t]):.2f}"
        backdrop(ax, mass, extent, color=plots.TARGET, title=title, shown=FAR)
        plots.samples(ax, x[t], size=3)


def show_kernel(ax: Axes, kernel: Kernel, *, title: str) -> None:
    """In units of σ_t about ρ: p_pre(x_{t−1}|x_t) as grey circles of 1 and 2 σ_t, p*(x_{t−1}|x_t) as shade, and the
    Gaussian of the same mean, dashed."""
    plots.density(ax, kernel.mass, extent=kernel.extent, color=plots.TARGET, title=title)
    first, second = kernel.mean.tolist()
    for centre, color, line in (((0.0, 0.0), plots.PRETRAINED, "-"), ((first, second), plots.TUNED, "--")):
        for radius in (1, 2):
            ax.add_patch(plt.Circle(centre, radius, fill=False, color=color, linestyle=line))
    ax.set(xlim=(-kernel.extent, kernel.extent), ylim=(-kernel.extent, kernel.extent))


def show_ranks(ax: Axes, u: Tensor, *, color: str, title: str) -> None:
    """A histogram of ranks [B] with the band that uniform ones keep to, ± 3 standard errors."""
    bins, n = 20, len(u)
    ax.hist(u.numpy(), bins=bins, range=(0, 1), density=True, color=color, alpha=0.6)
    error = 3 * ((bins - 1) / n) ** 0.5
    ax.axhspan(1 - error, 1 + error, color=plots.PRETRAINED, alpha=0.25, linewidth=0)
    ax.set(xlabel="rank", yticks=[], ylim=(0, 2.2), title=title)


def show_three_ways(ax: Axes, along: Tensor, ways: Mapping[str, tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
    """v_t along a line [B]: for each label, closed form (line), grid (cross), Monte Carlo and its error (dot, bar), the
    last two at every fifth point."""
    few = slice(0, None, 5)
    for label, (closed, grid, sampled, error) in ways.items():
        ax.plot(along, closed, color=plots.TARGET, linewidth=1.2)
        ax.plot(along[few], grid[few], "x", color="black", markersize=8)
        ax.errorbar(along[few], sampled[few], 4 * error[few], fmt="o", color=plots.TUNED, markersize=3.5, elinewidth=1)
        options: dict[str, Any] = dict(textcoords="offset points", ha="right", va="center", color=plots.TARGET)
        ax.annotate(label, (float(along[0]), float(closed[0])), (-9, 0), **options)
    ax.set_xlim(left=float(1.25 * along[0] - 0.25 * along[-1]))


def show_agreement(ax: Axes, pairs: Mapping[int, tuple[Tensor, Tensor]]) -> None:
    """(by quadrature, by Monte Carlo) [B] for several t, on the diagonal where they agree."""
    for t, (exact, estimate) in pairs.items():
        ax.plot(exact, estimate, "o", markersize=4, label=f"t = {t}")
    ax.axline((0, 0), slope=1, color=plots.PRETRAINED, linewidth=1, zorder=0)
    ax.set(xlabel="$v_t$ by quadrature", ylabel="by Monte Carlo, one step", title="One step back, two ways")
    ax.legend()


def show_distances(
    ax: Axes, names: Sequence[str], exact: Sequence[Compared], gaussian: Sequence[Compared], *, title: str
) -> None:
    """Distances to the target of two samplers, a row a name, on the floor that exact samples have; hollow where the
    Gaussian steps lie within it, and the test could not tell them."""
    rows = range(len(names))
    floor, spread = ([getattr(found, key) for found in exact] for key in ("floor", "floor_sd"))
    bars: dict[str, Any] = dict(fmt="none", linewidth=7, ecolor=plots.PRETRAINED, alpha=0.35, label="floor ± 4 s.d.")
    ax.errorbar(floor, rows, xerr=[4 * sd for sd in spread], **bars)
    told = [d.value > found.floor + 4 * found.floor_sd for d, found in zip(gaussian, exact, strict=True)]
    for seen, label in ((True, "Gaussian steps, told"), (False, "Gaussian steps, not told")):
        chosen = [row for row in rows if told[row] == seen]
        look: dict[str, Any] = dict(color=plots.TUNED, markerfacecolor=plots.TUNED if seen else "white")
        ax.plot([gaussian[row].value for row in chosen], chosen, "d", label=label, **look)
    ax.plot([found.value for found in exact], rows, "o", color=plots.TARGET, label="exact kernels")
    ax.set(yticks=rows, yticklabels=names, xlim=(0, None), xlabel="sliced Wasserstein distance to the target")
    ax.set_title(title)
    ax.invert_yaxis()
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def show_slopes(
    alphas: Sequence[float], slopes: Mapping[str, tuple[Tensor, Tensor]], curves: Mapping[str, list[FrontierPoint]]
) -> None:
    """Left, the frontiers; right, for each reward KL* (line) and −dJ*/dα (dots), [N] each."""
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for name, color in zip(slopes, SHADES, strict=True):
        points, (slope, kl) = curves[name], slopes[name]
        left.plot([p.kl for p in points], [p.reward - points[-1].reward for p in points], color=color, label=name)
        right.loglog(alphas, kl, color=color)
        right.loglog(alphas, -slope, "o", color=plots.TUNED, markersize=3)
    left.set(xlabel="KL* (nats)", ylabel="E*[r], above its value at α = 10", title="Three frontiers …")
    right.set(xlabel="α", ylabel="KL*", title="… and −dJ*/dα (dots) on KL*")
    left.legend()


def show_ratios(panels: Sequence[Axes], exponent: Tensor, starts: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """log p(x_0)/p_pre(x_0) [n] against r/α [n] with dots as large as p_pre, a panel a start, on lines of slope 1."""
    low = min(float(ratio.min()) for ratio, _ in starts.values())
    high = max(float(ratio.max()) for ratio, _ in starts.values())
    for ax, (title, (ratio, mass)) in zip(panels, starts.items(), strict=True):
        ax.scatter(exponent, ratio, s=1 + 40 * mass / mass.max(), color=plots.TARGET, linewidths=0)
        ax.axline((0, float(ratio[exponent.argmin()])), slope=1, color=plots.PRETRAINED, linewidth=1, zorder=0)
        ax.set(xlabel="r/α", title=title, ylim=(low - 0.3, high + 0.3))
    panels[0].set_ylabel("log p/$p_{pre}$ of $x_0$")
