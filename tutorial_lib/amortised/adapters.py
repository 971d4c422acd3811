r"""A family for images: low-rank adapters that α opens and shuts.

    W + s B diag(C φ(α)) A,   φ(α) = (1, a, a², a³) / (1 + α/α_mid),   a = log α scaled to [−1, 1] over the range

Shapes: x_t [B, 1, H, W]; t a whole number in 1..T or a LongTensor [B]; α a tensor [1].
"""

import torch
from torch import Tensor

from ..denoisers import Denoiser, adapted, merged
from ..denoisers.lora import gate
from ..policies import DenoisingPolicy, RetunedPolicy
from .family import Family, LogScale

PACE = 0.2  # of adapters


class GatedDenoiser(Denoiser):
    """x̂_0(x_t, t, label; α) of a network with gated adapters, which at one α is a plain network again."""

    def __init__(self, denoiser: Denoiser, rank: int, alphas: tuple[float, float], *, generator: torch.Generator):
        super().__init__()
        self.schedule, self.shape, self.place = denoiser.schedule, denoiser.shape, LogScale(alphas)
        self.network = adapted(denoiser, rank, features=4, generator=generator)

    def features(self, alpha: Tensor) -> Tensor:
        """φ(α): [1] → [4]."""
        powers = self.place(alpha) ** torch.arange(4, device=alpha.device)
        return powers * (self.place.middle - alpha.log()).sigmoid()

    def forward(self, x_t: Tensor, t: int | Tensor, alpha: Tensor, label: Tensor | None = None) -> Tensor:
        gate(self.network, self.features(alpha))
        return self.network(x_t, t, label)

    def plain(self, alpha: Tensor) -> Denoiser:
        """The network at one α, its weights written out and frozen."""
        gate(self.network, self.features(alpha))
        return merged(self.network).requires_grad_(False)


class DenoiserAt(Denoiser):
    """A gated denoiser at one α: (x_t [B, …], t, label) → [B, …]."""

    def __init__(self, denoiser: GatedDenoiser, alpha: Tensor):
        super().__init__()
        self.schedule, self.shape, self.denoiser, self.alpha = denoiser.schedule, denoiser.shape, denoiser, alpha

    def forward(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        return self.denoiser(x_t, t, self.alpha, label)


class AmortisedAdapters(Family):
    """A family of retuned networks. A frozen family's members have their weights written out, and sample at the cost
    of the plain network."""

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        *,
        alphas: tuple[float, float],
        rank: int = 8,
        generator: torch.Generator,
    ):
        super().__init__(pretrained, alphas)
        self.denoiser = GatedDenoiser(pretrained.denoiser, rank, self.alphas, generator=generator)

    def at(self, alpha: float) -> RetunedPolicy:
        tuned = any(p.requires_grad for p in self.parameters())
        found = self.inside(alpha)
        member = DenoiserAt(self.denoiser, found) if tuned else self.denoiser.plain(found)
        return RetunedPolicy(self.pretrained, member, pace=PACE)
