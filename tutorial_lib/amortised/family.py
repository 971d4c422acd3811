r"""One policy for every α of a range, so that a slider over α needs no training of its own.

    u_t(x_t; α),   α in [α_low, α_high]

A family's member `at(alpha)` is a policy like any other, and can be tuned like any other.
"""

import math

import torch
from torch import Tensor, nn

from ..checks import positive
from ..policies import DenoisingPolicy, TunablePolicy

ALPHAS = (0.05, 5.0)


def alpha_range(alphas: tuple[float, float]) -> tuple[float, float]:
    """`alphas` as two floats; ValueError unless 0 < low < high."""
    low, high = (positive("alpha", alpha) for alpha in alphas)
    if not low < high:
        raise ValueError(f"expected a range of α from low to high, got {alphas!r}")
    return low, high


class LogScale:
    """log α, scaled to [−1, 1] over a range."""

    def __init__(self, alphas: tuple[float, float]):
        low, high = (math.log(alpha) for alpha in alpha_range(alphas))
        self.middle, self.half_width = (low + high) / 2, (high - low) / 2

    def __call__(self, alpha: Tensor) -> Tensor:
        return (alpha.log() - self.middle) / self.half_width


class Family(nn.Module):
    """Policies around one `pretrained` that share a network, one for every α of the range `alphas`."""

    def __init__(self, pretrained: DenoisingPolicy, alphas: tuple[float, float]):
        super().__init__()
        self.alphas = alpha_range(alphas)
        self._frozen = (pretrained,)  # in a tuple, so that it is no submodule and its parameters are not ours

    @property
    def pretrained(self) -> DenoisingPolicy:
        return self._frozen[0]

    def at(self, alpha: float) -> TunablePolicy:
        """The member at α; ValueError outside the range."""
        raise TypeError(f"{type(self).__name__} must define at(alpha)")

    def spread(self, n: int) -> list[float]:
        """n values of α from one end of the range to the other, evenly in log α."""
        low, high = self.alphas
        return [low * (high / low) ** (place / (n - 1)) for place in range(n)]

    def inside(self, alpha: float) -> Tensor:
        """`alpha` as a tensor [1]; ValueError outside the range."""
        low, high = self.alphas
        if not low * (1 - 1e-6) <= positive("alpha", alpha) <= high * (1 + 1e-6):
            raise ValueError(f"expected alpha in [{low:g}, {high:g}], the range of this policy, got {alpha!r}")
        return torch.tensor([alpha], dtype=torch.float32, device=self.pretrained.schedule.sigma.device)
