"""What a reader moves in the notebook on why reinforcement learning (§1.2): the cut, γ, α, and the reward model."""

import itertools
import math
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from IPython.display import Image
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ... import plots
from ...widgets import Picture, choice, log_slider, slider, together, words
from .figures import COLORS, mark, window
from .study import ALPHAS, CUT, CUTS, DEGREES, GRID, ROWS, STRENGTHS, Answer, Scene, answer, scene

FIRST: dict[str, Any] = dict(cut=CUT, strength=2.0, alpha=0.1, reward="quadratic")
MAPS = ("guided", "RL")
LOW = -13.0  # the least true reward that the strips show


class BeyondView:
    """Three panels: a map of guided samples, one of RL's, and the true rewards of every method, a row each."""

    def __init__(self, first: Scene):
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.3), width_ratios=[1.15, 1.15, 1])
        maps = dict(zip(MAPS, axes, strict=False))
        self.density = [plots.density(ax, first.density, extent=GRID.extent) for ax in maps.values()]
        self.marks = [mark(ax, first.cut) for ax in maps.values()]
        self.maps = {
            name: plots.samples(ax, torch.zeros(1, 2), color=COLORS[name], size=5) for name, ax in maps.items()
        }
        for ax in maps.values():
            window(ax)
        self.titles = [ax.set_title(name) for name, ax in maps.items()]  # some text now, or they would get no room
        self.titles.append(axes[2].set_title("Share above the cut", loc="right"))
        self._strips(axes[2])
        frames = itertools.chain(*(ax.spines.values() for ax in maps.values()))
        moving: list[Artist] = [*self.density, *itertools.chain(*self.marks), *self.maps.values(), self.beyond]
        moving += [*self.strips.values(), *self.means.values(), *self.shares, *self.titles, *frames]
        self.picture = Picture(figure, moving)

    def _strips(self, ax: Axes) -> None:
        """The panel of true rewards."""
        self.beyond = Rectangle((0, -1), 1, 6, color=plots.REWARD, alpha=0.15, linewidth=0)
        ax.add_patch(self.beyond)
        self.strips = {name: ax.scatter([], [], s=5, alpha=0.3, linewidths=0, color=COLORS[name]) for name in ROWS}
        self.means = {name: ax.plot([], [], "|", markersize=18, color="black")[0] for name in ROWS}
        place: dict[str, Any] = dict(x=1.02, transform=ax.get_yaxis_transform(), va="center", fontsize=10)
        self.shares = [ax.text(y=len(ROWS) - 1 - i, s="100%", **place) for i in range(len(ROWS))]
        ax.set(xlim=(LOW, 0.3), ylim=(-0.6, 4.6), yticks=range(4, -1, -1), yticklabels=ROWS, xlabel="true reward")
        ax.tick_params(axis="y", length=0)

    def draw(self, found: Answer) -> None:
        """Move the artists to one setting. Rewards below the panel stay at its edge."""
        cut = found.scene.cut
        for image in self.density:
            plots.scale_to(image, found.scene.density)
        for circle, _ in self.marks:
            circle.set_radius(math.sqrt(-cut))
        for name, points in self.maps.items():
            points.set_offsets(found.samples[name].numpy())
        self.beyond.set_x(cut)
        self.beyond.set_width(1 - cut)
        for i, (name, r) in enumerate(found.rewards.items()):
            row, spread = len(ROWS) - 1 - i, 0.4 * (torch.arange(len(r)) * 0.618 % 1 - 0.5)
            self.strips[name].set_offsets(torch.stack([r.clamp_min(LOW), row + spread], -1).numpy())
            self.means[name].set_data([max(found.summaries[name].reward, LOW)], [row])
            self.shares[i].set_text(f"{found.summaries[name].above:.0%}")
        said = (f"Guided, γ = {found.strength:g}", f"RL, α = {found.alpha:.3g}, {found.reward}")
        for title, name, text in zip(self.titles, MAPS, said, strict=False):
            title.set_text(text + (f": {found.outside[name]:.0%} off the map" if found.outside[name] else ""))
        self.titles[2].set_text(plots.minus(f"Share above the cut at {cut:g}"))


def in_words(found: Answer) -> str:
    """Where guidance and RL stand against the cut, and whether the reward model told the truth."""
    data, pulled, tuned = (found.summaries[name] for name in ("data", "guided", "RL"))
    worse = f" <b style='color:{plots.ALARM}'>Truly worse than the data.</b>" if tuned.reward < data.reward else ""
    shares = f"guided <b>{pulled.above:.0%}</b>, RL <b>{tuned.above:.0%}</b>"
    return plots.minus(
        f"Above the cut: {shares} (KL of x_0 {found.kl:.1f} nats). "
        f"The {found.reward} reward model explains {found.scene.rewards[found.reward].R2:.1%} of the data's scores; of "
        f"RL's samples it promises {found.predicted:.2f}, and the truth is <b>{tuned.reward:.2f}</b> "
        f"(data {data.reward:.2f}).{worse}"
    )


def still(**settings: Any) -> Image:
    """The widget's picture at a cut, a strength, an alpha and a reward, for a page without a kernel; FIRST where none
    are given."""
    chosen = FIRST | settings
    here = scene(chosen.pop("cut"))
    view = BeyondView(here)
    view.draw(answer(here, **chosen))
    return view.picture.still()


def play() -> ui.VBox:
    """The widget: the cut, the guidance strength γ, α, and which reward model."""
    view, text = BeyondView(scene()), words()
    view.picture.widget.add_class("beyond")
    for step in range(int(4 * CUTS[0]), int(4 * CUTS[1]) + 1):
        scene(step / 4)  # or the slider would wait for it

    def respond(cut: float, strength: float, alpha: float, reward: str) -> None:
        found = answer(scene(round(cut, 2)), strength=strength, alpha=alpha, reward=reward)
        view.draw(found)
        view.picture.refresh()
        text.value = in_words(found)

    controls = [
        slider("reward cut", FIRST["cut"], *CUTS, 0.25),
        slider("guidance strength γ", FIRST["strength"], *STRENGTHS, 0.25),
        log_slider("α", FIRST["alpha"], *ALPHAS),
        choice("reward model", tuple(DEGREES), FIRST["reward"]),
    ]
    return together(controls, respond, view.picture.widget, text)
