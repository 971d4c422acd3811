r"""Path consistency and PPO on the same paths (§6.3), five seeds at each α and share of paths that p_pre drew.

    an iteration's n paths:  (1 − share)·n by p_θ,  share·n by p_pre,  for path consistency and for each PPO alike

The trainings are rows that `python -m tutorial_lib.recipes ring_whose_paths` has stored; the exact targets are computed
here. Shapes: x_0 [B, 2]; regrets [seeds].
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import assets
from ...denoisers import ExactDenoiser
from ...distributions import GaussianMixture
from ...exact import TiltedDensity
from ...policies import DenoisingPolicy, rollout
from ...recipes import whose_paths
from ...recipes.whose_paths import (
    ALPHAS,
    CONSISTENCY,
    IGNORED,
    LOOKS,
    METHODS,
    PPO,
    SHARES,
    UNCLIPPED,
    rare_mode,
    regret,
)
from ...schedules import NoiseSchedule
from ...worlds import World

__all__ = ["ALPHAS", "CONSISTENCY", "IGNORED", "LOOKS", "METHODS", "PPO", "SHARES", "UNCLIPPED", "rare_mode", "regret"]


@dataclass(frozen=True)
class Tuned:
    """What five trainings came to: samples x_0 [PARTICLES, 2] of the first, and all regrets and largest path KLs."""

    x_0: Tensor
    regrets: Tensor
    kls: Tensor

    @property
    def regret(self) -> float:
        """The median over the seeds."""
        return self.regrets.median().item()


@dataclass(frozen=True, eq=False)
class Scene:
    """Every tuned policy by (method, α, share); the exact target's masses [n, n] and the family gap by α."""

    extent: float
    shares: Sequence[float]
    targets: Mapping[float, Tensor]
    family_gaps: Mapping[float, float]
    tuned: Mapping[tuple[str, float, float], Tuned]


@functools.cache
def rows() -> dict[str, Tensor]:
    """The stored rows, by name: see `recipes.whose_paths`."""
    return assets.load(whose_paths.NAME)


def scene(world: World) -> Scene:
    """The stored trainings on `worlds.ring(T=10)`, with the targets of that world."""
    if world.extent is None:
        raise ValueError(f"expected a world of points, got {world.name}")
    kept, tilted = rows(), TiltedDensity(world.pretrained, world.reward, extent=world.extent)
    tuned = {
        (method, alpha, share): Tuned(kept["x_0"][m, a, s].float(), kept["regret"][m, a, s], kept["kl"][m, a, s])
        for m, method in enumerate(METHODS)
        for a, alpha in enumerate(ALPHAS)
        for s, share in enumerate(SHARES)
    }
    gaps = dict(zip(ALPHAS, kept["gaps"].tolist(), strict=True))
    return Scene(world.extent, SHARES, {alpha: tilted.at(alpha).mass for alpha in ALPHAS}, gaps, tuned)


def kinds() -> dict[str, Tensor]:
    """Regret [LOOKS, seeds] by the kind of stretches."""
    return dict(zip(whose_paths.KINDS, rows()["kinds"], strict=True))


def replayed() -> dict[str, Tensor]:
    """Regret [seeds] at 640 scored paths, by how often each is used."""
    names = [*whose_paths.REPLAYED, *(f"PPO, {epochs} passes" for epochs in whose_paths.EPOCHS)]
    return dict(zip(names, rows()["replayed"], strict=True))


def rare() -> dict[str, Tensor]:
    """(regret, share of samples in the rare mode) [seeds, 2], by where the paths come from."""
    return dict(zip(whose_paths.RARE_WAYS, rows()["rare"], strict=True))


@dataclass(frozen=True)
class LinearChain:
    """One Gaussian cluster and r(x) = b·x, where all is in closed form and the optimal steps are Gaussian: paths
    x [T+1, n, 2] of p_pre, the optimum's log-ratios on them and its soft values, both [T+1, n]."""

    alpha: float
    b: Tensor
    x: Tensor
    log_ratios: Tensor
    v: Tensor


def linear_chain(*, alpha: float, T: int, n: int, generator: torch.Generator) -> LinearChain:
    """v_t(x) = b_t·x + c_t: with p_pre's steps N(k_t x + m_t, σ_t²), b_t = k_t b_{t−1}, u*_t = σ_t b_{t−1}/α and
    c_t = c_{t−1} + b_{t−1}·m_t + σ_t² ‖b_{t−1}‖²/2α."""
    schedule, b = NoiseSchedule.cosine(T), torch.tensor([1.5, -0.5], dtype=torch.float64)
    cluster = GaussianMixture(torch.ones(1), torch.tensor([[0.5, 1.0]]), stds=torch.tensor([0.6]))
    pretrained = DenoisingPolicy(ExactDenoiser(cluster, schedule), schedule)
    x = rollout(pretrained, n, generator=generator).x.double()
    slope, constant, log_ratios, v = b, x.new_zeros(()), [x.new_zeros(n)], [x[0] @ b]
    for t in range(1, T + 1):
        at = pretrained.mean(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), t).double()
        k, sigma = (at[1] - at[0])[0], schedule.sigma[t].double()
        z, u = (x[t - 1] - k * x[t] - at[0]) / sigma, sigma * slope / alpha
        log_ratios.append(z @ u - u @ u / 2)
        constant = constant + slope @ at[0] + sigma**2 * (slope @ slope) / (2 * alpha)
        slope = k * slope
        v.append(x[t] @ slope + constant)
    return LinearChain(alpha, b, x, torch.stack(log_ratios), torch.stack(v))
