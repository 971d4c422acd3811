"""A chain of digits, and the guess at its end from every step (§1.1)."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import worlds
from ...checks import whole
from ...policies import DenoisingPolicy, rollout_with


@dataclass(frozen=True)
class Images:
    """A chain of images and the guess at its end from every step: x, guess [T+1, B, 1, H, W]; guess[0] is x_0."""

    x: Tensor
    guess: Tensor


def make_images(pretrained: DenoisingPolicy, n: int, *, seed: int = 0) -> Images:
    """n images from noise, with x̂_0(x_t, t) at every t."""
    guess = torch.empty(pretrained.schedule.T + 1, n, *pretrained.shape)

    def mean(x_t: Tensor, t: int) -> Tensor:
        guess[t] = pretrained.denoiser(x_t, t)
        return pretrained.schedule.posterior_mean(guess[t], x_t, t)

    path = rollout_with(mean, pretrained, n, generator=torch.Generator().manual_seed(seed))
    guess[0] = path.x_0
    return Images(path.x, guess)


@functools.cache
def images() -> Images:
    """The forty digits that the notebook shows."""
    return make_images(worlds.digits().pretrained, 40, seed=1)


@dataclass(frozen=True)
class Answer:
    """One time: the states x_t and the guesses at their ends, both [B, 1, H, W]."""

    t: int
    x: Tensor
    guess: Tensor


def answer(images: Images, *, t: int) -> Answer:
    """What one t shows. ValueError unless it is a whole number in 0..T."""
    if not whole(t) or not 0 <= t < len(images.x):
        raise ValueError(f"t must be a whole number in 0..{len(images.x) - 1}, got {t!r}")
    return Answer(int(t), images.x[int(t)], images.guess[int(t)])
