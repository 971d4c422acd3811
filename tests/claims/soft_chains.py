"""What the claims about the theorems (4.1 to 4.4) share: Ring at T = 20 under three rewards and three α."""

import functools

import torch

from tutorial_lib.exact import SoftValues, sample_optimal
from tutorial_lib.rewards import disc

from ..oracles import RING_EXTENT, RING_REWARD, ring, seeded, wave
from ..shared import shared

T = 20
REWARDS = {"peak": RING_REWARD, "waves": wave, "disc": disc((-1.5, -1.5), radius=0.8)}
ALPHAS = (0.2, 0.5, 2.0)


@functools.cache
def soft_values(name, alpha):
    return shared(SoftValues, ring(T), REWARDS[name], alpha=alpha, extent=RING_EXTENT)


def optimal_paths(name, alpha, n, seed=0):
    """x [T+1, n, 2] by the exact kernels, x_T tilted."""
    return sample_optimal(soft_values(name, alpha), n, generator=seeded(seed)).x


def features(x):
    """Moments and 16 fixed waves of points: [..., 2] → [..., 21] in float64. Laws that agree in many of them agree."""
    x = x.double()
    frequency = 1.5 * torch.randn(2, 8, generator=seeded(7), dtype=torch.float64)
    phase = x @ frequency
    return torch.cat([x, x.square(), x.prod(-1, keepdim=True), phase.cos(), phase.sin()], -1)
