r"""Still pictures for the notebook on what steps can reach (§4): gaps against T and ᾱ_T, losses along the chain."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from torch import Tensor

from ... import plots

LIGHT, DARK = (to_hex(plots.shades(plots.TARGET)(depth)) for depth in (0.28, 0.73))
SHADES = (LIGHT, plots.TARGET, DARK)  # three exact answers in one panel


def show_lines(
    ax: Axes, x: Sequence[float], lines: Mapping[str, Sequence[float]], *, title: str, **labels: str
) -> None:
    """Up to three labelled lines with dots on double logarithmic axes; whole numbers x get a tick each."""
    for (name, values), color in zip(lines.items(), SHADES[-len(lines) :], strict=True):
        ax.loglog(x, values, "o-", color=color, markersize=4, label=name)
    if all(isinstance(value, int) for value in x):
        ax.set_xticks(x, [str(value) for value in x])
        ax.minorticks_off()
    ax.set(title=title, **labels)
    ax.legend()


def show_losses(ax: Axes, losses: Mapping[str, Tensor], *, title: str) -> None:
    """What each step t = 1..T loses, [T], in shares of the gain."""
    for (name, lost), color in zip(losses.items(), SHADES[-len(losses) :], strict=True):
        ax.plot(range(1, len(lost) + 1), 100 * lost, "o-", markersize=3, color=color, label=name)
    ax.set(xlabel="t (noise is on the right)", ylabel="lost at t, % of the gain", title=title)
    ax.set_xticks(range(0, len(lost) + 1, 5))
    ax.margins(y=0.25)
    ax.legend()


def show_split(ax: Axes, regrets: Mapping[str, tuple[float, float, float]], *, title: str) -> None:
    """For each policy its family gap (orange), learning gap (blue) and the latter's standard error, as shares."""
    style: dict[str, Any] = dict(height=0.6, alpha=0.85)
    for row, (family, learning, error) in enumerate(regrets.values()):
        ax.barh(row, 100 * family, color=plots.TARGET, **style)
        ax.barh(row, 100 * learning, left=100 * family, color=plots.TUNED, **style)
        text, end = f"{100 * family:.1f} + {100 * learning:.2f} ± {100 * error:.2f}", 100 * (family + max(learning, 0))
        ax.annotate(plots.minus(text), (end, row), (5, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set(yticks=range(len(regrets)), yticklabels=list(regrets), xlabel="regret, %", title=title)
    ax.margins(x=0.55)
    ax.invert_yaxis()
