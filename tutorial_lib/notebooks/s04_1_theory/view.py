"""The marginals p*_t, the value v_t and the shift at any α and t (§4): the picture, the words and the widget."""

import functools
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from contourpy import contour_generator
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgb
from torch import Tensor

from ... import plots
from ...widgets import Picture, choice, log_slider, moving_image, slider, together, words
from .study import ALPHAS, FIRST, REWARDS, SHOWN, Answer, Scene, T, answer, scene

CONTOURS, BESIDE = 9, (1.02, 0.05, 0.035, 0.9)  # of v_t; where its colour scale stands
FAINT = 1e-3  # of ‖u‖²: shorter arrows are not drawn
TITLES = (
    "$p_{pre,t}$ (grey) is tilted to $p^*_t$,",
    "more where the value $v_t$ is higher;",
    "its slope is the shift $σ_t∇v_t/α$",
)


def in_words(answer: Answer) -> str:
    """ᾱ_t, the tilt that is left at t, and the mean value there."""
    arrows = "Long arrows are drawn shorter." if answer.t else "At t = 0 no step is left to shift."
    return plots.minus(
        f"<b>t = {answer.t}</b>: signal left ᾱ<sub>t</sub> = {answer.alpha_bar:.3f}, tilt left "
        f"<b>KL(p*<sub>t</sub>‖p<sub>pre,t</sub>) = {answer.kl:.2f} nats</b> = (E*[v<sub>t</sub>] − α log Z)/α.<br>"
        f"E*[v<sub>t</sub>] = {answer.value:.2f} and α log Z = {answer.limit:.2f}, the mark on the colour scale, "
        f"where all of v<sub>t</sub> gathers as t → T. {arrows}"
    )


class MarginalsView:
    """Three panels under the settings: p_pre,t and p*_t, the value v_t with its contours, and the shift over p*_t."""

    def __init__(self, scene: Scene):
        self.scene = scene
        extent, axis, blank = scene.tilted.grid.extent, scene.tilted.grid.axis, torch.ones(2, 2)
        figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.4), layout="none")
        self.settings = figure.text(0.005, 0.99, "", va="top")
        for ax, left in zip(axes, (0.005, 0.32, 0.695), strict=True):
            ax.set_position((left, 0.01, 0.3, 0.82))
        where: dict[str, Any] = dict(extent=(-extent, extent, -extent, extent), origin="lower", zorder=0)
        self.both, self.value, self.target = (ax.imshow(inks(blank, plots.TARGET), **where) for ax in axes)
        for ax, title in zip(axes, TITLES, strict=True):
            plots.bare(ax, SHOWN, title)
        self.contours = axes[1].add_collection(LineCollection([], colors="white", linewidths=0.8, alpha=0.7))
        self.heights = np.linspace(scene.low, scene.high, CONTOURS + 2)[1:-1]
        points = torch.cartesian_prod(axis[scene.lattice], axis[scene.lattice])
        self.arrows = plots.arrows(axes[2], points, torch.ones_like(points), unit=1.0, color=plots.TUNED)
        self._scale_beside(axes[1])
        moving = [self.both, self.value, self.contours, self.limit, self.target, self.arrows]
        self.picture = Picture(figure, [self.settings, *moving])

    def _scale_beside(self, ax: Axes) -> None:
        self.colors = ScalarMappable(Normalize(self.scene.low, self.scene.high), "viridis")
        beside = ax.inset_axes(BESIDE)
        ax.figure.colorbar(self.colors, cax=beside).outline.set_visible(False)
        beside.tick_params(labelsize=8, length=2)
        (self.limit,) = beside.plot([], [], ">", color=plots.TARGET, markersize=8, clip_on=False)

    def draw(self, answer: Answer) -> None:
        """Move the artists to one (α, t)."""
        fields, scene = answer.fields, self.scene
        self.settings.set_text(f"α = {answer.alpha:.3g};  t = {answer.t};  reward: {scene.name}")
        target = inks(fields.density, plots.TARGET)
        self.target.set_data(target)
        self.both.set_data(_over(inks(fields.pretrained, plots.PRETRAINED, 0.6), target))
        value, axis = fields.value.numpy().T, scene.tilted.grid.axis.numpy()
        self.value.set_data(self.colors.to_rgba(value, bytes=True))
        contour = contour_generator(axis, axis, value)
        self.contours.set_segments([line for height in self.heights for line in contour.lines(height)])
        self.limit.set_data([-0.2], [min(max(answer.limit, scene.low), scene.high)])
        squared = answer.shift.square().sum(-1).reshape(-1)
        u = answer.shift.reshape(-1, 2) / (1 + squared).sqrt().unsqueeze(-1)
        self.arrows.set_UVC(*np.ma.array(u.T.numpy(), mask=(squared < FAINT).expand(2, -1).numpy()))


def inks(density: Tensor, color: str, strength: float = 1.0) -> np.ndarray:
    """A density [n, n] as a picture, white to `color` at its peak: [n, n, 4] bytes, which are the quickest to draw."""
    ink = 1 - np.array(to_rgb(color))
    picture = np.full((*density.shape, 4), 255, np.uint8)
    picture[..., :3] = 255.5 - 255 * strength * (density / density.max()).numpy().T[..., None] * ink
    return picture


def _over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Two pictures printed one over the other."""
    return (below.astype(np.uint16) * above // 255).astype(np.uint8)


@functools.lru_cache(maxsize=len(REWARDS))
def _view(reward: str) -> MarginalsView:
    return MarginalsView(scene(reward))


def still(*, alpha: float = 0.5, t: int = 10, reward: str = FIRST) -> Image:
    """The widget's picture at an α, a t in 0..T and one of REWARDS, for a page without a kernel."""
    view = MarginalsView(scene(reward))
    view.draw(answer(view.scene, alpha=alpha, t=t))
    return view.picture.still()


def play() -> ui.VBox:
    """The widget: α, t and the reward."""
    image, text = moving_image(_view(FIRST).picture.figure, "marginals"), words()

    def respond(alpha: float, t: int, reward: str) -> None:
        view, found = _view(reward), answer(scene(reward), alpha=alpha, t=t)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(found)

    controls = [log_slider("α", 0.5, *ALPHAS), slider("time t", 10, 0, T, 1), choice("reward", tuple(REWARDS))]
    return together(controls, respond, image, text)
