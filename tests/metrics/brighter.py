"""A small image model with random weights, and a control whose KL is known."""

import torch
from torch import nn

from tutorial_lib.denoisers import UNetDenoiser, initial_weights
from tutorial_lib.policies import DenoisingPolicy
from tutorial_lib.schedules import NoiseSchedule

T = 4


def small_images() -> DenoisingPolicy:
    with initial_weights(0):
        denoiser = UNetDenoiser(NoiseSchedule.cosine(T), channels=(8, 8, 8))
    return DenoisingPolicy(denoiser.requires_grad_(False), denoiser.schedule)


class Brighter(nn.Module):
    """A control that adds the same to every pixel of every step: Σ KL_t = T · 64 · push²/2 on every path."""

    def __init__(self, push: float = 0.5):
        super().__init__()
        self.push = push

    def forward(self, x_t, t):
        return torch.full_like(x_t, self.push)
