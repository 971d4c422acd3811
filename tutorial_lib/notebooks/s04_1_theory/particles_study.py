r"""Particles of the pretrained chain, and of the one that the exact value steers, under one noise (§4).

    x_{t−1} = ρ + σ_t (u_t + z),   u_t = σ_t ∇v_{t−1}(ρ)/α,   KL paid down to t = Σ_{s>t} E ½‖u_s‖²

`flight` maps α to the paths; `answer` is one t of them. Shapes: B particles.
"""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from ...guidance.value_weighted import ValueWeightedPolicy
from ...policies import rollout, rollout_with
from ...rewards import query
from . import study
from .study import Scene

PARTICLES, SEED = 400, 2


@dataclass(frozen=True)
class Flight:
    """Paths of both policies under one noise: x [2, T+1, B, 2], the pretrained ones first; rewards: their means.
    kl [T+1]: Σ KL_s over s = T..t+1, what the steered ones have paid down to t, ± kl_se."""

    x: Tensor
    rewards: tuple[float, float]
    kl: Tensor
    kl_se: Tensor


@dataclass(frozen=True)
class Answer:
    """One (α, t), the pretrained policy first: densities of p_pre,t and p*_t [n, n] and paths so far [T−t+1, B, 2], row
    0 at t; mean rewards in the end; paid ± paid_se, the steered particles' KL down to t; kl KL(p*_t‖p_pre,t)."""

    reward_name: str
    alpha: float
    t: int
    densities: tuple[Tensor, Tensor]
    paths: tuple[Tensor, Tensor]
    rewards: tuple[float, float]
    paid: float
    paid_se: float
    kl: float


@functools.lru_cache(maxsize=1)
def pretrained_paths() -> Tensor:
    """[T+1, B, 2], whatever the reward."""
    return rollout(study.RING.pretrained, PARTICLES, generator=torch.Generator().manual_seed(SEED)).x


@functools.lru_cache(maxsize=4)
def flight(scene: Scene, alpha: float) -> Flight:
    """The pretrained paths, and those that the exact value steers at one α > 0."""
    pretrained = scene.world.pretrained
    steps = ValueWeightedPolicy(pretrained, scene.tilted.values(alpha), alpha=alpha)
    kl = torch.zeros(study.T + 1, PARTICLES)

    def mean(x: Tensor, t: int) -> Tensor:
        rho, u = steps.proposal(x, t)
        kl[t - 1] = kl[t] + u.square().sum(1) / 2
        return rho + steps.sigma(t) * u

    steered = rollout_with(mean, pretrained, PARTICLES, generator=torch.Generator().manual_seed(SEED))
    x = torch.stack([pretrained_paths(), steered.x])
    before, after = (float(query(scene.reward, x_0).mean()) for x_0 in x[:, 0])
    return Flight(x, (before, after), kl.mean(1), kl.std(1) / PARTICLES**0.5)


def answer(scene: Scene, *, alpha: float, t: int) -> Answer:
    """Both policies at one α > 0 and t in 0..T."""
    exact, found = study.answer(scene, alpha=alpha, t=t), flight(scene, alpha)
    densities, paths = (exact.fields.pretrained, exact.fields.density), (found.x[0, t:], found.x[1, t:])
    paid = float(found.kl[t]), float(found.kl_se[t])
    return Answer(scene.name, alpha, t, densities, paths, found.rewards, *paid, exact.kl)
