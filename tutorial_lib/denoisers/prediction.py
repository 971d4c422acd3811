r"""What a denoiser is: a function (x_t, t, label) → x̂_0 ≈ E[x_0|x_t] (§1.1).

One model, four predictions. With x_t = √ᾱ x_0 + √(1−ᾱ) ε each of these determines the others, given x_t (`convert`):

    x_0-prediction,   ε-prediction,   v = √ᾱ ε − √(1−ᾱ) x_0,   score ∇log p_t(x_t) = −ε/√(1−ᾱ)

A learned one is a network F_θ under coefficients that leave it an output of order one at every t (`preconditioning`).
Shapes: x_t [B, …]; t a whole number or a LongTensor [B]; label a LongTensor [B] or None (no class).
"""

import torch
from torch import Tensor, nn

from ..schedules import NoiseSchedule

PREDICTIONS = ("x_0", "epsilon", "v", "score")


class Denoiser(nn.Module):
    """A function (x_t, t, label) → x̂_0 that knows the shape of one sample and the schedule it is for."""

    shape: tuple[int, ...]
    schedule: NoiseSchedule


def convert(prediction: Tensor, x_t: Tensor, alpha_bar: Tensor | float, source: str, target: str) -> Tensor:
    """A prediction of kind `source` as one of kind `target`; kinds are "x_0", "epsilon", "v" and "score".

    alpha_bar: a number in (0, 1), or a tensor that broadcasts against x_t.
    """
    for kind in (source, target):
        if kind not in PREDICTIONS:
            raise ValueError(f"unknown prediction {kind!r}; known: {', '.join(PREDICTIONS)}")
    level = torch.as_tensor(alpha_bar, dtype=x_t.dtype, device=x_t.device)
    if not ((level > 0) & (level < 1)).all():
        raise ValueError(f"alpha_bar must lie in (0, 1), got {alpha_bar}")
    a, s = level.sqrt(), (1 - level).sqrt()
    x_0 = {
        "x_0": lambda p: p,
        "epsilon": lambda p: (x_t - s * p) / a,
        "v": lambda p: a * x_t - s * p,
        "score": lambda p: (x_t + s.square() * p) / a,
    }[source](prediction)
    epsilon = (x_t - a * x_0) / s
    return {"x_0": x_0, "epsilon": epsilon, "v": a * epsilon - s * x_0, "score": -epsilon / s}[target]


def preconditioning(
    schedule: NoiseSchedule, t: int | Tensor, data_std: float, fine_std: float, like: Tensor
) -> tuple[Tensor, ...]:
    r"""(c_skip, c_out, c_in), shaped to multiply `like`. With d = data_std, w = fine_std and s² = 1−ᾱ_t,

        c_skip = √ᾱ d²/(ᾱd² + s²),   c_out = s² d / √((ᾱd² + s²)(ᾱw² + s²)),   c_in = 1/√(ᾱd² + s²)

    c_skip and c_in are those of Karras et al. 2022 (EDM): F = 0 is right for a Gaussian of standard deviation d. So is
    c_out at w = 0. A density that is smooth at scale w has a bounded score as s → 0, x̂_0 − x_t is then of order s², not
    s, and so is c_out: an error in F does not grow in the score (√ᾱ x̂_0 − x_t)/s².
    """
    level, noise = schedule.at("alpha_bar", t, like), schedule.at("noise", t, like)
    total, fine = level * data_std**2 + noise, level * fine_std**2 + noise  # Var x_t, and around a local peak
    return level.sqrt() * data_std**2 / total, noise * data_std * (total * fine).rsqrt(), total.rsqrt()
