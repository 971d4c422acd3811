"""The widget on reward-weighted MLE: α, the number of samples and the reward move what there is to learn from."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
from IPython.display import Image

from ... import plots
from ...widgets import Picture, choice, log_slider, notches, together, words
from .figures import SHOWN, areas
from .study import ALPHAS, REWARDS, SIZES, Answer, Scene, answer, scene

FIRST: dict[str, Any] = dict(alpha=0.5, n=500, reward="a peak beyond the ring")


def in_words(found: Answer) -> str:
    """How many samples are left, and whether what they say can be trusted."""
    n, heaviest = len(found.weights), float(found.weights.max())
    verdict = (
        "<b>Enough to learn from.</b>"
        if found.effective >= 100
        else "<b>Few: what is learned will remember them.</b>"
        if found.effective >= 10
        else f"<b style='color:{plots.ALARM}'>A handful: these points are what will be learned.</b>"
    )
    doubt = " Over twice what is foretold: what would carry the weight was not drawn." * (
        found.effective > 2 * found.foretold
    )
    foretold = f"{found.foretold:.1f}" if found.foretold >= 1 else "not even one"
    text = (
        f"α = {found.alpha:.3g}: <b>{found.effective:.1f} effective samples</b> of {n} ({foretold} foretold), the "
        f"heaviest carries {heaviest:.1%}. {verdict}{doubt}<br>"
        f"Mean reward under the weights {found.reward:.2f}, under the exact target {found.target.reward:.2f}."
    )
    return plots.minus(text)


class WeightView:
    """Three panels: samples as large as their weights on the exact target, what they add up to, and ESS against α."""

    def __init__(self, scene: Scene):
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.15])
        extent, mass = scene.tilted.grid.extent, scene.tilted.pretrained
        titles = ("Exact target, weighted samples", "What these samples show")
        self.target = plots.density(axes[0], mass, extent=extent, color=plots.TARGET, title=titles[0])
        self.points = plots.samples(axes[0], scene.x_0[:1])
        self.density = plots.density(axes[1], mass, extent=extent, color=plots.TUNED, title=titles[1])
        for ax in axes[:2]:
            ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
        ax = axes[2]
        (self.curve,) = ax.loglog([], [], color=plots.TARGET)
        (self.here,) = ax.loglog([], [], "o", color=plots.TUNED, markersize=9)
        ax.axhline(1, color=plots.PRETRAINED, linewidth=1, linestyle="--")
        ax.text(ALPHAS[1], 1.1, "one sample", ha="right", va="bottom", color=plots.PRETRAINED, fontsize=10)
        ax.set(
            xlim=(ALPHAS[0] / 1.12, ALPHAS[1] * 1.12),
            ylim=(0.3, SIZES[-1]),
            xlabel="α",
            title=" ",
        )
        self.picture = Picture(figure, [self.target, self.points, self.density, self.curve, self.here, ax.title])

    def draw(self, scene: Scene, found: Answer) -> None:
        """Move the artists to one setting."""
        n = len(found.weights)
        plots.scale_to(self.target, found.target.mass)
        plots.scale_to(self.density, found.density)
        self.points.set_offsets(scene.x_0[:n].numpy())
        self.points.set_sizes(areas(found.weights))
        self.curve.set_data(scene.alphas, n * scene.shares)
        self.here.set_data([found.alpha], [found.effective])
        self.here.axes.title.set_text(f"α = {found.alpha:.3g}, n = {n}: {found.effective:.1f} effective samples")


def still(**settings: Any) -> Image:
    """The widget's picture at an alpha, an n and a reward, for a page without a kernel; FIRST where none is given."""

    def at(*, alpha: float, n: int, reward: str) -> WeightView:
        here = scene(reward)
        view = WeightView(here)
        view.draw(here, answer(here, alpha, n))
        return view

    return at(**(FIRST | settings)).picture.still()


def play() -> ui.VBox:
    """The widget: α, the number of samples, and the reward."""
    view, text = WeightView(scene(FIRST["reward"])), words()
    view.picture.widget.add_class("weights")
    for name in REWARDS:
        scene(name)  # or the menu would wait for it

    def respond(alpha: float, n: int, reward: str) -> None:
        here = scene(reward)
        found = answer(here, alpha, n)
        view.draw(here, found)
        view.picture.refresh()
        text.value = in_words(found)

    controls = [
        log_slider("α", FIRST["alpha"], *ALPHAS),
        notches("samples n", SIZES, FIRST["n"]),
        choice("reward", list(REWARDS), FIRST["reward"]),
    ]
    return together(controls, respond, view.picture.widget, text)
