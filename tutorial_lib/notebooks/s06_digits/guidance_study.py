r"""Guidance strength on digits (§8): the same noise, steered to a class by a label, or by a classifier's gradient.

    x̂_0(x_t) + γ (x̂_0(x_t|y) − x̂_0(x_t))   beside   ρ + γ σ_t² ∇log p(y|x̂_0(ρ))

A class and γ → images, and how many of them two judges take for that class: the classifier, which one of the methods
has been climbing, and the nearest digit of the data, which neither climbs. Images are [n, 1, 8, 8] in [−1, 1].
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import worlds
from ...guidance.classifier_free import ClassifierFreePolicy, given
from ...guidance.value_weighted import ValueWeightedPolicy
from ...guidance.values import Tweedie
from ...metrics import mean_distance, mean_distance_error
from ...policies import Policy, glimpse
from ...rewards import ImageClassifier, log_probability
from ...worlds import World, digit_classifier, digit_images

METHODS = ("classifier-free", "classifier")
NONE = "no guidance"
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


def sweep(label: int, strengths: Sequence[float], *, n: int = 100, steps: int = 12) -> dict[str, list[Guided]]:
    """Every one of METHODS at every strength."""
    return {method: [answer(method, label, s, n=n, steps=steps) for s in strengths] for method in METHODS}
