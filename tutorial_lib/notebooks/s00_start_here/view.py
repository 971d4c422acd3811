"""The playground in the plane: three panels, the words beneath them, and the widget."""

import functools
import math
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots
from ...widgets import Picture, choice, log_slider, moving_image, slider, together, words
from .study import (
    ALPHAS,
    EXACT,
    EXACT_VALUE,
    PARTICLES,
    PLANE_WORLDS,
    REWARDS,
    Answer,
    Scene,
    answer,
    applied,
    methods,
    scene,
)

FIRST: dict[str, Any] = dict(alpha=0.5, strength=1.0, method=EXACT_VALUE, reward="peak", world="ring")
SHOWN = 0.7  # of the world's extent, in the two maps
REACH = 2.8  # width of the panel of the frontier, in units of the largest KL on it: methods go further right
TWO_KLS = "KL($x_0$) of the frontier, KL(path) of a method (nats)"


def in_words(scene: Scene, answer: Answer) -> str:
    """What flew off, then KL, reward and regret as a sentence each."""
    gone = told_of_those_that_left(answer)
    if not math.isfinite(answer.objective):
        return f"{gone} Too few are left for a number."
    exact = answer.method == EXACT
    noise = "" if exact else f" ± {answer.reward_se:.2f}"
    kl = "KL(x<sub>0</sub>) = KL(path) =" if exact else "KL(path)"
    first = (
        f"<b>{kl} {answer.kl:.2f} nats</b>, {'about' if exact else 'at most'} as choosy as keeping one pretrained "
        f"sample in {math.exp(min(answer.kl, 20)):,.0f}. "
        f"<b>Reward {answer.reward:,.2f}{noise}</b> (pretrained {scene.pretrained_objective:.2f})."
    )
    if exact:
        second = f"J = J* = {answer.objective:.2f}: the optimum itself. γ does not act on it."
        return plots.minus(f"{first}<br>{second}<br>{told_of_alpha(scene, answer)}")
    outside = int((_beyond(answer.x_0, SHOWN * scene.tilted.grid.extent)).sum())
    unseen = f" {outside} of the particles lie outside the panel." if outside else ""
    second = (
        f"J = {answer.objective:,.2f} where J* = {answer.target.objective:.2f}: "
        f"<b>regret {answer.regret:,.1%} ± {answer.regret_se:,.1%}</b>. {_verdict(answer)}{unseen}"
    )
    return plots.minus("<br>".join([line for line in (gone, first, second, told_of_alpha(scene, answer)) if line]))


def told_of_alpha(scene: Scene, answer: Answer) -> str:
    """The α that the method really applied, where it is known."""
    found = applied(scene, answer)
    if found is None:
        return "The α that it applied is kept for the ring at γ = 1 only."
    if math.isnan(found.alpha):
        return "The α that it applied is not known: its paths go too far for any grid here."
    if math.isinf(found.alpha):
        return "<b>Applied α = ∞</b>: its samples have not moved with the reward."
    return (
        f"<b>Applied α = {found.alpha:.3g}</b> (asked {answer.alpha:.3g}): a line in r explains r² = {found.r2:.1%} of "
        "log p<sub>θ</sub>(x<sub>0</sub>)/p<sub>pre</sub>(x<sub>0</sub>)."
    )


def told_of_those_that_left(answer: Answer) -> str:
    """Nothing where every particle stayed."""
    if not answer.left:
        return ""
    return (
        f"<b style='color:{plots.ALARM}'>{answer.left} of {PARTICLES} particles flew off</b> and are left out: "
        f"the steps overshoot at this α and γ."
    )


def _beyond(x_0: Tensor, extent: float) -> Tensor:
    return x_0.abs().amax(1) > extent


def _verdict(answer: Answer) -> str:
    if answer.left:
        return "Counting those that flew off, it has no bound."
    if answer.regret < 0.02 + 2 * answer.regret_se:
        return f"Nearly optimal, as far as {PARTICLES} particles can tell."
    if answer.regret < 0.2:
        return "Close, with something left to gain."
    return "Worse than doing nothing." if answer.regret > 1 else "Far from the frontier."


class PlaneView:
    """Three panels: pretrained density and reward, exact target and samples, frontier and this setting's point; the
    settings above."""

    def __init__(self, scene: Scene):
        self.scene = scene
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 4.4), width_ratios=[1, 1, 1.15])
        self._header(figure)
        self._maps(*axes[:2])
        self._frontier(axes[2])
        moving = [self.settings, self.alarm, self.target, self.points, self.gap, self.best, self.here, self.off]
        self.picture = Picture(figure, moving)

    def _header(self, figure: Figure) -> None:
        self.settings = figure.suptitle(" ", fontsize=11, x=0.01, ha="left")
        self.alarm = figure.text(0.99, 0.98, "", fontsize=11, ha="right", va="top", color=plots.ALARM)

    def _maps(self, before: Axes, after: Axes) -> None:
        tilted, extent = self.scene.tilted, self.scene.tilted.grid.extent
        plots.density(before, tilted.pretrained, extent=extent, title="Pretrained, with reward contours")
        plots.reward_contours(before, self.scene.axis, self.scene.reward)
        title = "Exact target, and samples of the method"
        self.target = plots.density(after, tilted.pretrained, extent=extent, color=plots.TARGET, title=title)
        self.points = plots.samples(after, self.scene.axis.new_zeros(1, 2))
        for ax in (before, after):
            ax.set(xlim=(-SHOWN * extent, SHOWN * extent), ylim=(-SHOWN * extent, SHOWN * extent))

    def _frontier(self, ax: Axes) -> None:
        kl, reward = [p.kl for p in self.scene.curve], [p.reward for p in self.scene.curve]
        plots.frontier(ax, kl, reward, title="No method lies above the frontier")
        self.right, low, top = REACH * max(kl), self.scene.pretrained_objective, max(reward)
        self.bottom = low - 0.35 * (top - low)
        ax.set(xlim=(-0.03 * self.right, self.right), ylim=(self.bottom, top + 0.08 * (top - low)), xlabel=TWO_KLS)
        ax.plot(0, low, "o", color=plots.PRETRAINED, markersize=9)
        ax.annotate("pretrained", (0, low), (8, -12), textcoords="offset points", color=plots.PRETRAINED)
        (self.gap,) = ax.plot([], [], color=plots.TUNED, linewidth=1.2)
        (self.best,) = ax.plot([], [], "o", color=plots.TARGET, markersize=11)
        (self.here,) = ax.plot([], [], "o", color=plots.TUNED, markersize=7, clip_on=False, in_layout=False)
        self.off = ax.text(self.right, self.bottom, "", color=plots.TUNED, ha="right", va="bottom", in_layout=False)

    def draw(self, answer: Answer) -> None:
        """Move the artists to one answer. A point off the panel waits at its edge as a triangle."""
        where = f"{self.scene.world.name}, reward {self.scene.reward_name}"
        self.settings.set_text(f"{where};  {answer.method};  α = {answer.alpha:.3g}, γ = {answer.strength:.3g}")
        self.alarm.set_text(f"{answer.left} of {PARTICLES} particles flew off" if answer.left else "")
        plots.scale_to(self.target, answer.target.mass)
        self.points.set_offsets(np.asarray(answer.x_0))
        kl, reward = min(answer.kl, 0.985 * self.right), max(answer.reward, self.bottom)
        self.here.set_data([kl], [reward])
        inside = (kl, reward) == (answer.kl, answer.reward)
        self.here.set_marker("o" if inside else ">" if kl < answer.kl else "v")
        self.off.set_text("" if inside else f"off the panel: KL(path) {answer.kl:,.3g}, reward {answer.reward:,.3g}")
        self.best.set_data([answer.target.kl], [answer.target.reward])
        self.gap.set_data([kl, answer.target.kl], [reward, answer.target.reward])


@functools.lru_cache(maxsize=8)
def plane_view(world: str, reward: str) -> PlaneView:
    """The view of a world and a reward, made once for the widget."""
    return PlaneView(scene(world, reward))


def still(**settings: Any) -> Image:
    """The widget's picture at an alpha, a strength, a method, a reward and a world, for a page without a kernel; FIRST
    where none is given."""

    def at(*, alpha: float, strength: float, method: str, reward: str, world: str) -> PlaneView:
        view = PlaneView(scene(world, reward))
        view.draw(answer(view.scene, alpha, strength, method))
        return view

    return at(**(FIRST | settings)).picture.still()


def play() -> ui.VBox:
    """The widget: α, γ, method, reward and world."""
    image, text = moving_image(plane_view(FIRST["world"], FIRST["reward"]).picture.figure, "plane"), words()
    method = choice("method", methods(FIRST["world"], FIRST["reward"]), FIRST["method"])
    reward, world = choice("reward", REWARDS, FIRST["reward"]), choice("world", PLANE_WORLDS, FIRST["world"])

    def offer(_: object) -> None:
        found = methods(world.value, reward.value)
        kept = method.value if method.value in found else FIRST["method"]
        if found != method.options:
            method.options, method.value = found, kept

    for control in (reward, world):
        control.observe(offer, names="value")

    def respond(alpha: float, strength: float, method: str, reward: str, world: str) -> None:
        view = plane_view(world, reward)
        found = answer(view.scene, alpha, strength, method)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(view.scene, found)

    moved = log_slider("α", FIRST["alpha"], *ALPHAS), slider("guidance strength γ", FIRST["strength"], 0.0, 3.0, 0.05)
    return together([*moved, method, reward, world], respond, image, text)
