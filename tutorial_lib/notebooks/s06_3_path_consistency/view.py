"""Whose paths a method learns from (§6.3): the widget over policies that are trained already, and its words."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from IPython.display import Image
from matplotlib.axes import Axes

from ... import plots
from ...widgets import Picture, choice, notches, together, words
from .figures import SHOWN
from .study import CONSISTENCY, METHODS, Scene, Tuned

PPOS = METHODS[1:]
LINES = dict(zip(METHODS, ("-", "--", ":", "-."), strict=True))
LOWEST = 0.008  # regret that is shown


def label(method: str) -> str:
    """A method's name as it stands in the picture."""
    return method if method in METHODS[:2] else f"PPO, {method}"


def in_words(scene: Scene, alpha: float, share: float, ppo: str) -> str:
    """Both regrets at one setting, whose paths they come from, and how many samples the picture does not show."""
    parts = []
    for method in (CONSISTENCY, ppo):
        found = scene.tuned[method, alpha, share]
        gone, low, high = beyond(found), found.regrets.min(), found.regrets.max()
        note = f" ({gone} of {len(found.x_0)} samples lie beyond the edge of the map)" if gone else ""
        parts.append(f"{label(method)} <b>{found.regret:.1%}</b> ({low:.1%} to {high:.1%}){note}")
    gap = f"{scene.family_gaps[alpha]:.1%} is the family's."
    return f"{in_short(alpha, share)}. Regret, median and range of five seeds: {', '.join(parts)}; {gap}"


def in_short(alpha: float, share: float) -> str:
    """The setting in one line."""
    source = {0.0: "all paths its own", 1.0: "all paths p_pre's"}.get(share, f"{share:.0%} of the paths p_pre's")
    return f"α = {alpha:g}, {source}"


def beyond(found: Tuned) -> int:
    """How many samples lie beyond the edge of the map."""
    return int((~(found.x_0.abs() <= SHOWN)).any(1).sum())


class ShareView:
    """Three panels under the setting: samples of path consistency and of one PPO on the exact target, and the regrets
    of all against the share: a line through the medians, the two that are shown with a dot for each seed."""

    def __init__(self, scene: Scene):
        self.scene = scene
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 4.1), width_ratios=[1, 1, 1.2])
        self.setting = figure.suptitle(" ", fontsize=11, x=0.01, ha="left")
        target, blank = next(iter(scene.targets.values())), next(iter(scene.tuned.values())).x_0
        self.maps, self.clouds, self.titles = [], [], []
        for ax in axes[:2]:
            self.maps.append(plots.density(ax, target, extent=scene.extent, color=plots.TARGET))
            self.clouds.append(plots.samples(ax, torch.zeros_like(blank), size=5))
            plots.bare(ax, SHOWN, "")
            self.titles.append(ax.set_title(""))
        self._regret_panel(axes[2])
        lines = [*self.curves, *self.seeds, *self.dots, self.floor]
        self.picture = Picture(figure, [self.setting, *self.titles, *self.maps, *self.clouds, *lines])

    def _regret_panel(self, ax: Axes) -> None:
        look: dict[str, Any] = dict(color=plots.TUNED)
        self.curves = [ax.semilogy([], [], LINES[m], label=label(m), **look)[0] for m in METHODS]
        self.seeds = [ax.semilogy([], [], ".", markersize=4, alpha=0.6, **look)[0] for _ in range(2)]
        self.dots = [ax.semilogy([], [], "o", markersize=8, **look)[0] for _ in range(2)]
        self.floor = ax.axhline(1, color=plots.TARGET, linewidth=1, linestyle=":", label="the family's own")
        top = max(2.0, *(10 * found.regrets.max().item() for found in self.scene.tuned.values()))
        ax.set(xlim=(-0.05, 1.05), ylim=(LOWEST, top), xlabel="share of paths drawn by $p_{pre}$", ylabel="regret")
        plots.percents(ax, 1)
        ax.set(title="Regret, by whose paths it learns from")
        ax.legend(fontsize=8, ncols=2, loc="upper left")

    def draw(self, alpha: float, share: float, ppo: str) -> None:
        """Move the artists to one setting."""
        scene, gap = self.scene, self.scene.family_gaps[alpha]
        self.setting.set_text(in_short(alpha, share))
        for curve, method in zip(self.curves, METHODS, strict=True):
            curve.set_data(scene.shares, [scene.tuned[method, alpha, s].regret for s in scene.shares])
        for i, method in enumerate((CONSISTENCY, ppo)):
            here, each = scene.tuned[method, alpha, share], [scene.tuned[method, alpha, s] for s in scene.shares]
            self.titles[i].set_text(label(method))
            plots.scale_to(self.maps[i], scene.targets[alpha])
            self.clouds[i].set_offsets(here.x_0.numpy())
            across = [s for s, found in zip(scene.shares, each, strict=True) for _ in found.regrets]
            self.seeds[i].set_data(across, torch.cat([found.regrets for found in each]).numpy())
            self.dots[i].set_data([share], [here.regret])
        self.floor.set_ydata([gap, gap])


def first(scene: Scene) -> dict[str, Any]:
    """Where the widget begins: the middle α, the largest share, and the first PPO."""
    return dict(alpha=list(scene.targets)[len(scene.targets) // 2], share=scene.shares[-1], ppo=PPOS[0])


def still(scene: Scene, **settings: Any) -> Image:
    """The widget's picture at an alpha, a share and a ppo, for a page without a kernel; its first where none is
    given."""
    known: dict[str, list[Any]] = dict(alpha=list(scene.targets), share=list(scene.shares), ppo=list(PPOS))
    if unknown := [name for name, value in settings.items() if value not in known.get(name, [])]:
        raise ValueError(f"no policy was tuned at this {', '.join(unknown)}: got {settings}, known: {known}")
    view = ShareView(scene)
    view.draw(**(first(scene) | settings))
    return view.picture.still()


def play(scene: Scene) -> ui.VBox:
    """The widget: α, the share of p_pre's paths, and which PPO, over policies that are tuned already."""
    view, text, begin = ShareView(scene), words(), first(scene)
    view.picture.widget.add_class("shares")

    def respond(alpha: float, share: float, ppo: str) -> None:
        view.draw(alpha, share, ppo)
        view.picture.refresh()
        text.value = in_words(scene, alpha, share, ppo)

    controls = [
        notches("α", list(scene.targets), begin["alpha"]),
        notches("share of p_pre", scene.shares, begin["share"]),
        choice("PPO", PPOS, begin["ppo"]),
    ]
    return together(controls, respond, view.picture.widget, text)
