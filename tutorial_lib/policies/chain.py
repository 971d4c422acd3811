r"""Policies: the denoising chain as a thing that acts (§1.1 and §3).

    p(x_{0:T}) = N(x_T; 0, I) Π_t N(x_{t−1}; ρ(x_t, t), σ_t² I),   ρ(x_t, t) = c⁰_t x̂_0(x_t, t) + c¹_t x_t

A steered policy keeps σ_t and moves the mean by σ_t u_t(x_t), so that KL_t = ½‖u_t‖² exactly.
Shapes: x_t [B, …]; t a whole number in 1..T, or a LongTensor [B] so that many steps share one network call.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .checks import batch_of, count, positive
from .denoisers import MLP, Denoiser, zero_at_start
from .schedules import NoiseSchedule


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
        _made_for(schedule, denoiser)
        self.denoiser, self.schedule, self.shape = denoiser, schedule, tuple(denoiser.shape)

    def mean(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """ρ(x_t, t): [B, …] → [B, …]."""
        return self.schedule.posterior_mean(self.denoiser(x_t, t), x_t, t)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(x_t, t), torch.zeros_like(x_t)


def _made_for(schedule: NoiseSchedule, denoiser: Denoiser) -> None:
    """ValueError for a denoiser that was made for other noise levels, where it says so."""
    own = getattr(denoiser, "schedule", schedule)
    if not schedule.matches(own):
        raise ValueError(
            f"expected a denoiser made for the policy's schedule (T = {schedule.T}), got one for another (T = {own.T})"
        )


def within_reach(u: Tensor, reach: float) -> Tensor:
    """u bent so that ‖u‖ stays below `reach`, and hardly changed where it is small: [B, …] → [B, …]."""
    size = u.flatten(1).square().sum(1).reshape(-1, *[1] * (u.ndim - 1))
    return u * (1 + size / reach**2).rsqrt()


class Control(nn.Module):
    """u_t(x_t) for points: [B, D], t → [B, D]. A network that is zero at the start, bent so that ‖u‖ stays below reach.

    Without the bound one bad update can send paths so far out that no reward brings them back. A target very far from
    the data may need a wider one.
    """

    def __init__(self, pretrained: DenoisingPolicy, width: int = 96, *, reach: float = 5.0):
        super().__init__()
        self.reach = positive("reach", reach)
        if len(pretrained.shape) != 1:
            raise ValueError(
                f"pass a control for data of shape {pretrained.shape}; the default one is for points [D], and "
                f"tuning.tunable makes a policy for images"
            )
        (dim,) = pretrained.shape
        network = zero_at_start(MLP(dim, dim, pretrained.schedule.T, width=width))
        self.network = network.to(pretrained.schedule.sigma.device)

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        return within_reach(self.network(x_t, t), self.reach)


class TunablePolicy(Policy):
    """A policy that fine-tuning changes, around a `pretrained` one that it leaves alone.

    pace: how fast it can learn, as a multiple of the default learning rates, which suit a small control of points.
    """

    pace = 1.0

    def __init__(self, pretrained: DenoisingPolicy):
        super().__init__()
        self.schedule, self.shape = pretrained.schedule, pretrained.shape
        self._frozen = (pretrained,)  # in a tuple, so that it is no submodule and its parameters are not ours

    @property
    def pretrained(self) -> DenoisingPolicy:
        return self._frozen[0]

    def at(self, alpha: float | Tensor) -> Policy:
        """The policy for this α, or for these [n]: itself, for only an AmortisedPolicy takes α as an input."""
        return self


class SteeredPolicy(TunablePolicy):
    """A policy with a control: mean = pretrained.mean + σ_t · control(x_t, t). The control is zero at the start.

    control: a module (x_t [B, …], t) → [B, …]; None makes an MLP for points. `parameters()` are the control's alone.
    """

    def __init__(self, pretrained: DenoisingPolicy, control: nn.Module | None = None, *, width: int = 96):
        super().__init__(pretrained)
        self.control = control if control is not None else Control(pretrained, width)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        return self.pretrained.mean(x_t, t), self.shift(x_t, t)

    def shift(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """u_t(x_t) = control(x_t, t): [B, …] → [B, …]."""
        return self.control(batch_of("x_t", x_t, self.shape), self.schedule.check(t))


class RetunedPolicy(TunablePolicy):
    """The same steps with another denoiser, mean = c⁰_t x̂_0(x_t, t) + c¹_t x_t: the whole model tuned, or its adapters.

    The denoiser is a full copy of the pretrained one, one with low-rank adapters (`lora.adapted`), or one from scratch.
    Its denoising loss at each t is (c⁰_t)²/2σ_t² ‖x̂_0 − x_0‖², a KL from the true step (claim 6.3).
    """

    def __init__(self, pretrained: DenoisingPolicy, denoiser: Denoiser):
        super().__init__(pretrained)
        if tuple(denoiser.shape) != pretrained.shape:
            raise ValueError(f"expected a denoiser of shape {pretrained.shape}, got {tuple(denoiser.shape)}")
        _made_for(pretrained.schedule, denoiser)
        self.denoiser = denoiser

    def mean(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        """mean_θ(x_t, t), which needs no pretrained network: [B, …] → [B, …]."""
        return self.schedule.posterior_mean(self.denoiser(x_t, t), x_t, t)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        rho = self.pretrained.mean(x_t, t)
        return rho, (self.mean(x_t, t) - rho) / self.schedule.at("sigma", t, x_t)


def rollout(policy: Policy, n: int, *, generator: torch.Generator) -> Trajectory:
    """n paths x_T → x_0 of the policy, without gradients. The noise depends on the generator alone."""
    return rollout_with(policy.mean, policy, n, generator=generator)


def record(policy: Policy, n: int, *, generator: torch.Generator) -> Recorded:
    """`rollout` that keeps u and z, so that no network is asked twice about the policy's own paths."""
    T, like = policy.schedule.T, policy.schedule.sigma
    u, z = (torch.zeros(T + 1, count("n", n), *policy.shape, device=like.device) for _ in range(2))

    def mean(x_t: Tensor, t: int) -> Tensor:
        z[t], u[t] = policy.proposal(x_t, t)
        return z[t] + like[t] * u[t]

    x = rollout_with(mean, policy, n, generator=generator).x
    z[1:] = (x[:-1] - z[1:]) / like[1:].reshape(-1, *[1] * (x.ndim - 1))  # z held ρ until here
    return Recorded(x, u, z)


@torch.no_grad()
def rollout_with(
    mean: Callable[[Tensor, int], Tensor],
    policy: Policy,
    n: int,
    *,
    std: Tensor | None = None,
    generator: torch.Generator,
) -> Trajectory:
    """`rollout` with another mean(x_t, t), or steps of another std [T+1]; the policy lends schedule and shape."""
    schedule = policy.schedule
    std = schedule.sigma if std is None else std
    like: dict[str, Any] = dict(device=std.device, generator=generator)
    x = torch.empty(schedule.T + 1, count("n", n), *policy.shape, device=std.device)
    x[schedule.T] = torch.randn(x.shape[1:], **like)
    for t in range(schedule.T, 0, -1):
        z = torch.randn(x.shape[1:], **like)
        torch.add(mean(x[t], t), z, alpha=float(std[t]), out=x[t - 1])
    return Trajectory(x)


def ddim(pretrained: DenoisingPolicy, n: int, *, eta: float = 0.0, generator: torch.Generator) -> Trajectory:
    """Song et al. 2021's family between the ODE (η = 0) and an SDE (η = 1): the same marginals, less and less noise.

    x_{t−1} = √ᾱ_{t−1} x̂_0 + √(1 − ᾱ_{t−1} − η²β̃_t) ε̂ + η √β̃_t z
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    schedule = pretrained.schedule
    std = eta * schedule.posterior_std

    def mean(x: Tensor, t: int) -> Tensor:
        x_0 = pretrained.denoiser(x, t)
        epsilon = (x - schedule.alpha_bar[t].sqrt() * x_0) / schedule.noise[t].sqrt()
        kept = (schedule.noise[t - 1] - std[t].square()).clamp_min(0).sqrt()
        return schedule.alpha_bar[t - 1].sqrt() * x_0 + kept * epsilon

    return rollout_with(mean, pretrained, n, std=std, generator=generator)


@torch.no_grad()
def glimpse(policy: Policy, n: int, *, steps: int = 12, generator: torch.Generator) -> Tensor:
    """x_0 [n, …] of any policy for a quick look: DDIM with η = 0 that visits `steps` of the T levels.

    A step's mean c⁰_t x̂_0 + c¹_t x_t tells x̂_0, with whatever steers the policy in it; all noise is in x_T.
    """
    schedule = policy.schedule
    if not 1 <= count("steps", steps) <= schedule.T:
        raise ValueError(f"steps must lie in 1..{schedule.T}, got {steps}")
    levels = torch.linspace(schedule.T, 0, steps + 1).round().int().tolist()
    device = schedule.sigma.device
    x = torch.randn(count("n", n), *policy.shape, device=device, generator=generator)
    for t, s in itertools.pairwise(levels):
        x_0 = (policy.mean(x, t) - schedule.carry[t] * x) / schedule.signal[t]
        epsilon = (x - schedule.alpha_bar[t].sqrt() * x_0) / schedule.noise[t].sqrt()
        x = schedule.alpha_bar[s].sqrt() * x_0 + schedule.noise[s].sqrt() * epsilon
    return x
