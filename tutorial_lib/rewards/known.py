r"""Rewards that are known (§7.1): functions of points [B, 2] or images [B, C, H, W] → [B], used by the worlds."""

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from ..checks import positive
from .queries import Reward


def _named(name: str, reward: Reward) -> Reward:
    reward.__name__ = name
    return reward


def peak(center: Sequence[float], *, width: float = 1.0) -> Reward:
    """r(x) = −‖x − center‖²/width²: quadratic, so that the tilt of a mixture is a mixture."""
    width = positive("width", width)
    return _named("peak", lambda x: -((x - torch.tensor(center).to(x)) / width).square().sum(-1))


def half_plane(normal: Sequence[float], *, offset: float = 0.0, softness: float = 0.25) -> Reward:
    """r(x) = sigmoid((n·x − offset)/softness) with n = normal/‖normal‖: near one beyond a line, near zero before it."""
    softness = positive("softness", softness)

    def reward(x: Tensor) -> Tensor:
        n = torch.nn.functional.normalize(torch.tensor(normal).to(x), dim=0)
        return torch.sigmoid((x @ n - offset) / softness)

    return _named("half_plane", reward)


def disc(center: Sequence[float], *, radius: float = 1.0) -> Reward:
    """r(x) = 1 inside a disc, 0 outside: discontinuous, with a gradient that is zero almost everywhere."""
    radius = positive("radius", radius)
    return _named("disc", lambda x: (1 + (radius**2 - (x - torch.tensor(center).to(x)).square().sum(-1)).sign()) / 2)


def ink(x: Tensor) -> Tensor:
    """Mean pixel of an image in [−1, 1], from 0 (blank) to 1 (ink everywhere): [B, C, H, W] → [B], linear."""
    return (x.flatten(1).mean(1) + 1) / 2


def symmetry(x: Tensor) -> Tensor:
    """Minus the mean squared difference between an image and its mirror image: [B, C, H, W] → [B], ≤ 0, smooth."""
    return -(x - x.flip(-1)).square().flatten(1).mean(1)


def compressed_size(x: Tensor) -> Tensor:
    """Minus the bytes zlib needs for the image in black and white: [B, C, H, W] → [B]. A black box: no gradient."""
    white = (x.detach() > 0).to(torch.uint8).cpu().numpy()
    sizes = [len(zlib.compress(image.tobytes(), 9)) for image in white]
    return -torch.tensor(sizes, dtype=x.dtype, device=x.device)
