r"""Chains from noise to data, exact posteriors, and samples to measure them by (§1.1).

    x_{t−1} = √ᾱ_{t−1} x̂_0 + √(1 − ᾱ_{t−1} − η²β̃_t) ε̂ + η√β̃_t z        η = 1 is the SDE, η = 0 the ODE

Every setting sees the same noise: one x_T, and one Brownian path z whose increments are added up where T is smaller, so
that samples glide. All chains are computed once; `answer` then only looks one up.
Shapes: E values of η, B samples, T steps; a chain is [E, T+1, B, 2], and its second index is the paper's t.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import worlds
from ...checks import count
from ...denoisers import ExactDenoiser
from ...distributions import GaussianMixture
from ...metrics import sliced_wasserstein
from ...policies import DenoisingPolicy, ddim_mean
from ...schedules import NoiseSchedule

EXTENT, CELLS = 3.2, 91  # half a map's side, cells a side
STEPS = (5, 10, 20, 50, 100)  # the values of T; each divides the last
ETAS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN, PATHS = 400, 5  # points in the cloud and paths beside it


def density_on_grid(mixture: GaussianMixture) -> Tensor:
    """p on a square grid of [−EXTENT, EXTENT]²: [m, m], the first index along x."""
    axis = torch.linspace(-EXTENT, EXTENT, CELLS)
    return mixture.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(CELLS, CELLS)


@dataclass(frozen=True)
class Posterior:
    """What one point remembers: x_t [2], p(x_0|x_t) on the grid [m, m], and its mean [2]."""

    x_t: Tensor
    density: Tensor
    mean: Tensor


def posterior(mixture: GaussianMixture, x_t: Tensor, alpha_bar: Tensor) -> Posterior:
    """p(x_0|x_t) of one point x_t [1, 2] at the level ᾱ_t."""
    found = mixture.posterior(x_t, alpha_bar)
    of_point = GaussianMixture(found.weights[0], found.means[0], found.covariances[0])
    return Posterior(x_t[0], density_on_grid(of_point), of_point.mean)


@dataclass(frozen=True)
class Chains:
    """All chains of one mixture: `x[T]` is [E, T+1, B, 2]. even, epsilon: [B, 2], exact samples to compare with; floor:
    what B independent exact samples score against them, at len(floor) times from t = 0 to t = T; target: p_0 [m, m]."""

    mixture: GaussianMixture
    schedules: dict[int, NoiseSchedule]
    x: dict[int, Tensor]
    even: Tensor
    epsilon: Tensor
    floor: list[float]
    target: Tensor

    def paths(self, *, T: int, eta: float) -> Tensor:
        """A few whole paths: [T+1, P, 2]."""
        return self.x[T][ETAS.index(eta), :, :PATHS]


@dataclass(frozen=True)
class Answer:
    """One setting: the cloud x_t [B, 2], paths [T−t+1, P, 2] from x_T to x_t, the exact p_t [m, m], ᾱ_t, and the
    cloud's distance from p_t with what exact samples score."""

    t: int
    T: int
    eta: float
    x: Tensor
    paths: Tensor
    density: Tensor
    alpha_bar: float
    distance: float
    floor: float


def increments(fine: Tensor, T: int) -> Tensor:
    """Standard normal noise of T steps [T, …], the sum of that of the finest chain [max(STEPS), …] over each step."""
    per_step = len(fine) // count("T", T)
    if T * per_step != len(fine):
        raise ValueError(f"T must divide {len(fine)}, got {T}")
    return fine.unflatten(0, (T, per_step)).sum(1) / per_step**0.5


@torch.no_grad()
def chain(denoiser: ExactDenoiser, start: Tensor, noise: Tensor, eta: Tensor) -> Tensor:
    """x_T = start [N, 2] down to x_0 under noise [T, N, 2], first row first, and eta [N, 1]: [T+1, N, 2]."""
    schedule = denoiser.schedule
    x = torch.empty(schedule.T + 1, *start.shape)
    x[schedule.T] = start
    for t, z in zip(range(schedule.T, 0, -1), noise, strict=True):
        std = eta * schedule.posterior_std[t]
        x[t - 1] = ddim_mean(denoiser(x[t], t), x[t], schedule, t, t - 1, std=std) + std * z
    return x


def make_chains(mixture: GaussianMixture, *, n: int = 2000, seed: int = 0) -> Chains:
    """Every T and η, n samples each: a second or two."""
    g = torch.Generator().manual_seed(seed)
    start, fine = torch.randn(n, 2, generator=g), torch.randn(max(STEPS), n, 2, generator=g)
    eta = torch.tensor(ETAS).repeat_interleave(n).unsqueeze(1)
    schedules, copies, x = {T: NoiseSchedule.cosine(T) for T in STEPS}, len(ETAS), {}
    for T, schedule in schedules.items():
        noise = increments(fine, T).repeat(1, copies, 1)
        together = chain(ExactDenoiser(mixture, schedule), start.repeat(copies, 1), noise, eta)
        x[T] = together.unflatten(1, (copies, n)).movedim(1, 0)
    even, epsilon = stratified(mixture, n, generator=g), torch.randn(n, 2, generator=g)
    levels = schedules[max(STEPS)].alpha_bar[:: max(STEPS) // 20]
    floor = [_floor(mixture, level, even, epsilon, generator=g) for level in levels]
    return Chains(mixture, schedules, x, even, epsilon, floor, density_on_grid(mixture))


@functools.cache
def chains() -> Chains:
    """Those of the ring, which the notebook shows."""
    mixture = worlds.ring().mixture
    assert mixture is not None
    return make_chains(mixture)


def stratified(mixture: GaussianMixture, n: int, *, generator: torch.Generator) -> Tensor:
    """n samples [n, D] in which every component has its exact share, so that they stand closer to the law."""
    edges = (mixture.weights.double().cumsum(0) * n).round().long().tolist()
    shares = [end - begin for begin, end in zip([0, *edges[:-1]], [*edges[:-1], n], strict=True)]
    parts = [
        GaussianMixture(torch.ones(1), mean[None], covariance[None]).sample(share, generator=generator)
        for mean, covariance, share in zip(mixture.means, mixture.covariances, shares, strict=True)
        if share
    ]
    return torch.cat(parts)


def _floor(
    mixture: GaussianMixture, level: Tensor, even: Tensor, epsilon: Tensor, *, generator: torch.Generator
) -> float:
    """Mean distance of independent exact samples of x_t from the stratified ones."""
    noised, reference = mixture.noised(level), _noise(even, epsilon, level)
    return sum(_distance(noised.sample(len(even), generator=generator), reference) for _ in range(4)) / 4


def _noise(x_0: Tensor, epsilon: Tensor, level: Tensor) -> Tensor:
    return level.sqrt() * x_0 + (1 - level).sqrt() * epsilon


def _distance(x: Tensor, y: Tensor) -> float:
    return sliced_wasserstein(x, y, generator=torch.Generator().manual_seed(0), projections=16)


def answer(chains: Chains, *, t: int, T: int, eta: float) -> Answer:
    """What one setting shows. t in 0..T, T one of STEPS, eta one of ETAS; ValueError otherwise."""
    if T not in STEPS or eta not in ETAS:
        raise ValueError(f"T must be one of {STEPS} and eta one of {ETAS}, got {T!r} and {eta!r}")
    schedule = chains.schedules[T]
    schedule.check(t, least=0)
    x = chains.x[T][ETAS.index(eta)]  # [T+1, B, 2]
    level = schedule.alpha_bar[t]
    return Answer(
        t=t,
        T=T,
        eta=eta,
        x=x[t, :SHOWN],
        paths=x[t:, :PATHS].flip(0),
        density=density_on_grid(chains.mixture.noised(level)),
        alpha_bar=level.item(),
        distance=_distance(x[t], _noise(chains.even, chains.epsilon, level)),
        floor=chains.floor[round(t / T * (len(chains.floor) - 1))],
    )


@torch.no_grad()
def slips_of_an_ode_step(pretrained: DenoisingPolicy, x_T: Tensor) -> dict[str, Tensor]:
    """Where the ODE's path from x_T [n, 2] ends when every step makes the same slip: [n, 2] each."""
    schedule = pretrained.schedule

    def end(step: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> Tensor:
        x = x_T
        for t in range(schedule.T, 0, -1):
            guess = pretrained.denoiser(x, t)
            epsilon = (x - schedule.alpha_bar[t].sqrt() * guess) / schedule.noise[t].sqrt()
            x = step(x, guess, epsilon, t)
        return x

    level, noise = schedule.alpha_bar, schedule.noise
    return {
        "the SDE's step without its noise": end(lambda x, x_0, _, t: schedule.posterior_mean(x_0, x, t)),
        "the step with 1 − ᾱ where its root belongs": end(
            lambda _, x_0, e, t: level[t - 1].sqrt() * x_0 + noise[t - 1] * e
        ),
        "the step without ε̂": end(lambda _, x_0, __, t: level[t - 1].sqrt() * x_0),
        "the step with ᾱ where its root belongs": end(
            lambda _, x_0, e, t: level[t - 1] * x_0 + noise[t - 1].sqrt() * e
        ),
    }
