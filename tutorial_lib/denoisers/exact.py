r"""The exact denoiser of a Gaussian mixture, E[x_0|x_t] in closed form (§1.1): [B, D] → [B, D]."""

from torch import Tensor

from ..checks import batch_of
from ..distributions import GaussianMixture
from ..schedules import NoiseSchedule
from .prediction import Denoiser


class ExactDenoiser(Denoiser):
    """E[x_0|x_t] of a GaussianMixture in closed form: the network that training would reach."""

    def __init__(self, mixture: GaussianMixture, schedule: NoiseSchedule):
        super().__init__()
        self.mixture, self.schedule, self.shape = mixture, schedule, (mixture.dim,)

    def forward(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        batch_of("x_t", x_t, self.shape)
        return self.mixture.denoise(x_t, self.schedule.alpha_bar[self.schedule.check(t)].to(x_t))
