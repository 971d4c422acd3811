"""The planted bug of the notebook on diffusion models: a sampler that is wrong in one line."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def sampler(denoise: Callable[[Tensor, int], Tensor], alpha_bar: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """x_0 [n, 2] by T ancestral steps with σ_t² = β̃_t, from ᾱ [T+1]."""
    x = torch.randn(n, 2, generator=generator)  # right: at t = T next to nothing is left of the data.
    for t in range(len(alpha_bar) - 1, 0, -1):
        now, before = alpha_bar[t], alpha_bar[t - 1]
        beta = 1 - now / before  # right: ᾱ_t = (1 − β_t) ᾱ_{t−1}.
        to_x_0 = before.sqrt() * beta / (1 - now)  # right: this is c⁰_t.
        to_x_t = (1 - beta).sqrt() * (1 - before) / (1 - now)  # right: this is c¹_t.
        variance = beta * (1 - before) / (1 - now)  # right: this is β̃_t.
        mean = to_x_0 * denoise(x, t) + to_x_t * x
        x = mean + variance * torch.randn(n, 2, generator=generator)  # planted: z is multiplied by √β̃_t, the std.
    return x
