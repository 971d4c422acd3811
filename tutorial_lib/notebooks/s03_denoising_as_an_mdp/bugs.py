"""The planted bug of notebooks/03_denoising_as_an_mdp.ipynb: a loop that runs and is wrong in one line."""

from typing import Any

import torch
from torch import Tensor


def count_twice(policy: Any, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    schedule, pretrained = policy.schedule, policy.pretrained
    x = torch.randn(n, 2, generator=generator)  # right: Both chains start from N(0, I), so x_T costs nothing.
    analytic, sampled = torch.zeros(2, n)
    for t in range(schedule.T, 0, -1):
        u = policy.shift(x, t)  # right: The shift at the state that the step starts from.
        z = torch.randn(n, 2, generator=generator)
        kl = u.square().sum(1) / 2  # right: Half of ‖u‖², summed over the coordinates.
        analytic = analytic + kl
        sampled = sampled + (u * z).sum(1) - kl  # planted: This z is counted from the policy's mean: +½‖u‖², not −½.
        x = pretrained.mean(x, t) + schedule.sigma[t] * (u + z)  # right: The policy's own step.
    return analytic, sampled
