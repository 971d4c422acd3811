r"""Policies: the denoising chain as a thing that acts (§1.1 and §3).

    p(x_{0:T}) = N(x_T; 0, I) Π_t N(x_{t−1}; ρ(x_t, t), σ_t² I),   ρ(x_t, t) = c⁰_t x̂_0(x_t, t) + c¹_t x_t

Shapes: x_t [B, …]; t a whole number in 1..T, or a LongTensor [B] so that many steps share one network call.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..checks import batch_of
from ..denoisers import Denoiser
from ..schedules import NoiseSchedule


@dataclass(frozen=True)
class Trajectory:
    """x_{0:T}: `x` is [T+1, B, …] and x[t] is the paper's x_t."""

    x: Tensor

    @property
    def x_0(self) -> Tensor:
        return self.x[0]

    @property
    def T(self) -> int:
        return len(self.x) - 1

    def steps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Every step of every path in one batch: (x_t [T·B, …], t [T·B], x_{t−1} [T·B, …]), t = 1 first."""
        t = torch.arange(1, self.T + 1, device=self.x.device).repeat_interleave(self.x.shape[1])
        return self.x[1:].flatten(0, 1), t, self.x[:-1].flatten(0, 1)

    def by_step(self, values: Tensor) -> Tensor:
        """[T·B] in the order of `steps` → [T+1, B] with row 0 zero."""
        rows = values.reshape(self.T, -1)
        return torch.cat([torch.zeros_like(rows[:1]), rows])


@dataclass(frozen=True)
class Recorded(Trajectory):
    """A policy's own paths and what it did at each step from x_t: the shift u[t] = u_t(x_t), and where it went,
    z[t] = (x_{t−1} − ρ(x_t, t))/σ_t. Both [T+1, B, …], row 0 zero."""

    u: Tensor
    z: Tensor

    def kl(self) -> Tensor:
        """Σ_t ½‖u_t‖² along each path: [B]."""
        return self.u.flatten(2).square().sum((0, 2)) / 2

    def log_ratio(self) -> Tensor:
        """log p_θ(x_{t−1}|x_t) − log p_pre(x_{t−1}|x_t) of every step: [T+1, B], row 0 zero."""
        return log_ratio(self.u.flatten(0, 1), self.z.flatten(0, 1)).reshape(self.u.shape[:2])


def log_ratio(u: Tensor, z: Tensor) -> Tensor:
    """log N(z; u, I) − log N(z; 0, I) = u·z − ½‖u‖², for z = (x_{t−1} − ρ)/σ_t: [B, …] → [B]."""
    return (u * z - u.square() / 2).flatten(1).sum(1)


class Policy(nn.Module):
    """A chain of Gaussian steps N(ρ + σ_t u, σ_t² I) around the pretrained mean ρ. Each kind gives its `proposal`."""

    schedule: NoiseSchedule
    shape: tuple[int, ...]

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        """(ρ(x_t, t), u_t(x_t)): the pretrained mean and the shift from it in units of σ_t. Both [B, …]."""
        raise TypeError(f"{type(self).__name__} must define proposal(x_t, t)")

    def mean(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """ρ + σ_t u: [B, …] → [B, …]."""
        rho, u = self.proposal(x_t, t)
        return rho + self.schedule.at("sigma", t, x_t) * u

    def shift(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """u_t(x_t) = (mean_θ − mean_pre)/σ_t: [B, …] → [B, …]."""
        return self.proposal(x_t, t)[1]

    def kl(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """KL(p_θ(·|x_t) ‖ p_pre(·|x_t)) = ½‖u_t‖²: [B, …] → [B]."""
        return self.shift(x_t, t).flatten(1).square().sum(1) / 2

    def sigma(self, t: int | Tensor) -> Tensor:
        """σ_t: a scalar, or [B] for t of shape [B]."""
        return self.schedule.sigma[self.schedule.check(t)]

    def log_prob(self, path: Trajectory) -> Tensor:
        """log p(x_{t−1}|x_t) of every step: [T+1, B], index t, row 0 unused and zero (log p(x_T) is not in it)."""
        x_t, t, x_next = self._steps(path)
        z = ((x_next - self.mean(x_t, t)) / self.schedule.at("sigma", t, x_t)).flatten(1)
        normaliser = z.shape[1] * (self.sigma(t).to(z).log() + 0.5 * math.log(2 * math.pi))
        return path.by_step(-z.square().sum(1) / 2 - normaliser)

    def log_ratio(self, path: Trajectory) -> Tensor:
        """log p_θ(x_{t−1}|x_t) − log p_pre(x_{t−1}|x_t) of every step: [T+1, B], row 0 zero."""
        x_t, t, x_next = self._steps(path)
        rho, u = self.proposal(x_t, t)
        return path.by_step(log_ratio(u, (x_next - rho) / self.schedule.at("sigma", t, x_t)))

    def _steps(self, path: Trajectory) -> tuple[Tensor, Tensor, Tensor]:
        if path.T != self.schedule.T:
            raise ValueError(f"expected a path of T = {self.schedule.T} steps, got {path.T}")
        batch_of("path.x", path.x, self.shape)
        return path.steps()


class DenoisingPolicy(Policy):
    """The pretrained chain p_pre of a denoiser (x_t, t) → x̂_0 with an attribute `shape`, and a schedule."""

    def __init__(self, denoiser: Denoiser, schedule: NoiseSchedule):
        super().__init__()
        made_for(schedule, denoiser)
        self.denoiser, self.schedule, self.shape = denoiser, schedule, tuple(denoiser.shape)

    def mean(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """ρ(x_t, t): [B, …] → [B, …]."""
        return self.schedule.posterior_mean(self.denoiser(x_t, t), x_t, t)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(x_t, t), torch.zeros_like(x_t)


def made_for(schedule: NoiseSchedule, denoiser: Denoiser) -> None:
    """ValueError for a denoiser that was made for other noise levels, where it says so."""
    own = getattr(denoiser, "schedule", schedule)
    if not schedule.matches(own):
        raise ValueError(
            f"expected a denoiser made for the policy's schedule (T = {schedule.T}), got one for another (T = {own.T})"
        )
