r"""What of a model is tuned: one switch, `tunable(pretrained, how)`.

    "lora"     mean_θ of W + s B A      ≤ 10 % as many parameters, the pretrained ones frozen (`lora`)
    "full"     mean_θ of a whole copy   every parameter
    "control"  ρ + σ_t u_θ(x_t, t)      a network of its own beside the pretrained one, a tenth of its arithmetic

All three begin as p_pre and offer the same methods, so that every algorithm runs on every one. A control never sends a
gradient through the big network unless x_t itself needs one (reward backpropagation).
"""

import copy

import torch
from torch import Tensor, nn

from ..checks import positive
from ..denoisers import UNetDenoiser, adapted, initial_weights
from .chain import DenoisingPolicy
from .retuned import RetunedPolicy
from .steered import Control, SteeredPolicy, TunablePolicy, within_reach

WAYS = ("lora", "full", "control")
PACES = dict(lora=0.2, full=0.01, control=0.2)  # of images; a control of points has pace 1


class ImageControl(nn.Module):
    """u_t(x_t) for images: [B, 1, H, W], t → [B, 1, H, W]. A small UNet, zero at first, bent so that ‖u‖ < reach."""

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        *,
        channels: tuple[int, int, int] = (8, 16, 24),
        reach: float = 5.0,
        generator: torch.Generator,
    ):
        super().__init__()
        self.reach = positive("reach", reach)
        if len(pretrained.shape) != 3 or pretrained.shape[0] != 1:
            raise ValueError(f"expected a policy of grey images [1, H, W], got shape {list(pretrained.shape)}")
        with initial_weights(generator):
            _, height, width = pretrained.shape
            network = UNetDenoiser(pretrained.schedule, (height, width), classes=0, channels=channels)
        self.network = network.to(pretrained.schedule.sigma.device)
        for p in self.network.head[-1].parameters():
            nn.init.zeros_(p)

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        return within_reach(self.network.raw(x_t, t), self.reach)


def tunable(
    pretrained: DenoisingPolicy, how: str | None = None, *, rank: int = 4, generator: torch.Generator
) -> TunablePolicy:
    """A policy to fine-tune, equal to `pretrained`, which stays as it is. how: "lora", "full" or "control"; None is
    "control" for points and "lora" for images.

    rank: of the adapters; the generator draws the initial weights of adapters and control.
    """
    points = len(pretrained.shape) == 1
    how = how or ("control" if points else "lora")
    if how == "control" and points:
        return SteeredPolicy(pretrained, Control(pretrained, generator=generator))
    if how == "control":
        return SteeredPolicy(pretrained, ImageControl(pretrained, generator=generator), pace=PACES[how])
    if how == "lora":
        return RetunedPolicy(pretrained, adapted(pretrained.denoiser, rank, generator=generator), pace=PACES[how])
    if how == "full":
        return RetunedPolicy(pretrained, copy.deepcopy(pretrained.denoiser).requires_grad_(), pace=PACES[how])
    raise ValueError(f"unknown way to tune {how!r}; known: {', '.join(WAYS)}")
