r"""A family for points: a control u_t(x_t; α) that takes log α as one more input.

Shapes: x_t [B, D]; t a whole number in 1..T or a LongTensor [B]; α a tensor [1].
"""

import torch
from torch import Tensor, nn

from ..checks import positive
from ..denoisers import MLP, initial_weights, zero_at_start
from ..policies import DenoisingPolicy, SteeredPolicy, within_reach
from .family import ALPHAS, Family, LogScale


class ConditionedMLP(nn.Module):
    """An MLP that also takes log α, scaled to [−1, 1] over the range: x_t [B, D], t, α [1] → [B, outputs]."""

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        outputs: int,
        alphas: tuple[float, float],
        *,
        width: int = 128,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if len(pretrained.shape) != 1:
            raise ValueError(f"expected a policy of points [D], got data of shape {list(pretrained.shape)}")
        self.place = LogScale(alphas)
        with initial_weights(generator or 0):
            network = zero_at_start(MLP(pretrained.shape[0] + 1, outputs, pretrained.schedule.T, width=width))
        self.network = network.to(pretrained.schedule.sigma.device)

    def forward(self, x_t: Tensor, t: int | Tensor, alpha: Tensor) -> Tensor:
        return self.network(torch.cat([x_t, self.place(alpha).to(x_t).expand(len(x_t), 1)], 1), t)


class AmortisedControl(nn.Module):
    """u_t(x_t; α) for points: [B, D], t, α [1] → [B, D], zero at the start. The network's output is divided by 1 + α,
    because the optimal shift falls as 1/α where α is large."""

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        alphas: tuple[float, float],
        *,
        width: int = 128,
        reach: float = 5.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.reach = positive("reach", reach)
        self.network = ConditionedMLP(pretrained, pretrained.shape[0], alphas, width=width, generator=generator)

    def forward(self, x_t: Tensor, t: int | Tensor, alpha: Tensor) -> Tensor:
        return within_reach(self.network(x_t, t, alpha) / (1 + alpha), self.reach)


class AmortisedPolicy(Family):
    """A family of steered policies. control: a module (x_t [B, …], t, α [1]) → [B, …]; None makes an MLP for points,
    whose first weights the generator draws; without one they are the same every time."""

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        control: nn.Module | None = None,
        *,
        alphas: tuple[float, float] = ALPHAS,
        width: int = 128,
        generator: torch.Generator | None = None,
    ):
        super().__init__(pretrained, alphas)
        self.control = control or AmortisedControl(pretrained, self.alphas, width=width, generator=generator)

    def at(self, alpha: float) -> SteeredPolicy:
        return SteeredPolicy(self.pretrained, ControlAt(self.control, self.inside(alpha)))


class ControlAt(nn.Module):
    """A family's control at one α: (x_t [B, …], t) → [B, …]."""

    def __init__(self, control: nn.Module, alpha: Tensor):
        super().__init__()
        self.control, self.alpha = control, alpha

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        return self.control(x_t, t, self.alpha)
