r"""Classifier-free guidance (§1.2.2, §8; Ho & Salimans 2022): steer by the difference that a condition makes.

    x̂_0^γ(x_t) = x̂_0(x_t) + γ (x̂_0(x_t | y) − x̂_0(x_t))

γ = 0 is the model of p(x), γ = 1 that of p(x|y); beyond 1 the difference is exaggerated. By Tweedie it is
(1−ᾱ_t)/√ᾱ_t ∇log p_t(y|x_t), the gradient of a classifier that nobody had to train.
Shapes: B particles, D dimensions; t is a whole number in 1..T."""

import torch
from torch import Tensor

from ..checks import not_negative, whole
from ..denoisers import Denoiser
from ..policies import DenoisingPolicy, Policy, Trajectory, rollout


class GivenLabel(Denoiser):
    """x̂_0(x_t|y) of a class-conditional network for one y."""

    def __init__(self, denoiser: Denoiser, label: int):
        super().__init__()
        self.denoiser, self.schedule, self.shape = denoiser, denoiser.schedule, denoiser.shape
        self.label = label

    def forward(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        return self.denoiser(x_t, t, torch.full((len(x_t),), self.label, device=x_t.device))


def given(pretrained: DenoisingPolicy, label: int) -> DenoisingPolicy:
    """The chain of x̂_0(x_t|y) that the network of `pretrained` knows beside that of x̂_0(x_t), a UNetDenoiser's."""
    classes = getattr(pretrained.denoiser, "classes", 0)
    if not whole(label) or not 0 <= label < classes:
        raise ValueError(f"label must be one of the network's {classes} classes, from 0 up, got {label!r}")
    return DenoisingPolicy(GivenLabel(pretrained.denoiser, label), pretrained.schedule)


class ClassifierFreePolicy(Policy):
    """The guided chain as a policy, so that it can be rolled out and evaluated like a trained one.

    pretrained: the chain of x̂_0(x_t). conditional: that of x̂_0(x_t|y) for one y, on the same data and schedule.
    """

    def __init__(self, pretrained: DenoisingPolicy, conditional: DenoisingPolicy, *, strength: float = 1.0):
        super().__init__()
        if pretrained.shape != conditional.shape:
            raise ValueError(f"expected a conditional model of shape {pretrained.shape}, got {conditional.shape}")
        if not pretrained.schedule.matches(conditional.schedule):
            T, came = pretrained.schedule.T, conditional.schedule.T
            raise ValueError(f"expected a conditional model on the same schedule (T = {T}), got another (T = {came})")
        self.pretrained, self.conditional = pretrained, conditional
        self.schedule, self.shape = pretrained.schedule, pretrained.shape
        self.strength = not_negative("strength", strength)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        rho = self.pretrained.mean(x_t, t)
        pull = self.conditional.mean(x_t, t) - rho  # c⁰_t (x̂_0(x_t|y) − x̂_0(x_t))
        return rho, self.strength * pull / self.schedule.at("sigma", t, x_t)


def sample(
    pretrained: DenoisingPolicy,
    conditional: DenoisingPolicy,
    *,
    n: int,
    strength: float = 1.0,
    generator: torch.Generator,
) -> Trajectory:
    """Guided rollout: n particles → Trajectory [T+1, n, …]."""
    return rollout(ClassifierFreePolicy(pretrained, conditional, strength=strength), n, generator=generator)
