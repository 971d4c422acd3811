"""The widget on guided digits: a class and γ move two walls from the same noise, and what two judges say of them."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image
from matplotlib.figure import Figure

from ... import plots
from ...widgets import Picture, moving_image, slider, together, words
from .guidance_study import METHODS, NONE, SIDE, STRONGEST, Guided, answer

COLORS = dict(zip(METHODS, (plots.TUNED, plots.ALARM), strict=True))
FIRST: dict[str, Any] = dict(strength=1.0, label=8)
TITLES = dict(zip(METHODS, ("Classifier-free", "Classifier"), strict=True))


class GuidanceView:
    """Three walls from the same noise: without guidance, classifier-free, and by the classifier."""

    def __init__(self) -> None:
        figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.8))
        start = answer(NONE, 0, 0.0).images
        plots.show_wall(axes[0], start, columns=SIDE, title="Pretrained, unlabelled")
        self.walls = {
            method: plots.show_wall(ax, start, columns=SIDE, title=" ")
            for method, ax in zip(METHODS, axes[1:], strict=True)
        }
        self.picture = Picture(figure, [artist for wall in self.walls.values() for artist in (wall, wall.axes.title)])

    def draw(self, strength: float, label: int) -> list[Guided]:
        """Show what each of METHODS gives, and return it."""
        found = [answer(method, label, strength) for method in METHODS]
        for method, guided in zip(METHODS, found, strict=True):
            self.walls[method].set_data(plots.wall(guided.images, columns=SIDE))
            self.walls[method].axes.title.set_text(f"{TITLES[method]}: class {label}, γ = {strength:g}")
        return found


def still(**settings: Any) -> Image:
    """The widget's picture at a strength and a label, for a page without a kernel; FIRST where none is given."""

    def at(*, strength: float, label: int) -> GuidanceView:
        view = GuidanceView()
        view.draw(strength, label)
        return view

    return at(**(FIRST | settings)).picture.still()


def play() -> ui.VBox:
    """Sliders over the guidance strength γ and the class, two guided walls, and what the judges say."""
    view = GuidanceView()
    image, text = moving_image(view.picture.figure, "guidance"), words()

    def respond(strength: float, label: int) -> None:
        found = view.draw(strength, label)
        image.value = view.picture.frame()
        text.value = in_words([answer(NONE, label, 0.0), *found], label)

    strength = slider("guidance strength γ", FIRST["strength"], 0.0, STRONGEST, 0.25)
    return together([strength, slider("class y", FIRST["label"], 0, 9, 1)], respond, image, text)


def in_words(found: Sequence[Guided], label: int) -> str:
    """A row for no guidance and one for each of METHODS."""
    cells = [
        (name, f"{guided.read:.0%}", f"{guided.nearest:.0%}", f"{guided.distance:.2f}")
        for name, guided in zip((NONE, *METHODS), found, strict=True)
    ]
    head = ("", f"the classifier reads {label}", f"nearest digit is {label}", "distance between two")
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in (head, *cells))
    return f"<table style='border-spacing: 1.5em 0'>{rows}</table>"


def show_sweep(strengths: Sequence[float], found: dict[str, list[Guided]]) -> Figure:
    """Left: what the two judges say against γ. Right: how different two images are. Both ± 2 standard errors."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.5))
    for method, guided in found.items():
        shares = torch.tensor([[g.read for g in guided], [g.nearest for g in guided]])
        errors = (shares * (1 - shares) / len(guided[0].images)).sqrt()
        for share, error, line, judge in zip(shares, errors, ("-", "--"), ("classifier", "nearest digit"), strict=True):
            label = f"{method}, judged by the {judge}"
            left.errorbar(strengths, 100 * share, 200 * error, fmt=line, color=COLORS[method], label=label)
        distances, errors = np.array([(g.distance, g.distance_se) for g in guided]).T
        right.errorbar(strengths, distances, 2 * errors, fmt="o-", color=COLORS[method], label=method)
    left.set(xlabel="guidance strength γ", ylabel="images of the class (%), ± 2 s.e.", title="Two judges")
    right.set(
        xlabel="guidance strength γ", ylabel="E‖x − x′‖, ± 2 s.e.", ylim=(0, None), title="How different two images are"
    )
    left.legend(fontsize=8)
    right.legend(fontsize=8)
    return figure
