r"""Rewards r(x_0): any callable [B, …] → [B] will do; the worlds use these (§7 sorts them by what is known).

A reward is asked through `query`, which checks what comes back.
"""

import zlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .checks import positive

Reward = Callable[[Tensor], Tensor]


def query(reward: Reward, x_0: Tensor) -> Tensor:
    """reward(x_0), [B, …] → [B], yes and no as 1 and 0; ValueError naming the shape or the share that is not finite."""
    values = reward(x_0)
    if not isinstance(values, Tensor) or values.shape != x_0.shape[:1]:
        came = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"reward {name_of(reward)} must return shape {[len(x_0)]} for x_0 {list(x_0.shape)}, got {came}"
        )
    bad = ~torch.isfinite(values.detach())
    if bad.any():
        share = bad.float().mean().item()
        raise ValueError(f"reward {name_of(reward)} returned NaN or infinity for {share:.1%} of {len(x_0)} samples")
    return values.to(x_0.dtype) if values.dtype == torch.bool else values


def query_slope(reward: Reward, x_0: Tensor) -> Tensor:
    """`query` at an x_0 that needs a gradient; ValueError for a reward that passes none on."""
    try:
        values = query(reward, x_0)
    except RuntimeError as problem:
        if "requires grad" not in str(problem):  # what .numpy() says
            raise
        values = x_0.new_zeros(len(x_0))
    if not values.requires_grad:
        raise ValueError(
            f"expected a differentiable reward, got {name_of(reward)}, which gives no gradient; soft_ppo, "
            f"reward_weighted_mle and path_consistency need none, nor does sequential_monte_carlo"
        )
    return values


def name_of(reward: Reward) -> str:
    return getattr(reward, "__name__", type(reward).__name__)


class QueryCounter:
    """A reward that counts the samples it is asked about, in `queries`."""

    def __init__(self, reward: Reward):
        self.reward, self.queries, self.__name__ = reward, 0, name_of(reward)

    def __call__(self, x_0: Tensor) -> Tensor:
        self.queries += len(x_0)
        return self.reward(x_0)


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
