"""Still pictures of value-weighted sampling (§6.2): samples on the target, maps of values, labels at lines' ends."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots
from .study import EXACT, FLIPPED, MONTE_CARLO, SOFT_Q, TWEEDIE

SHOWN = 3.4  # half the side of a map, in the data's units
INKS = {
    EXACT: plots.TARGET,
    SOFT_Q: plots.TUNED,
    MONTE_CARLO: plots.OTHERS[0],
    TWEEDIE: plots.PRETRAINED,
    FLIPPED: plots.ALARM,
    "none": "black",
}
ARMS = {
    "selected": plots.PRETRAINED,
    "steered and selected": plots.TUNED,
    "tempered, too": plots.OTHERS[0],
    "several guesses": plots.OTHERS[1],
    "exact v, selected": plots.TARGET,
}


def show_on_target(ax: Axes, mass: Tensor, x: Tensor, title: str, *, extent: float) -> None:
    """Samples [B, 2] over the exact target's masses [n, n]."""
    plots.density(ax, mass, extent=extent, color=plots.TARGET)
    plots.samples(ax, x, size=4)
    plots.bare(ax, SHOWN, title)


def show_beliefs(maps: Mapping[str, Sequence[Tensor]], times: Sequence[int], *, extent: float) -> Figure:
    """v̂_t [n, n] of several estimators (rows) at several t (columns), in colours that suit the first row's last map."""
    low, high = np.quantile(next(iter(maps.values()))[-1], [0.2, 1.0])
    where, shade = 2 * (-extent, extent), Normalize(low, high)
    figure, axes = plt.subplots(len(maps), len(times), figsize=(2.6 * len(times), 2.55 * len(maps)), squeeze=False)
    for row, (name, fields) in zip(axes, maps.items(), strict=True):
        for ax, t, field in zip(row, times, fields, strict=True):
            image = ax.imshow(field.numpy().T, cmap="viridis", norm=shade, extent=where)
            plots.bare(ax, SHOWN, f"{name}, t = {t}")
    figure.colorbar(image, ax=axes, shrink=0.7, label="value")
    return figure


def label_ends(ax: Axes, **spread: float) -> None:
    """Each labelled line's label at its right end, in its colour; spread: offsets in points, by label."""
    for line in ax.lines:
        if not (name := str(line.get_label())).startswith("_"):
            x, y = np.asarray(line.get_xdata())[-1], np.asarray(line.get_ydata())[-1]
            ax.annotate(
                name, (x, y), (6, spread.get(name, 0)), textcoords="offset points", va="center", color=line.get_color()
            )


def show_rows(ax: Axes, sizes: list[int], rows: Mapping[str, Tensor], inks: Mapping[str, str]) -> None:
    """Of each row [sizes, seeds], in the order of the inks, the mean over the seeds and their std as bars."""
    for name in [name for name in inks if name in rows]:
        mean, spread = rows[name].mean(1), rows[name].std(1)
        ax.errorbar(sizes, mean, spread, fmt="o-", capsize=3, color=inks[name], label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(n) for n in sizes])


def show_gaps(first: Tensor, second: Tensor, title: str) -> Figure:
    """The mean of either gap between r(x̂_0) and v, and of both, at t = 1..T: [T] each, in units of α."""
    figure, ax = plt.subplots(figsize=(7.5, 3.4))
    for line, color, label in (
        (first, plots.PRETRAINED, "1: E[r] − r(x̂_0)"),
        (second, plots.TUNED, "2: α log E[exp(r/α)] − E[r]"),
        (first + second, plots.TARGET, "both: v − r(x̂_0)"),
    ):
        ax.plot(range(1, len(line) + 1), line, color=color, label=label)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set(xlabel="t", ylabel="mean gap, in α", title=title)
    ax.legend()
    return figure


def show_pairs(
    guessed: Mapping[str, tuple[float, float]], exact: Mapping[str, tuple[float, float]], title: str
) -> Figure:
    """For each setting two bars with their errors: the regret of steering by Tweedie's guess, and by the exact v."""
    figure, ax = plt.subplots(figsize=(7.5, 3.2))
    for shift, found, color in ((-0.2, guessed, plots.PRETRAINED), (0.2, exact, plots.TARGET)):
        lengths = [max(value, 0.0) for value, _ in found.values()]
        bars = ax.barh([i + shift for i in range(len(found))], lengths, height=0.36, color=color)
        ax.bar_label(
            bars,
            [f"{round(100 * value, 1) + 0:.1f} ± {100 * error:.1f} %" for value, error in found.values()],
            padding=4,
        )
    ax.set_yticks(range(len(guessed)), list(guessed))
    ax.set(xlim=(0, 1.3 * max(value for value, _ in guessed.values())), xlabel="regret", title=title)
    ax.invert_yaxis()
    return figure
