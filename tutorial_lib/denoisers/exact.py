r"""The exact denoiser of a Gaussian mixture, E[x_0|x_t] in closed form (§1.1): [B, D] → [B, D]."""

import numpy as np
import torch
from torch import Tensor

from ..checks import batch_of
from ..distributions import GaussianMixture
from ..schedules import NoiseSchedule
from .prediction import Denoiser

PAIRS, LEVELS = 4096, 33


class ExactDenoiser(Denoiser):
    """E[x_0|x_t] of a GaussianMixture in closed form: the network that training would reach.

    It knows how much x_t leaves unknown of x_0, and settles the schedule's σ_t by it where nobody has done so.
    """

    def __init__(self, mixture: GaussianMixture, schedule: NoiseSchedule):
        super().__init__()
        self.mixture, self.schedule, self.shape = mixture, schedule, (mixture.dim,)
        if not schedule.settled:
            schedule.settle(self.spread())

    def forward(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        batch_of("x_t", x_t, self.shape)
        return self.mixture.denoise(x_t, self.schedule.alpha_bar[self.schedule.check(t)].to(x_t))

    @torch.no_grad()
    def spread(self) -> Tensor:
        """E Var(x_0|x_t) a coordinate, [T+1], 0 at t = 0: the mean squared error over PAIRS pairs (x_0, x_t), the same
        noise at each of LEVELS noise levels, and between them linear in logarithms."""
        alpha_bar, noise = (a.double().cpu().numpy() for a in (self.schedule.alpha_bar, self.schedule.noise))
        place = np.log(noise[1:] / alpha_bar[1:])
        levels = np.linspace(place[0], place[-1], LEVELS)
        generator = torch.Generator(self.schedule.sigma.device).manual_seed(0)
        x_0 = self.mixture.sample(PAIRS, generator=generator)
        epsilon = torch.randn(x_0.shape, dtype=x_0.dtype, device=x_0.device, generator=generator)
        errors = [
            float((self.mixture.denoise(level**0.5 * x_0 + (1 - level) ** 0.5 * epsilon, level) - x_0).square().mean())
            for level in 1 / (1 + np.exp(levels))
        ]
        found = np.interp(place, levels, np.log(errors))
        return torch.from_numpy(np.concatenate([[0.0], np.exp(found)]))
