"""Whose paths a method learns from (§6.3): the widget over policies that are trained already, and its words."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from IPython.display import Image
from matplotlib.axes import Axes

from ... import plots
from ...widgets import Picture, notches, together, words
from .figures import SHOWN
from .study import CONSISTENCY, METHODS, PARTICLES, PPO, Scene, Tuned

LINES = {CONSISTENCY: "-", PPO: "--"}
LOWEST = 0.008  # regret that is shown


def in_words(scene: Scene, alpha: float, share: float) -> str:
    """Both regrets at one setting, whose paths they come from, and how many samples the picture does not show."""
    parts = []
    for method in METHODS:
        found = scene.tuned[method, alpha, share]
        gone = beyond(found)
        note = f" ({gone} of its {PARTICLES} samples lie beyond the edge of the map)" if gone else ""
        parts.append(f"{method} <b>{found.regret:.1%}</b> ± {found.regret_se:.1%}{note}")
    return f"{in_short(alpha, share)}. Regret: {', '.join(parts)}; {scene.family_gaps[alpha]:.1%} is the family's."


def in_short(alpha: float, share: float) -> str:
    """The setting in one line."""
    source = {0.0: "all paths its own", 1.0: "all paths p_pre's"}.get(share, f"{share:.0%} of the paths p_pre's")
    return f"α = {alpha:g}, {source}"


def beyond(found: Tuned) -> int:
    """How many samples lie beyond the edge of the map."""
    return int((~(found.x_0.abs() <= SHOWN)).any(1).sum())


class ShareView:
    """Three panels under the setting: samples of both methods on the exact target, and regret against the share."""

    def __init__(self, scene: Scene):
        self.scene = scene
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 4.1), width_ratios=[1, 1, 1.2])
        self.setting = figure.suptitle(" ", fontsize=11, x=0.01, ha="left")
        target, blank = next(iter(scene.targets.values())), torch.zeros(PARTICLES, 2)
        self.maps, self.clouds = [], []
        for ax, method in zip(axes[:2], METHODS, strict=True):
            self.maps.append(plots.density(ax, target, extent=scene.extent, color=plots.TARGET))
            self.clouds.append(plots.samples(ax, blank, size=5))
            plots.bare(ax, SHOWN, method)
        self._regret_panel(axes[2])
        lines = [*self.curves, *self.dots, self.floor, *self.names]
        self.picture = Picture(figure, [self.setting, *self.maps, *self.clouds, *lines])

    def _regret_panel(self, ax: Axes) -> None:
        self.curves = [ax.semilogy([], [], LINES[method], color=plots.TUNED)[0] for method in METHODS]
        self.dots = [ax.semilogy([], [], "o", color=plots.TUNED, markersize=8)[0] for _ in METHODS]
        self.floor = ax.axhline(1, color=plots.TARGET, linewidth=1, linestyle=":")
        look: dict[str, Any] = dict(fontsize=10, ha="right")
        self.names = [ax.text(1.04, 1, method, color=plots.TUNED, va="bottom", **look) for method in METHODS]
        self.names.append(ax.text(1.04, 1, "the family's own", color=plots.TARGET, va="top", **look))
        top = max(2.0, *(2 * found.regret for found in self.scene.tuned.values()))
        ax.set(xlim=(-0.05, 1.05), ylim=(LOWEST, top), xlabel="share of paths drawn by $p_{pre}$", ylabel="regret")
        plots.percents(ax, 1)
        ax.set(title="Regret, by whose paths it learns from")

    def draw(self, alpha: float, share: float) -> None:
        """Move the artists to one setting."""
        scene, gap = self.scene, self.scene.family_gaps[alpha]
        self.setting.set_text(in_short(alpha, share))
        for i, method in enumerate(METHODS):
            found = [scene.tuned[method, alpha, s] for s in scene.shares]
            here = scene.tuned[method, alpha, share]
            plots.scale_to(self.maps[i], scene.targets[alpha])
            self.clouds[i].set_offsets(here.x_0.numpy())
            self.curves[i].set_data(scene.shares, [each.regret for each in found])
            self.dots[i].set_data([share], [here.regret])
            self.names[i].set_y(1.12 * found[-1].regret)
        self.floor.set_ydata([gap, gap])
        self.names[-1].set_y(gap / 1.05)


def first(scene: Scene) -> dict[str, float]:
    """Where the widget begins: the middle α, and the largest share."""
    return dict(alpha=list(scene.targets)[len(scene.targets) // 2], share=scene.shares[-1])


def still(scene: Scene, **settings: float) -> Image:
    """The widget's picture at an alpha and a share, for a page without a kernel; its first where none is given."""
    known = dict(alpha=list(scene.targets), share=list(scene.shares))
    if unknown := [name for name, value in settings.items() if value not in known.get(name, [])]:
        raise ValueError(f"no policy was tuned at this {', '.join(unknown)}: got {settings}, known: {known}")
    view = ShareView(scene)
    view.draw(**(first(scene) | settings))
    return view.picture.still()


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
