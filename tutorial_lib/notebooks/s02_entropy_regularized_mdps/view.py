"""The widget on a grid world: α from hard-greedy to habit, and the slip of the ground."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from IPython.display import Image
from matplotlib.axes import Axes

from ... import plots
from ...widgets import Picture, log_slider, slider, together, words
from .figures import picture_of, set_policy, show_cells, show_policy
from .study import ALPHAS, SIZE, SLIPS, Answer, Scene, answer, scene, special_cells

FIRST: dict[str, Any] = dict(alpha=0.2, slip=0.1)


def in_words(scene: Scene, answer: Answer) -> str:
    """Return, KL and value of one setting, and where the walk ends."""
    goal, pits = special_cells(scene.world)
    at_goal, in_pits = float(answer.ends[goal]), float(answer.ends[pits].sum())
    walking = max(1 - at_goal - in_pits, 0)
    text = (
        f"<b>Return {answer.reward:.2f}</b>, at a path KL of <b>{answer.kl:.2f} nats</b>: "
        f"value {answer.reward:.2f} − {answer.alpha:.3g} × {answer.kl:.2f} = <b>{answer.value:.2f}</b>.<br>"
        f"Best possible return {scene.hard:.2f}, the habit's own {scene.reference:.2f}. "
        f"Ends at the goal {at_goal:.0%}, in a pit {in_pits:.0%}, still walking {walking:.0%}."
    )
    return plots.minus(text)


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
        self._curves(axes[2])
        moving = [self.cells, self.policy, self.visits, *self.endings.values(), self.returns, self.values]
        moving += [*self.limits, *self.names, self.gap, self.reward, self.value, self.title]
        self.picture = Picture(figure, moving)

    def _curves(self, ax: Axes) -> None:
        """Return and value against α, the two limits, and this α."""
        (self.returns,) = ax.semilogx([], [], color=plots.REWARD, label="return")
        (self.values,) = ax.semilogx([], [], color=plots.TARGET, label="value at the start")
        ax.set(xlim=ALPHAS, ylim=(-1.08, 1.1), xlabel="α")
        self.title = ax.set_title(" ")
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

    def draw(self, scene: Scene, found: Answer) -> None:
        """Move the artists to one setting."""
        world = scene.world
        self.cells.set_array(picture_of(world, found.solution.values[0]))
        set_policy(self.policy, world, found.solution.policy[0])
        self.visits.set_array(picture_of(world, found.visits))
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
        title = f"α = {found.alpha:.3g}, slip {scene.slip:g}: value trails return by α·KL"
        self.title.set_text(title)


def still(**settings: Any) -> Image:
    """The widget's picture at an alpha and a slip, for a page without a kernel; FIRST where none is given."""

    def at(*, alpha: float, slip: float) -> WalkView:
        here = scene(slip)
        view = WalkView(here)
        view.draw(here, answer(here.world, alpha))
        return view

    return at(**(FIRST | settings)).picture.still()


def play() -> ui.VBox:
    """The widget: α and slip."""
    view, text = WalkView(scene(FIRST["slip"])), words()
    view.picture.widget.add_class("walk")
    for slip in SLIPS:
        scene(slip)  # or the slider would wait for its curve

    def respond(alpha: float, slip: float) -> None:
        here = scene(round(slip, 2))
        found = answer(here.world, alpha)
        view.draw(here, found)
        view.picture.refresh()
        text.value = in_words(here, found)

    controls = [log_slider("α", FIRST["alpha"], *ALPHAS), slider("slip", FIRST["slip"], SLIPS[0], SLIPS[-1], 0.05)]
    return together(controls, respond, view.picture.widget, text)
