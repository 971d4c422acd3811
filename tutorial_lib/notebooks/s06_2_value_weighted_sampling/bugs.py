"""A crowd that runs and is wrong in one line (§6.2), for the reader to find."""

import math
from typing import Any

import torch
from torch import Tensor


def crowd(pretrained: Any, value: Any, alpha: float, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, v = torch.randn(n, 2, generator=generator), torch.zeros(n)
    log_w, log_z = torch.zeros(n), torch.zeros(())
    for t in range(pretrained.schedule.T, -1, -1):
        ahead = value(x, t)  # right: The last value, at t = 0, is the reward itself.
        log_w, v = log_w + (ahead - v) / alpha, ahead  # right: What v has gained since the last step, in units of α.
        w = log_w.softmax(0)  # right: Weights are only compared with each other.
        if 1 / w.square().sum() < n / 2 or t == 0:  # right: Resample where few of them count, and at the end.
            log_z = log_z + log_w.logsumexp(0) - math.log(n)  # right: The mean weight, before the weights are reset.
            chosen = torch.multinomial(w, n, replacement=True, generator=generator)  # right: Noisier, and unbiased.
            x = x[chosen]  # planted: Copy v with x, or the next weight takes off another particle's v.
            log_w = torch.zeros(n)  # right: A heavy particle now has many copies, and they count alike.
        if t > 0:
            z = torch.randn(n, 2, generator=generator)
            x = pretrained.mean(x, t) + pretrained.sigma(t) * z  # right: A pretrained step; the weights do the rest.
    return x, log_z
