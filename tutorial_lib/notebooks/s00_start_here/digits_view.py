"""The playground on digits: two walls of images and the frontier, the words beneath them, and the widget."""

import functools
import math
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ... import plots
from ...widgets import Picture, choice, log_slider, moving_image, together, words
from .digits_study import REWARDS, SIDE, STEPS, Answer, Scene, alpha_range, answer, scene, tuned_point

FIRST: dict[str, Any] = dict(alpha=0.02, reward="ink")


class DigitsView:
    """Three panels: the re-weighted wall, the tuned policy's wall (or the pretrained one), the frontier; the settings
    above."""

    def __init__(self, scene: Scene):
        self.scene = scene
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 4.4), width_ratios=[1, 1, 1.15])
        self.settings = figure.suptitle(" ", fontsize=11, x=0.01, ha="left")
        title = "Pretrained digits" if scene.measured is None else f"The tuned policy, live in {STEPS} steps"
        self.wall = plots.show_wall(axes[0], scene.pretrained, columns=SIDE, title="A bank, re-weighted by exp(r/α)")
        self.live = plots.show_wall(axes[1], scene.pretrained, columns=SIDE, title=title)
        self._frontier(axes[2])
        (self.best,) = axes[2].plot([], [], "o", color=plots.TARGET, markersize=7)
        (self.here,) = axes[2].plot([], [], "o", color=plots.TUNED, markersize=5)
        self.best_error, self.here_error = (
            axes[2].plot([], [], color=dot.get_color(), linewidth=1.5)[0] for dot in (self.best, self.here)
        )
        errors = [self.best_error, self.here_error]
        self.picture = Picture(figure, [self.settings, self.wall, self.live, *errors, self.best, self.here])

    def _frontier(self, ax: Axes) -> None:
        """The frontier, solid up to where it is trusted, and what the tuned policy attains along its α."""
        curve, trusted = self.scene.curve, [p for p in self.scene.curve if p.trusted]
        kl, reward = [p.kl for p in curve], [p.reward for p in curve]
        ax.plot(kl, reward, ":", color=plots.TARGET)
        title = f"The frontier of {len(self.scene.frontier.rewards):,} samples"
        plots.frontier(ax, [p.kl for p in trusted], [p.reward for p in trusted], title=title, exact=False)
        tuned = "" if self.scene.measured is None else ", KL(path) of tuned"
        ax.set(xlabel=f"KL($x_0$) of the bank{tuned} (nats)", ylabel="expected reward (crosses: ± 2 s.e.)")
        if len(trusted) < len(curve):
            edge = max(p.kl for p in trusted)
            ax.axvspan(edge, 1.05 * max(kl), color=plots.ALARM, alpha=0.08, linewidth=0)
            note: dict[str, Any] = dict(textcoords="offset points", color=plots.ALARM)
            ax.annotate("too few effective\nsamples to trust", (edge, min(reward)), (6, 6), **note)
        ax.set_xlim(-0.02 * max(kl), 1.05 * max(kl))
        if self.scene.measured is not None:
            attained = [tuned_point(self.scene, p.alpha) for p in curve]
            ax.plot([p.kl for p in attained], [p.reward for p in attained], color=plots.TUNED, linewidth=1)
            end = max(p.kl for p in attained), max(p.reward for p in attained)
            ax.annotate("tuned", end, (6, -4), textcoords="offset points", color=plots.TUNED)

    def draw(self, answer: Answer) -> None:
        """Move everything to one α."""
        self.settings.set_text(f"digits, reward {self.scene.reward_name};  α = {answer.alpha:.3g}")
        self.wall.set_data(plots.wall(answer.wall, columns=SIDE))
        self.live.set_data(plots.wall(answer.live, columns=SIDE))
        best, here = answer.best, answer.attained
        stand(self.best, self.best_error, best.kl, best.kl_se, best.reward, best.reward_se)
        if here is not None:
            stand(self.here, self.here_error, here.kl, here.kl_se, here.reward, here.reward_se)


def stand(dot: Line2D, cross: Line2D, kl: float, kl_se: float, reward: float, reward_se: float) -> None:
    """A dot at (KL, reward), and ± 2 standard errors around it as the two strokes of a cross."""
    dot.set_data([kl], [reward])
    across, up = [kl - 2 * kl_se, kl + 2 * kl_se], [reward - 2 * reward_se, reward + 2 * reward_se]
    cross.set_data([*across, math.nan, kl, kl], [reward, reward, math.nan, *up])


def in_words(scene: Scene, answer: Answer) -> str:
    """The optimum by re-weighting and, where one is shipped, the tuned policy."""
    best, here = answer.best, answer.attained
    warning = "" if best.trusted else f" <b style='color:{plots.ALARM}'>Too few to trust.</b>"
    said = (
        f"<b>Optimum: KL(x<sub>0</sub>) {best.kl:.2f} ± {best.kl_se:.2f} nats, "
        f"reward {best.reward:.3g} ± {best.reward_se:.1g}</b> "
        f"(pretrained {float(scene.frontier.rewards.mean()):.3g}). "
        f"Effective sample size {best.size:,.0f} of {len(scene.frontier.rewards):,}.{warning}"
    )
    if here is None or answer.trained_at is None:
        tail = "No policy tuned for this reward at every α is shipped, so there is no live wall."
        return f"{plots.minus(said)}<br>{tail}"
    at = answer.trained_at
    way = "up" if at > answer.alpha else "down"
    away = "" if at == answer.alpha else f" It was trained for α from {at:g} {way}."
    return plots.minus(
        f"{said}<br><b>Tuned: KL(path) {here.kl:.2f} ± {here.kl_se:.2f} nats, reward {here.reward:.3g} ± "
        f"{here.reward_se:.1g}</b>, measured with all 50 steps; the wall takes {STEPS}.{away}"
    )


@functools.lru_cache(maxsize=len(REWARDS))
def digits_view(reward: str) -> DigitsView:
    """The view of a reward, made once for the widget."""
    return DigitsView(scene(reward))


def still(**settings: Any) -> Image:
    """The widget's picture at an alpha and a reward, for a page without a kernel; FIRST where none is given."""

    def at(*, alpha: float, reward: str) -> DigitsView:
        view = DigitsView(scene(reward))
        view.draw(answer(view.scene, alpha))
        return view

    return at(**(FIRST | settings)).picture.still()


def play() -> ui.VBox:
    """The widget: α and the reward move the re-weighted bank, and the tuned policy where one is shipped."""
    image, text = moving_image(digits_view(FIRST["reward"]).picture.figure, "digits"), words()
    alpha = log_slider("α on digits", FIRST["alpha"], *alpha_range(FIRST["reward"]))
    reward = choice("reward of the digits", REWARDS, FIRST["reward"])

    def rescale(change: dict) -> None:
        low, high = alpha_range(change["new"])
        with alpha.hold_trait_notifications():
            alpha.min, alpha.max, alpha.value = math.log10(low), math.log10(high), 8 * low

    reward.observe(rescale, names="value")

    def respond(alpha: float, reward: str) -> None:
        view = digits_view(reward)
        found = answer(view.scene, alpha)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(view.scene, found)

    return together([alpha, reward], respond, image, text)
