r"""Guidance strength on digits (§8): the same noise, steered to a class by a label, or by a classifier's gradient.

    x̂_0(x_t) + γ (x̂_0(x_t|y) − x̂_0(x_t))   beside   ρ + γ σ_t² ∇log p(y|x̂_0(ρ))

A class and γ → images, and how many of them two judges take for that class: the classifier, which one of the methods
has been climbing, and the nearest digit of the data, which neither climbs. Images are [n, 1, 8, 8] in [−1, 1].
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots, worlds
from ...guidance.classifier_free import ClassifierFreePolicy, given
from ...guidance.value_weighted import ValueWeightedPolicy
from ...guidance.values import Tweedie
from ...metrics import mean_distance, mean_distance_error
from ...policies import Policy, glimpse
from ...rewards import ImageClassifier, log_probability
from ...widgets import Picture, moving_image, slider, together, words
from ...worlds import World, digit_classifier, digit_images

METHODS = ("classifier-free", "classifier")
NONE = "no guidance"
COLORS = {"classifier-free": plots.TUNED, "classifier": "#b0413e"}
SIDE = 5  # of a wall
STRONGEST = 4.0  # with this few steps, more γ overshoots


@dataclass(frozen=True)
class Guided:
    """Images [n, 1, 8, 8] of a class y. read, nearest: the share of them that the classifier reads as y, and whose
    nearest digit of the data is a y. distance: E‖x − x′‖ between them, with its standard error."""

    images: Tensor
    read: float
    nearest: float
    distance: float
    distance_se: float


@functools.cache
def _known() -> tuple[World, ImageClassifier]:
    return worlds.make("digits"), digit_classifier()


def policy(method: str, label: int, strength: float) -> Policy:
    """The pretrained digits, steered to `label` by one of METHODS with guidance strength γ; NONE leaves them alone."""
    world, classifier = _known()
    if method == NONE:
        return world.pretrained
    if method == "classifier-free":
        return ClassifierFreePolicy(world.pretrained, given(world.pretrained, label), strength=strength)
    if method == "classifier":
        value = Tweedie(world.pretrained, log_probability(classifier, label))
        return ValueWeightedPolicy(world.pretrained, value, alpha=1.0, strength=strength)
    raise ValueError(f"unknown method {method!r}; known: {NONE}, {', '.join(METHODS)}")


@functools.lru_cache(maxsize=512)  # every setting of the sliders, so that going back is instant
def answer(method: str, label: int, strength: float, *, n: int = SIDE**2, steps: int = 12) -> Guided:
    """n images of one method in a few steps. The noise is the same for all methods, classes and γ."""
    images = glimpse(policy(method, label, strength), n, steps=steps, generator=torch.Generator().manual_seed(0))
    return judged(images, label)


def judged(images: Tensor, label: int) -> Guided:
    """What the two judges say of images [n, 1, 8, 8], and how varied these are."""
    (data, labels), (_, classifier) = digit_images(), _known()
    closest = labels[torch.cdist(images.flatten(1), data.flatten(1)).argmin(1)]
    read, nearest = ((seen == label).float().mean().item() for seen in (classifier(images).argmax(1), closest))
    return Guided(images, read, nearest, mean_distance(images), mean_distance_error(images))


class GuidanceView:
    """Three walls from the same noise: without guidance, classifier-free, and by the classifier."""

    def __init__(self) -> None:
        figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.8))
        titles = ("Pretrained, no class", "Classifier-free guidance", "Classifier guidance")
        start = answer(NONE, 0, 0.0).images
        self.walls = [
            plots.show_wall(ax, start, columns=SIDE, title=title) for ax, title in zip(axes, titles, strict=True)
        ]
        self.picture = Picture(figure, self.walls[1:])

    def draw(self, found: Sequence[Guided]) -> None:
        """Show what the METHODS gave."""
        for wall, guided in zip(self.walls[1:], found, strict=True):
            wall.set_data(plots.wall(guided.images, columns=SIDE))


def explore(label: int = 8, strength: float = 1.0) -> ui.VBox:
    """Sliders over the class and the guidance strength γ, two guided walls, and what the judges say."""
    view, before = GuidanceView(), answer(NONE, label, 0.0).images
    image, text = moving_image(view.picture.figure, "guidance"), words()

    def respond(strength: float, label: int) -> None:
        found = [answer(method, label, strength) for method in METHODS]
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words([judged(before, label), *found], label)

    moved = slider("guidance strength γ", strength, 0.0, STRONGEST, 0.25), slider("class y", label, 0, 9, 1)
    return together(moved, respond, image, text)


def in_words(found: Sequence[Guided], label: int) -> str:
    """A row for no guidance and one for each of METHODS."""
    cells = [
        (name, f"{guided.read:.0%}", f"{guided.nearest:.0%}", f"{guided.distance:.2f}")
        for name, guided in zip((NONE, *METHODS), found, strict=True)
    ]
    head = ("", f"the classifier reads {label}", f"nearest digit is {label}", "distance between two")
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in (head, *cells))
    return f"<table style='border-spacing: 1.5em 0'>{rows}</table>"


def sweep(label: int, strengths: Sequence[float], *, n: int = 100, steps: int = 12) -> dict[str, list[Guided]]:
    """Every one of METHODS at every strength."""
    return {method: [answer(method, label, s, n=n, steps=steps) for s in strengths] for method in METHODS}


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
