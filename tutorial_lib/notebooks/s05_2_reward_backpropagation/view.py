"""The widget of 05_2_reward_backpropagation: α and K, over policies that are trained already."""

import ipywidgets as ui
import matplotlib.pyplot as plt
from IPython.display import Image
from matplotlib.axes import Axes

from ... import plots
from ...widgets import Picture, notches, together, words
from .figures import SHOWN
from .study import Scene, Tuned, answer

REACH = 0.6  # the highest KL of one step that is shown
STRAY = plots.ALARM


def in_words(scene: Scene, tuned: Tuned) -> str:
    """What the policy covers, earns and pays, beside the optimum."""
    best, stray = scene.tilted.at(tuned.alpha), tuned.kl[tuned.last :].sum().item()
    text = (
        f"<b>α = {tuned.alpha:g}, gradient through the last {tuned.last} of {len(tuned.kl)} steps.</b> Modes covered: "
        f"<b>{tuned.modes}</b>, the optimum {scene.modes[tuned.alpha]}. "
        f"J = {tuned.reward:.2f} − {tuned.alpha:g} × {tuned.kl.sum():.2f} = <b>{tuned.objective:.2f}</b>, "
        f"the optimum {best.objective:.2f}.<br>"
    )
    if tuned.last < len(tuned.kl):
        text += (
            f"{stray:.2f} nats are paid at steps that no gradient reached: the network is shared, the bill is not seen."
        )
    else:
        text += "Every step sees the reward, and its own bill."
    return plots.minus(text)


class TunedView:
    """Three panels: samples on the exact target, modes against α, and the KL of every step."""

    def __init__(self, scene: Scene, title: str = ""):
        """title: above the panels, for a picture without its controls."""
        self.scene = scene
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 4.2 if title else 3.9), width_ratios=[1, 1, 1.2])
        figure.suptitle(title)
        mass, extent = scene.tilted.pretrained, scene.tilted.grid.extent
        self.target = plots.density(axes[0], mass, extent=extent, color=plots.TARGET, title="Samples on the target")
        self.samples = plots.samples(axes[0], next(iter(scene.tuned.values())).x, size=4)
        axes[0].set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
        self._set_modes(axes[1])
        self._set_steps(axes[2])
        self.picture = Picture(figure, [self.target, self.samples, self.line, self.here, *self.bars, self.edge])

    def _set_modes(self, ax: Axes) -> None:
        scene, first = self.scene, self.scene.alphas[0]
        ax.semilogx(scene.alphas, [scene.modes[a] for a in scene.alphas], "o-", color=plots.TARGET, markersize=4)
        ax.text(first, scene.modes[first] + 0.15, "exact optimum", color=plots.TARGET, va="bottom")
        (self.line,) = ax.semilogx([], [], "o-", color=plots.TUNED, markersize=4)
        (self.here,) = ax.semilogx([], [], "o", color=plots.TUNED, markersize=10)
        top = max([*scene.modes.values(), *(tuned.modes for tuned in scene.tuned.values())])
        ax.set(xlabel="α", ylim=(0, top + 0.8), title="Modes covered, at this K")

    def _set_steps(self, ax: Axes) -> None:
        T = self.scene.world.schedule.T
        self.bars = ax.bar(range(1, T + 1), [0.0] * T, width=0.75)
        self.edge = ax.axvline(T + 0.5, color="#444444", linewidth=1, linestyle="--")
        ax.text(0.98, 0.96, "reached", color=plots.TUNED, transform=ax.transAxes, ha="right", va="top")
        ax.text(0.05, 0.96, "not reached", color=STRAY, transform=ax.transAxes, ha="left", va="top")
        ax.set(xlim=(T + 1, 0), ylim=(0, REACH), xlabel="t", title="KL$_t$ (nats); the line is at t = K")

    def draw(self, tuned: Tuned) -> None:
        """Move the artists to one policy. A KL beyond the panel ends at its edge."""
        scene = self.scene
        plots.scale_to(self.target, scene.tilted.at(tuned.alpha).mass)
        self.samples.set_offsets(tuned.x.numpy())
        self.line.set_data(scene.alphas, [scene.tuned[a, tuned.last].modes for a in scene.alphas])
        self.here.set_data([tuned.alpha], [tuned.modes])
        self.edge.set_xdata([tuned.last + 0.5] * 2)
        for t, (bar, kl) in enumerate(zip(self.bars, tuned.kl.tolist(), strict=True), start=1):
            bar.set_height(min(kl, REACH))
            bar.set_color(plots.TUNED if t <= tuned.last else STRAY)


def still(scene: Scene, *, alpha: float | None = None, last: int | None = None) -> Image:
    """The widget's picture at α and K (`last`), for a page without a kernel. None: as it starts, at the smallest α and
    the largest K."""
    alpha, last = scene.alphas[0] if alpha is None else alpha, scene.depths[-1] if last is None else last
    tuned = answer(scene, alpha=alpha, last=last)
    view = TunedView(scene, f"α = {tuned.alpha:g}, gradient through the last K = {tuned.last} steps")
    view.draw(tuned)
    return view.picture.still()


def play(scene: Scene) -> ui.VBox:
    """The widget: α and K."""
    view, text = TunedView(scene), words()
    view.picture.widget.add_class("tuned")

    def respond(alpha: float, last: int) -> None:
        tuned = answer(scene, alpha=alpha, last=last)
        view.draw(tuned)
        view.picture.refresh()
        text.value = in_words(scene, tuned)

    controls = [notches("α", scene.alphas, scene.alphas[0]), notches("K", scene.depths, scene.depths[-1])]
    return together(controls, respond, view.picture.widget, text)
