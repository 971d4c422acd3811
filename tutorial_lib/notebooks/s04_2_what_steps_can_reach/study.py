r"""How much of the theorem's gain a sampler can have, on a line of three modes (§4).

    J_pre ≤ J_G* ≤ J* ≤ α log Z:  Gaussian steps lose J* − J_G*, a start from N(0, 1) loses α log Z − J*

`answer` maps (T, ᾱ_T, reward) to laws and numbers, all of them sums over a grid. Shapes: n points of the line.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...denoisers import ExactDenoiser
from ...distributions import GaussianMixture
from ...exact import LineChain
from ...policies import DenoisingPolicy
from ...schedules import NoiseSchedule

ALPHA, EXTENT, POINTS = 0.2, 3.6, 241
MODES, WIDTH = (-2.0, 0.0, 2.0), 0.3
STEPS = (3, 5, 10, 20)
LEVELS = (1e-4, 1e-3, 1e-2, 0.1, 0.3)  # what is left of x_0 in x_T
REWARDS: dict[str, Callable[[Tensor], Tensor]] = {
    "bump at one mode": lambda x: (-(x - 2).square() / 0.125).exp(),
    "bumps at two modes": lambda x: (-(x.abs() - 2).square() / 0.125).exp(),
    "slope to one mode": lambda x: -(x - 2).square() / 4,
    "step (discontinuous)": lambda x: (x > 1).double(),
}
FIRST = "bump at one mode"


@dataclass(frozen=True)
class Answer:
    """One (T, ᾱ_T, reward). Densities on the axis [n]: starts: N(0, 1) and p*_T; ends of x_0: p_pre, p_pre exp(r/α)/Z,
    exact kernels from N(0, 1), the best Gaussian steps from N(0, 1). objectives: J_pre, J_G*, J*, α log Z."""

    T: int
    level: float
    reward: str
    starts: tuple[Tensor, Tensor]
    ends: tuple[Tensor, Tensor, Tensor, Tensor]
    objectives: tuple[float, float, float, float]

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of α log Z − J_pre: what Gaussian steps reach, what they miss of J*, what the fixed start misses."""
        before, gaussian, fixed, tilted = self.objectives
        parts = (gaussian - before, fixed - gaussian, tilted - fixed)
        return tuple(part / (tilted - before) for part in parts)  # type: ignore[return-value]

    @property
    def start_nats(self) -> float:
        """KL(N(0, 1) ‖ p*_T)."""
        return (self.objectives[3] - self.objectives[2]) / ALPHA


def cut_at(level: float, T: int) -> NoiseSchedule:
    """Cosine noising that stops at ᾱ_T = level."""
    alpha_bar = torch.linspace(0, math.acos(level**0.5), T + 1, dtype=torch.float64).cos().square()
    return NoiseSchedule(1 - alpha_bar[1:] / alpha_bar[:-1])


@functools.lru_cache(maxsize=len(LEVELS))
def chain(T: int, level: float) -> LineChain:
    """Three equal modes, noised in T steps down to ᾱ_T = level."""
    means = torch.tensor(MODES).unsqueeze(1)
    mixture = GaussianMixture(torch.full((3,), 1 / 3), means, stds=torch.full((3,), WIDTH))
    schedule = cut_at(level, T)
    return LineChain(DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule), extent=EXTENT, n=POINTS)


@functools.cache
def answer(*, T: int, level: float, reward: str = FIRST) -> Answer:
    """Everything that the picture shows, at one of STEPS, LEVELS and REWARDS."""
    for name, value, known in (("T", T, STEPS), ("level", level, LEVELS), ("reward", reward, REWARDS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value!r}")
    line = chain(T, level)
    r = REWARDS[reward](line.axis)
    v, (V, means) = line.soft_values(r, ALPHA), line.gaussian_values(r, ALPHA)
    before = line.forward(line.start, line.kernels)[0]
    best = torch.stack([line.kernels[0], *(line.steps(t, means[t]) for t in line.times)])
    log_z = float((line.start.log() + v[-1] / ALPHA).logsumexp(0))
    tilted_start = line.start * (v[-1] / ALPHA - log_z).exp()
    target = line.forward(tilted_start, line.optimal_kernels(v, ALPHA))[0]
    exact, gaussian = (line.forward(line.start, k)[0] for k in (line.optimal_kernels(v, ALPHA), best))
    objectives = (float(before @ r), float(line.start @ V[-1]), float(line.start @ v[-1]), ALPHA * log_z)
    starts, ends = (line.start, tilted_start), (before, target, exact, gaussian)
    h = line.spacing
    return Answer(T, level, reward, tuple(p / h for p in starts), tuple(p / h for p in ends), objectives)  # type: ignore[arg-type]
