"""Pictures of a grid world, and the widget that moves its α and slip (§2).

A `Scene` holds what α does not change; `answer` maps α to arrays; `WalkView` draws them. Cell (x, y) is state
x·size + y, as in `mdp.grid_world`; values and laws are [S], policies [S, A].
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver
from torch import Tensor

from ... import plots
from ...mdp import (
    MOVES,
    SoftSolution,
    TabularMDP,
    Trajectories,
    expected_return,
    grid_world,
    path_kl,
    soft_value_iteration,
    value_iteration,
    visitation,
)
from ...widgets import Picture, log_slider, slider, together, words

SIZE, HABIT = 5, (0.3, 0.4, 0.15, 0.15)  # the habit likes up, then right
ALPHAS, SLIPS = (0.01, 10.0), tuple(round(0.05 * i, 2) for i in range(11))
PIT = "#b0413e"


def side(world: TabularMDP) -> int:
    """Cells on a side of a square grid world."""
    return math.isqrt(world.states)


def special_cells(world: TabularMDP) -> tuple[int, list[int]]:
    """The goal's state and the pits'."""
    n = side(world)
    return (n - 1) * n, [x * n for x in range(1, n - 1)]


def _cells(world: TabularMDP, values: Tensor) -> np.ndarray:
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
    picture = ax.pcolormesh(np.arange(n), np.arange(n), _cells(world, values), linewidth=1, zorder=0, **options)
    for state, shade, name in [(goal, plots.REWARD, "goal"), *((pit, PIT, "pit") for pit in pits)]:
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
    moves = torch.tensor(list(MOVES.values()), dtype=torch.float64).repeat(len(walking), 1)
    base = torch.stack([x, y], 1) + 0.06 * moves
    drawn = plots.arrows(ax, base, 0.42 * moves, unit=1.0, color=color, width=0.011)
    set_policy(drawn, world, policy, color)
    return drawn


def set_policy(drawn: Quiver, world: TabularMDP, policy: Tensor, color: str = plots.TUNED) -> None:
    """Turn arrows that `show_policy` made to another policy [S, A]."""
    goal, pits = special_cells(world)
    walking = torch.tensor([s for s in range(world.states) if s not in (goal, *pits)])
    chance = policy[walking].reshape(-1, 1)
    moves = torch.tensor(list(MOVES.values()), dtype=torch.float64).repeat(len(walking), 1)
    along = (0.42 * chance.sqrt() * moves).numpy()  # the root, so that a third is still an arrow
    drawn.set_UVC(along[:, 0], along[:, 1])
    red, green, blue, _ = to_rgba(color)
    drawn.set_facecolor([(red, green, blue, 0.15 + 0.85 * p) for p in chance.squeeze(1).tolist()])


def show_world(ax: Axes, found: "Answer", world: TabularMDP, *, title: str = "") -> None:
    """Value of every cell and policy with all steps to go, at one α."""
    show_cells(ax, world, found.solution.values[0], color=plots.TARGET, top=1, title=title)
    show_policy(ax, world, found.solution.policy[0])


def show_laws(ax: Axes, reference: Trajectories, optimal: Trajectories, alpha: float, *, title: str = "") -> None:
    """log p*(τ)/p_ref(τ) against the return, larger where likelier, and the line of the tilt. Only trajectories with a
    chance above 1 in 10,000 under either law are shown."""
    shown = torch.maximum(optimal.probability, reference.probability) > 1e-4
    log_ratio = (optimal.probability / reference.probability).log()
    size = 8 + 500 * optimal.probability
    options: dict[str, Any] = dict(color=plots.TUNED, alpha=0.35, linewidths=0, zorder=3)
    ax.scatter(reference.returns[shown], log_ratio[shown], s=size[shown].numpy(), **options)
    ends = torch.stack([reference.returns.min(), reference.returns.max()])
    log_z = (reference.probability.log() + reference.returns / alpha).logsumexp(0)
    ax.plot(ends, ends / alpha - log_z, color=plots.TARGET, zorder=2)
    ax.set(xlabel="return of a trajectory, Σr", ylabel="log $p^*$(τ) / $p_{ref}$(τ)", title=title)


@dataclass(frozen=True)
class Scene:
    """A cliff at one slip: its value, and the return of its policy, for every α of a curve [N]; the two limits."""

    world: TabularMDP
    alphas: Tensor
    values: Tensor
    returns: Tensor
    hard: float
    reference: float


@dataclass(frozen=True)
class Answer:
    """The optimum at one α: v_0 and visits in [S], π_0 [S, A]; J* = reward − α KL; the law of s_T [S]."""

    alpha: float
    solution: SoftSolution
    visits: Tensor
    ends: Tensor
    value: float
    reward: float
    kl: float


def answer(world: TabularMDP, alpha: float) -> Answer:
    """Solve a grid world at one α > 0. visits: mean number of steps spent in each cell."""
    solution = soft_value_iteration(world, alpha)
    law = visitation(world, solution.policy)
    value, reward = float(world.start @ solution.values[0]), expected_return(world, solution.policy)
    return Answer(alpha, solution, law[:-1].sum(0), law[-1], value, reward, path_kl(world, solution.policy))


@functools.lru_cache(maxsize=16)
def scene(slip: float) -> Scene:
    """The cliff at one slip."""
    world = grid_world(SIZE, slip, habit=HABIT)
    alphas = torch.logspace(math.log10(ALPHAS[0]), math.log10(ALPHAS[1]), 46, dtype=torch.float64)
    found = [answer(world, float(alpha)) for alpha in alphas]
    hard = float(world.start @ value_iteration(world).values[0])
    values, returns = torch.tensor([f.value for f in found]), torch.tensor([f.reward for f in found])
    return Scene(world, alphas, values, returns, hard, expected_return(world, world.reference))


def in_words(scene: Scene, answer: Answer) -> str:
    """Return, KL and value of one setting, and where the walk ends."""
    goal, pits = special_cells(scene.world)
    at_goal, in_pits = float(answer.ends[goal]), float(answer.ends[pits].sum())
    walking = max(1 - at_goal - in_pits, 0)
    text = (
        f"<b>Return {answer.reward:.2f}</b>, for which it pays <b>{answer.kl:.2f} nats</b> of leaving its habit: "
        f"value {answer.reward:.2f} − {answer.alpha:.3g} × {answer.kl:.2f} = <b>{answer.value:.2f}</b>.<br>"
        f"Best possible return {scene.hard:.2f}, the habit's own {scene.reference:.2f}. "
        f"Ends at the goal {at_goal:.0%}, in a pit {in_pits:.0%}, still walking {walking:.0%}."
    )
    return text.replace("-", "−")


class WalkView:
    """Three panels: value and policy of every cell, where the walk goes, and value and return against α."""

    def __init__(self, first: Scene):
        world, blank = first.world, torch.zeros(first.world.states)
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.25])
        self.cells = show_cells(
            axes[0], world, blank, color=plots.TARGET, top=1, title="A cell's value, and its policy"
        )
        self.policy = show_policy(axes[0], world, world.reference[0])
        self.visits = show_cells(
            axes[1], world, blank, color=plots.TUNED, top=2, title="Where the walk spends its steps"
        )
        goal, pits = special_cells(world)
        middle: dict[str, Any] = dict(ha="center", va="center", fontsize=10)
        self.endings = {state: axes[1].text(*divmod(state, SIZE), "", **middle) for state in (goal, *pits)}
        ax = axes[2]
        (self.returns,) = ax.semilogx([], [], color=plots.REWARD, label="return")
        (self.values,) = ax.semilogx([], [], color=plots.TARGET, label="value at the start")
        ax.set(xlim=ALPHAS, ylim=(-1.08, 1.1), xlabel="α", title="Value trails return by α·KL")
        limits: dict[str, Any] = dict(linewidth=1, linestyle="--", color=plots.PRETRAINED)
        self.limits = [ax.axhline(0, **limits) for _ in range(2)]
        labels: dict[str, Any] = dict(fontsize=10, va="bottom")
        self.names = [
            ax.text(ALPHAS[1], 0, "hard optimum", ha="right", color=plots.PRETRAINED, **labels),
            ax.text(1.1 * ALPHAS[0], 0, "habit alone", ha="left", color=plots.PRETRAINED, **labels),
        ]
        (self.gap,) = ax.plot([], [], color=plots.TUNED, label="α·KL")
        (self.reward,) = ax.plot([], [], "o", color=plots.REWARD, markersize=9, clip_on=False)
        (self.value,) = ax.plot([], [], "o", color=plots.TARGET, markersize=9, clip_on=False)
        ax.legend(handles=[self.returns, self.values, self.gap], ncols=3, loc="upper center", columnspacing=1)
        for dot in (self.reward, self.value):
            dot.set_in_layout(False)  # unclipped, so that it stays whole at the ends of α
        moving = [self.cells, self.policy, self.visits, *self.endings.values(), self.returns, self.values]
        self.picture = Picture(figure, [*moving, *self.limits, *self.names, self.gap, self.reward, self.value])

    def draw(self, scene: Scene, found: Answer) -> None:
        """Move the artists to one setting."""
        world = scene.world
        self.cells.set_array(_cells(world, found.solution.values[0]))
        set_policy(self.policy, world, found.solution.policy[0])
        self.visits.set_array(_cells(world, found.visits))
        for state, text in self.endings.items():
            text.set_text(f"{float(found.ends[state]):.0%}")
        self.returns.set_data(scene.alphas, scene.returns)
        self.values.set_data(scene.alphas, scene.values)
        for line, name, height in zip(self.limits, self.names, (scene.hard, scene.reference), strict=True):
            line.set_ydata([height, height])
            name.set_y(height)
        self.gap.set_data([found.alpha] * 2, [found.value, found.reward])
        self.reward.set_data([found.alpha], [found.reward])
        self.value.set_data([found.alpha], [found.value])


def walk() -> ui.VBox:
    """The widget: α from hard-greedy to habit, and the slip of the ground."""
    view, text = WalkView(scene(0.1)), words()
    view.picture.widget.add_class("walk")
    for slip in SLIPS:
        scene(slip)  # or the slider would wait for its curve

    def respond(alpha: float, slip: float) -> None:
        here = scene(round(slip, 2))
        found = answer(here.world, alpha)
        view.draw(here, found)
        view.picture.refresh()
        text.value = in_words(here, found)

    controls = [log_slider("α", 0.2, *ALPHAS), slider("slip", 0.1, SLIPS[0], SLIPS[-1], 0.05)]
    return together(controls, respond, view.picture.widget, text)
