"""What is known about the digits: the images themselves, who reads them, and what the pretrained policy draws.

Images are [n, 1, 8, 8] in [−1, 1].
"""

import functools

import torch
from torch import Tensor

from . import assets
from .denoisers import initial_weights
from .image_rewards import FewLabels, ImageClassifier

Device = torch.device | str | None


@functools.cache
def digit_images() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits: (images [1797, 1, 8, 8] in [−1, 1], labels [1797])."""
    from sklearn.datasets import load_digits  # here, because it takes a second that other worlds need not wait

    found = load_digits()
    return (torch.as_tensor(found.images).float() / 8 - 1).unsqueeze(1), torch.as_tensor(found.target)


def held_out(n: int) -> Tensor:
    """Which of n images the classifier is not trained on, every fifth: [n], True for those."""
    return torch.arange(n) % 5 == 0


def digit_classifier(*, device: Device = None) -> ImageClassifier:
    """The shipped p(y|x) of the digits, frozen; the `held_out` images are new to it."""
    with initial_weights():
        classifier = ImageClassifier()
    classifier.load_state_dict(assets.load("digit_classifier"))
    return classifier.to(device).eval().requires_grad_(False)


def few_labels(x: Tensor) -> Tensor:
    """How much an image looks like a digit with a loop (0, 6, 8, 9), learned from 100 labelled ones: [B, …] → [B].

    About 1 for yes and 0 for no. A learned reward, right where it has seen images; `looped` says what was meant.
    """
    return _loop_reward(x.device)(x)


def looped(label: Tensor) -> Tensor:
    """Whether a digit of that class has a loop: [B] → [B]."""
    return torch.isin(label, torch.tensor([0, 6, 8, 9], device=label.device))


@functools.cache
def _loop_reward(device: torch.device) -> FewLabels:
    found, labels = digit_images()
    chosen = torch.arange(100) * (len(found) // 100)
    return FewLabels(found[chosen].to(device), looped(labels[chosen]).float().to(device), width=3.0)


def described(x: Tensor) -> dict[str, Tensor]:
    """What digits [n, 1, 8, 8] look like, [n] each: the classifier's `label`, and `nearest`, the distance to the
    nearest digit of the data."""
    with torch.no_grad():
        label = digit_classifier(device=x.device)(x).argmax(1)
    nearest = torch.cdist(x.flatten(1), digit_images()[0].to(x.device).flatten(1)).amin(1)
    return dict(label=label, nearest=nearest)


def digits_rewards(*, device: Device = None) -> dict[str, Tensor]:
    """What 65 536 samples of the pretrained digits policy score, [N] each: the frontier of the image world.

    Every reward of `worlds.digits` by its name (for label 8), and what `described` says.
    """
    return {name: values.to(device) for name, values in assets.load("digits_rewards").items()}


def digits_bank(*, device: Device = None) -> Tensor:
    """16384 samples of the pretrained digits policy, [N, 1, 8, 8] in [−1, 1]: the image world's Monte Carlo."""
    return assets.load("digits_bank")["images"].to(device).float().unsqueeze(1) / 127.5 - 1
