r"""A policy with another denoiser in the same steps: the whole model tuned, or its adapters (§3).

    p_θ(x_{t−1}|x_t) = N(c⁰_t x̂_0(x_t, t; θ) + c¹_t x_t, σ_t² I),   u_t = (mean_θ − ρ)/σ_t

Shapes: x_t [B, …]; t a whole number in 1..T, or a LongTensor [B].
"""

from torch import Tensor

from ..denoisers import Denoiser
from .chain import DenoisingPolicy, made_for
from .steered import TunablePolicy


class RetunedPolicy(TunablePolicy):
    """The same steps with another denoiser, mean = c⁰_t x̂_0(x_t, t) + c¹_t x_t: the whole model tuned, or its adapters.

    The denoiser is a full copy of the pretrained one, one with low-rank adapters (`lora.adapted`), or one from scratch.
    Its denoising loss at each t is (c⁰_t)²/2σ_t² ‖x̂_0 − x_0‖², a KL from the true step (claim 6.3).
    """

    def __init__(self, pretrained: DenoisingPolicy, denoiser: Denoiser, *, pace: float = 1.0):
        super().__init__(pretrained, pace=pace)
        if tuple(denoiser.shape) != pretrained.shape:
            raise ValueError(f"expected a denoiser of shape {pretrained.shape}, got {tuple(denoiser.shape)}")
        made_for(pretrained.schedule, denoiser)
        self.denoiser = denoiser

    def mean(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """mean_θ(x_t, t), which needs no pretrained network: [B, …] → [B, …]."""
        return self.schedule.posterior_mean(self.denoiser(x_t, t), x_t, t)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        rho = self.pretrained.mean(x_t, t)
        return rho, (self.mean(x_t, t) - rho) / self.schedule.at("sigma", t, x_t)
