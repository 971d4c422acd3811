r"""The world of handwritten digits, images [n, 1, 8, 8] in [−1, 1]: the data, who reads them, and a learned denoiser.

A bank of samples of the pretrained policy, scored by every reward, is its frontier.
"""

import functools

import torch
from torch import Tensor

from .. import assets, rewards
from ..checks import count, positive
from ..denoisers import UNetDenoiser, initial_weights
from ..exact import Frontier
from ..metrics import Standing, standing, weighted_standing
from ..rewards import FewLabels, ImageClassifier, log_probability, query
from ..schedules import NoiseSchedule
from .world import Choice, Device, World, draw, make_world


def digits(*, label: int = 8, device: Device = None) -> World:
    """Handwritten digits, 8 × 8; the denoiser takes a label 0..9, or none. label: the y of the reward log p(y|x).

    At its α each reward's optimum lies at least 1.5 pretrained standard deviations up.
    """
    chosen: Choice = dict(
        ink=(rewards.ink, 0.02),
        symmetry=(rewards.symmetry, 0.04),
        compressed_size=(rewards.compressed_size, 2.0),
        log_probability=(log_probability(digit_classifier(device=device), label), 1.0),
        few_labels=(few_labels, 0.08),
    )
    with initial_weights():
        denoiser = untrained_digits(device=device)
    denoiser.load_state_dict(assets.load("digits"))
    denoiser.eval().requires_grad_(False)
    return make_world("digits", denoiser, chosen, data=lambda n, *, generator: draw(digit_images()[0], n, generator))


def untrained_digits(*, device: Device = None) -> UNetDenoiser:
    """The network of the digits, with random weights."""
    return UNetDenoiser(NoiseSchedule.cosine(50, device=device)).to(device)


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


def pretrained_standing(reward: str, *, n: int = 1024) -> Standing:
    """Where the pretrained policy stands: that reward of all of the bank, the variety of n of its digits."""
    values = digits_rewards()[reward].float()
    return standing(digits_bank()[: count("n", n, least=3)], values, torch.zeros(len(values)), described)


def optimal_standing(reward: str, alpha: float, *, n: int = 512) -> Standing:
    """Where that reward's optimum at α stands: the bank, re-weighted by exp(r/α); how far apart, by n draws of it."""
    bank, images = digits_rewards(), digits_bank()
    with torch.no_grad():
        weights = (query(digits().with_reward(reward).reward, images).double() / positive("alpha", alpha)).softmax(0)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(weights, count("n", n, least=3), replacement=True, generator=generator)
    return weighted_standing(Frontier(bank[reward]), alpha, bank, images[drawn])
