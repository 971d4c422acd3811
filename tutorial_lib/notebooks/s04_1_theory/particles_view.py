"""Particles that are played from t = T down to 0 over their exact densities (§4): picture, words and widget."""

import functools
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from ... import plots
from ...widgets import Picture, choice, log_slider, moving_image, slider, together, words
from .particles_study import Answer, answer
from .study import ALPHAS, FIRST, REWARDS, SHOWN, Scene, T, scene
from .view import inks

FOLLOWED, TRAIL = 7, 8  # particles with a trail, its length in steps
TITLES = ("Pretrained particles, on $p_{pre,t}$", "Same noise, steered by $∇v_t$, on $p^*_t$")


class Panel:
    """Particles [B, 2] over their exact density [n, n]; the first FOLLOWED of them are larger and leave a trail."""

    def __init__(self, ax: Axes, extent: float, *, shade: str, color: str, title: str = ""):
        self.shade = shade
        where: dict[str, Any] = dict(extent=(-extent, extent, -extent, extent), origin="lower", zorder=0)
        self.density = ax.imshow(inks(torch.ones(2, 2), shade), **where)
        self.cloud, self.heads = (plots.samples(ax, torch.zeros(1, 2), color=color, size=size) for size in (7, 30))
        self.trails = LineCollection([], colors=color, linewidths=1.3, zorder=4)
        ax.add_collection(self.trails)
        self.heads.set(alpha=1.0, zorder=5)
        self.moving = [self.density, self.cloud, self.trails, self.heads]
        plots.bare(ax, SHOWN, title)

    def draw(self, density: Tensor, paths: Tensor) -> None:
        """paths [T−t+1, B, 2]: where the particles are, and where they were."""
        self.density.set_data(inks(density, self.shade, 0.6))
        x = paths[: TRAIL + 1].numpy()
        self.cloud.set_offsets(x[0])
        self.heads.set_offsets(x[0, :FOLLOWED])
        self.trails.set_segments(list(x[:, :FOLLOWED].swapaxes(0, 1)))


def two_panels(left: Axes, right: Axes, extent: float, titles: tuple[str, str] = TITLES) -> tuple[Panel, Panel]:
    """One panel for the pretrained policy, one for the steered one."""
    return (
        Panel(left, extent, shade=plots.PRETRAINED, color=plots.PRETRAINED, title=titles[0]),
        Panel(right, extent, shade=plots.TARGET, color=plots.TUNED, title=titles[1]),
    )


def draw(panels: tuple[Panel, Panel], answer: Answer) -> None:
    """Move both policies' artists to one (α, t)."""
    for panel, density, paths in zip(panels, answer.densities, answer.paths, strict=True):
        panel.draw(density, paths)


class ParticlesView:
    """Two panels under the settings: particles of the pretrained chain on p_pre,t, and of the steered one on p*_t."""

    def __init__(self, scene: Scene):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 4.1), layout="none")
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.87, wspace=0.04)
        self.settings = figure.text(0.01, 0.99, "", va="top")
        self.panels = two_panels(left, right, scene.tilted.grid.extent)
        moving = [artist for panel in self.panels for artist in panel.moving]
        self.picture = Picture(figure, [self.settings, *moving])

    def draw(self, answer: Answer) -> None:
        """Move the artists to one (α, t)."""
        self.settings.set_text(f"α = {answer.alpha:.3g};  t = {answer.t};  reward: {answer.reward_name}")
        draw(self.panels, answer)


def in_words(answer: Answer) -> str:
    """What the steered particles have paid so far, beside the exact tilt at t, and what they earn in the end."""
    before, after = answer.rewards
    return plots.minus(
        f"<b>t = {answer.t}</b>: down to here the steered particles have paid <b>KL {answer.paid:.2f} ± "
        f"{answer.paid_se:.2f} nats</b>. Ever finer steps would pay KL(p*<sub>t</sub>‖p<sub>pre,t</sub>) = "
        f"{answer.kl:.2f}.<br>At t = 0 their mean reward is {after:.2f}, that of the pretrained particles {before:.2f}."
    )


@functools.lru_cache(maxsize=len(REWARDS))
def _view(reward: str) -> ParticlesView:
    return ParticlesView(scene(reward))


def still(*, alpha: float = 0.5, t: int = 20, reward: str = FIRST) -> Image:
    """The widget's picture at an α, a t in 0..T and one of REWARDS, for a page without a kernel."""
    view = ParticlesView(scene(reward))
    view.draw(answer(scene(reward), alpha=alpha, t=t))
    return view.picture.still()


def play() -> ui.VBox:
    """The widget: play from t = T to 0, with α and the reward to choose."""
    image, text = moving_image(_view(FIRST).picture.figure, "particles"), words()
    film, time = ui.Play(max=T, interval=100), slider("t of the particles", T, 0, T, 1)
    ui.link((film, "value"), (time, "value"), (lambda done: T - done, lambda t: T - t))

    def respond(alpha: float, t: int, reward: str) -> None:
        view, found = _view(reward), answer(scene(reward), alpha=alpha, t=t)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(found)

    controls = [log_slider("α of the particles", 0.5, *ALPHAS), time, choice("their reward", tuple(REWARDS))]
    return together(controls, respond, film, image, text)
