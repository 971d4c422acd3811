r"""Classifier guidance (§8; Dhariwal & Nichol 2021): steer every step by the gradient of a class's log-probability.

    x_{t−1} ~ N( ρ(x_t, t) + γ σ_t² ∇log p_{t−1}(y|ρ),  σ_t² I ),   p_t(y|x_t) ≈ p(y|x̂_0(x_t, t))

This is value-weighted sampling (§6.2) with r(x) = log p(y|x) and α = 1: with the exact p_t(y|x_t) and γ = 1 it samples
p(x|y), and γ stands where 1/α does. Here p_t is a classifier of clean images that looks through the denoiser, so that
nobody had to train one on noise; it is right where x_0 is all but known, and a guess where x_t is mostly noise.
Shapes: B images; t is a whole number in 1..T."""

import torch
from torch import Tensor

from ..checks import finite
from ..image_rewards import ImageClassifier, log_probability
from ..policies import DenoisingPolicy, Policy, Trajectory, rollout
from ..rewards import query


class ClassifierPolicy(Policy):
    """The guided chain as a policy, so that it can be rolled out and evaluated like a trained one."""

    def __init__(self, pretrained: DenoisingPolicy, classifier: ImageClassifier, *, label: int, strength: float = 1.0):
        super().__init__()
        self.pretrained, self.schedule, self.shape = pretrained, pretrained.schedule, pretrained.shape
        self.reward, self.strength = log_probability(classifier, label), float(strength)
        if not 0 <= self.strength < float("inf"):
            raise ValueError(f"strength must be a finite number ≥ 0, got {strength!r}")

    def log_class(self, x: Tensor, t: int | Tensor) -> Tensor:
        """log p(y|x̂_0(x, t)), t in 0..T, a number or [B]: [B, …] → [B]."""
        self.schedule.check(t, least=0)
        at = torch.as_tensor(t, device=x.device)
        clean = (at == 0).reshape(-1, *[1] * (x.ndim - 1))
        return query(self.reward, torch.where(clean, x, self.pretrained.denoiser(x, at.clamp_min(1))))

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        rho = self.pretrained.mean(x_t, t)
        with torch.enable_grad():
            x = rho.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.log_class(x, t - 1).sum(), x)
        finite("the classifier's gradient", slope)
        return rho, self.strength * self.schedule.at("sigma", t, x_t) * slope


def sample(
    pretrained: DenoisingPolicy,
    classifier: ImageClassifier,
    *,
    label: int,
    n: int,
    strength: float = 1.0,
    generator: torch.Generator,
) -> Trajectory:
    """Guided rollout: n images of the class → Trajectory [T+1, n, …]."""
    policy = ClassifierPolicy(pretrained, classifier, label=label, strength=strength)
    return rollout(policy, n, generator=generator)
