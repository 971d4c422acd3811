"""The widget on off-policy paths: α and the share that p_pre drew move two samples and both regrets."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from IPython.display import Image
from matplotlib.axes import Axes

from ... import plots
from ...widgets import Picture, notches, together, words
from .study import CONSISTENCY, METHODS, PARTICLES, PPO, Scene

LINES = {CONSISTENCY: "-", PPO: "--"}
SHOWN = 3.4


def in_words(scene: Scene, alpha: float, share: float) -> str:
    """Both regrets at one setting, and whose paths they learned from."""
    source = {0.0: "all paths its own", 1.0: "all paths p_pre's"}.get(share, f"{share:.0%} of the paths p_pre's")
    parts = []
    for method in METHODS:
        found = scene.tuned[method, alpha, share]
        gone = (found.x_0.abs().amax(1) > SHOWN).float().mean().item()
        note = f" (ran away: {gone:.0%} of its samples are out of the picture)" if gone > 0.1 else ""
        parts.append(f"{method} <b>{found.regret:.1%}</b> ± {found.regret_se:.1%}{note}")
    return f"α = {alpha:g}, {source}. Regret: {', '.join(parts)}; {scene.family_gaps[alpha]:.1%} is the family's."


class ShareView:
    """Three panels: samples of both methods on the exact target, and both regrets against the share."""

    def __init__(self, scene: Scene):
        self.scene = scene
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.2])
        first, extent = next(iter(scene.targets.values())), scene.world.extent or SHOWN
        blank = torch.zeros(PARTICLES, 2)
        self.maps, self.clouds, self.curves, self.dots = [], [], [], []
        for ax, method in zip(axes[:2], METHODS, strict=True):
            self.maps.append(plots.density(ax, first, extent=extent, color=plots.TARGET, title=method))
            self.clouds.append(plots.samples(ax, blank, size=5))
            ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
        self._regrets(axes[2])
        moving = [*self.maps, *self.clouds, *self.curves, *self.dots, self.floor, *self.names, axes[2].title]
        self.picture = Picture(figure, moving)

    def _regrets(self, ax: Axes) -> None:
        """A line and a dot for each method, the family gap, and their names."""
        for method in METHODS:
            self.curves += ax.semilogy([], [], LINES[method], color=plots.TUNED)
            self.dots += ax.semilogy([], [], "o", color=plots.TUNED, markersize=8)
        self.floor = ax.axhline(1, color=plots.TARGET, linewidth=1, linestyle=":")
        labels: dict[str, Any] = dict(fontsize=10, ha="right", va="bottom")
        names = zip((*METHODS, "the family's own"), (plots.TUNED, plots.TUNED, plots.TARGET), strict=True)
        self.names = [ax.text(1.04, 1, name, color=color, **labels) for name, color in names]
        top = max(2.0, *(2 * found.regret for found in self.scene.tuned.values()))
        ax.set(xlim=(-0.05, 1.05), ylim=(0.008, top), xlabel="share of paths drawn by $p_{pre}$", ylabel="regret")
        plots.percents(ax, 1)
        ax.set_title(" ")

    def draw(self, alpha: float, share: float) -> None:
        """Move the artists to one setting."""
        scene = self.scene
        for i, method in enumerate(METHODS):
            plots.scale_to(self.maps[i], scene.targets[alpha])
            self.clouds[i].set_offsets(scene.tuned[method, alpha, share].x_0.numpy())
            regrets = [scene.tuned[method, alpha, s].regret for s in scene.shares]
            self.curves[i].set_data(scene.shares, regrets)
            self.dots[i].set_data([share], [scene.tuned[method, alpha, share].regret])
            self.names[i].set_y(1.12 * regrets[-1])
        self.floor.set_ydata([scene.family_gaps[alpha]] * 2)
        self.names[-1].set_y(scene.family_gaps[alpha] / 1.05)
        self.names[-1].set_va("top")
        self.floor.axes.title.set_text(f"α = {alpha:g}, {share:.0%} of the paths by $p_{{pre}}$")


def first(scene: Scene) -> dict[str, float]:
    """Where the widget begins: the middle α, and the largest share."""
    return dict(alpha=list(scene.targets)[len(scene.targets) // 2], share=scene.shares[-1])


def still(scene: Scene, **settings: float) -> Image:
    """The widget's picture at an alpha and a share, for a page without a kernel; its first where none is given."""

    def at(*, alpha: float, share: float) -> ShareView:
        view = ShareView(scene)
        view.draw(alpha, share)
        return view

    return at(**(first(scene) | settings)).picture.still()


def play(scene: Scene) -> ui.VBox:
    """The widget: α and the share of p_pre's paths, over policies that are tuned already."""
    view, text, begin = ShareView(scene), words(), first(scene)
    view.picture.widget.add_class("shares")

    def respond(alpha: float, share: float) -> None:
        view.draw(alpha, share)
        view.picture.refresh()
        text.value = in_words(scene, alpha, share)

    controls = [
        notches("α", list(scene.targets), begin["alpha"]),
        notches("share of p_pre", scene.shares, begin["share"]),
    ]
    return together(controls, respond, view.picture.widget, text)
