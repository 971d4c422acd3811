r"""Policies that fine-tuning changes: the pretrained chain and a control beside it (§3).

    p_θ(x_{t−1}|x_t) = N(ρ(x_t, t) + σ_t u_θ(x_t, t), σ_t² I),   KL_t = ½‖u_θ‖²

The variance stays as it was, so that KL_t is exact, and u = 0 is the pretrained policy.
Shapes: x_t [B, …]; t a whole number in 1..T, or a LongTensor [B].
"""

import torch
from torch import Tensor, nn

from ..checks import batch_of, count, positive
from ..denoisers import MLP, initial_weights, zero_at_start
from .chain import DenoisingPolicy, Policy


def within_reach(u: Tensor, reach: float) -> Tensor:
    """u bent so that ‖u‖ stays below `reach`, and hardly changed where it is small: [B, …] → [B, …]."""
    size = u.flatten(1).square().sum(1).reshape(-1, *[1] * (u.ndim - 1))
    return u * (1 + size / reach**2).rsqrt()


class Control(nn.Module):
    """u_t(x_t) for points: [B, D], t → [B, D]. A network that is zero at the start, bent so that ‖u‖ stays below reach.

    Without the bound one bad update can send paths so far out that no reward brings them back. A target very far from
    the data may need a wider one.
    """

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        width: int = 96,
        *,
        reach: float = 5.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.reach = positive("reach", reach)
        if len(pretrained.shape) != 1:
            raise ValueError(
                f"pass a control for data of shape {pretrained.shape}; the default one is for points [D], and "
                f"policies.tunable makes a policy for images"
            )
        (dim,) = pretrained.shape
        with initial_weights(generator or 0):
            network = zero_at_start(MLP(dim, dim, pretrained.schedule.T, width=width))
        self.network = network.to(pretrained.schedule.sigma.device)

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        return within_reach(self.network(x_t, t), self.reach)


class LateControl(Control):
    """A control of the last K steps alone: u_t = 0 for t > K (`last`), so that the steps before stay pretrained."""

    def __init__(self, pretrained: DenoisingPolicy, last: int, *, generator: torch.Generator | None = None):
        super().__init__(pretrained, generator=generator)
        self.last = count("last", last)

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        late = torch.as_tensor(t, device=x_t.device).reshape(-1, 1) <= self.last
        return torch.where(late, super().forward(x_t, t), 0.0)


class TunablePolicy(Policy):
    """A policy that fine-tuning changes, around a `pretrained` one that it leaves alone.

    pace: how fast it can learn, as a multiple of the default learning rates, which suit a small control of points.
    """

    def __init__(self, pretrained: DenoisingPolicy, *, pace: float = 1.0):
        super().__init__()
        self.pace = positive("pace", pace)
        self.schedule, self.shape = pretrained.schedule, pretrained.shape
        self._frozen = (pretrained,)  # in a tuple, so that it is no submodule and its parameters are not ours

    @property
    def pretrained(self) -> DenoisingPolicy:
        return self._frozen[0]


class SteeredPolicy(TunablePolicy):
    """A policy with a control: mean = pretrained.mean + σ_t · control(x_t, t). The control is zero at the start.

    control: a module (x_t [B, …], t) → [B, …]; None makes an MLP for points, whose first weights the generator draws;
    without one they are the same every time. `parameters()` are the control's alone.
    """

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        control: nn.Module | None = None,
        *,
        width: int = 96,
        generator: torch.Generator | None = None,
        pace: float = 1.0,
    ):
        super().__init__(pretrained, pace=pace)
        self.control = control if control is not None else Control(pretrained, width, generator=generator)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        return self.pretrained.mean(x_t, t), self.shift(x_t, t)

    def shift(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """u_t(x_t) = control(x_t, t): [B, …] → [B, …]."""
        return self.control(batch_of("x_t", x_t, self.shape), self.schedule.check(t))
