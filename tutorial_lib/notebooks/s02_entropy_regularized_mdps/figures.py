"""Pictures of a grid world: values, policies and the laws of its walks. Values are [S], policies [S, A]."""

import math
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver
from torch import Tensor

from ... import plots
from .study import DIRECTIONS, Answer, TabularMDP, side, special_cells


def picture_of(world: TabularMDP, values: Tensor) -> np.ndarray:
    """Values [S] as a picture [y, x]; goal and pits are left out, so that their labels stay in view."""
    goal, pits = special_cells(world)
    shown = values.detach().clone()
    shown[[goal, *pits]] = math.nan
    return shown.reshape(side(world), -1).T.numpy()


def show_cells(ax: Axes, world: TabularMDP, values: Tensor, *, color: str, top: float, title: str = "") -> QuadMesh:
    """A value for each cell as a shade of `color`, darkest at `top`; goal and pits are marked."""
    n, (goal, pits) = side(world), special_cells(world)
    low = -1.0 if color == plots.TARGET else 0.0
    options: dict[str, Any] = dict(cmap=plots.shades(color), vmin=low, vmax=2 * top - low, edgecolors="white")
    picture = ax.pcolormesh(np.arange(n), np.arange(n), picture_of(world, values), linewidth=1, zorder=0, **options)
    for state, shade, name in [(goal, plots.REWARD, "goal"), *((pit, plots.ALARM, "pit") for pit in pits)]:
        x, y = divmod(state, n)
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=shade, alpha=0.25, linewidth=0))
        ax.text(x, y - 0.4, name, ha="center", va="bottom", color=shade, fontsize=9)
    ax.text(0, -0.55, "start", ha="center", va="top", color="#444444", fontsize=9)
    ax.set(xlim=(-0.52, n - 0.48), ylim=(-0.52, n - 0.48), aspect="equal", xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    return picture


def show_policy(ax: Axes, world: TabularMDP, policy: Tensor, *, color: str = plots.TUNED) -> Quiver:
    """Four arrows in each cell, as long and as strong as the probabilities [S, A]; none in goal and pits."""
    n, (goal, pits) = side(world), special_cells(world)
    walking = [s for s in range(world.states) if s not in (goal, *pits)]
    x, y = (torch.tensor(walking) // n).repeat_interleave(4), (torch.tensor(walking) % n).repeat_interleave(4)
    moves = DIRECTIONS.repeat(len(walking), 1)
    base = torch.stack([x, y], 1) + 0.06 * moves
    drawn = plots.arrows(ax, base, 0.42 * moves, unit=1.0, color=color, width=0.011)
    set_policy(drawn, world, policy, color)
    return drawn


def set_policy(drawn: Quiver, world: TabularMDP, policy: Tensor, color: str = plots.TUNED) -> None:
    """Turn arrows that `show_policy` made to another policy [S, A]."""
    goal, pits = special_cells(world)
    walking = torch.tensor([s for s in range(world.states) if s not in (goal, *pits)])
    chance = policy[walking].reshape(-1, 1)
    moves = DIRECTIONS.repeat(len(walking), 1)
    along = (0.42 * chance.sqrt() * moves).numpy()  # the root, so that a third is still an arrow
    drawn.set_UVC(along[:, 0], along[:, 1])
    red, green, blue, _ = to_rgba(color)
    drawn.set_facecolor([(red, green, blue, 0.15 + 0.85 * p) for p in chance.squeeze(1).tolist()])


def show_world(ax: Axes, found: Answer, world: TabularMDP, *, title: str = "") -> None:
    """Value of every cell and policy with all steps to go, at one α."""
    show_cells(ax, world, found.solution.values[0], color=plots.TARGET, top=1, title=title)
    show_policy(ax, world, found.solution.policy[0])


def show_laws(ax: Axes, returns: Tensor, reference: Tensor, optimal: Tensor, alpha: float, *, title: str = "") -> None:
    """log p*(τ)/p_ref(τ) against the return, larger where likelier, and the line of the tilt; all [N]. Shown are those
    with a chance above 1 in 10,000 under either law."""
    shown = torch.maximum(optimal, reference) > 1e-4
    log_ratio, size = (optimal / reference).log(), 8 + 500 * optimal
    options: dict[str, Any] = dict(color=plots.TUNED, alpha=0.35, linewidths=0, zorder=3)
    ax.scatter(returns[shown], log_ratio[shown], s=size[shown].numpy(), **options)
    ends = torch.stack([returns.min(), returns.max()])
    log_z = (reference.log() + returns / alpha).logsumexp(0)
    ax.plot(ends, ends / alpha - log_z, color=plots.TARGET, zorder=2)
    ax.set(xlabel="return R of a trajectory", ylabel="log $p^*$(τ) / $p_{ref}$(τ)", title=title)
