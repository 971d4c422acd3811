r"""The soft-optimal chain itself, sampled with its exact kernels, and its best imitation by Gaussian steps (§4).

    p*(x_{t−1}|x_t) = N(x_{t−1}; ρ(x_t, t), σ_t² I) exp((v_{t−1}(x_{t−1}) − v_t(x_t))/α)

is no Gaussian. `sample_optimal` draws from it by rejection: on small cells exp(v/α) is replaced by an upper bound, and
a Gaussian times a step function can be drawn exactly; a draw y is then kept with probability exp(v(y)/α)/bound.
"""

import math

import torch
from torch import Tensor

from ..checks import count
from ..grids import invert_cdf
from ..policies import Policy, Trajectory
from .soft_values import SoftValues

CELL, FEWEST, MOST = 0.4, 32, 320  # a cell's side in units of σ, and how many cells there may be on a side
MARGIN = 0.02  # on the bound of v/α over a cell, which is taken from 3 × 3 of its points
FLOOR = 1e-300


@torch.no_grad()
def sample_optimal(soft: SoftValues, n: int, *, generator: torch.Generator, tilted_start: bool = True) -> Trajectory:
    """n paths of the soft-optimal chain with its exact kernels: Trajectory [T+1, n, 2].

    tilted_start: x_T ∝ N(0, I) exp(v_T/α), as the theorems have it; else x_T ~ N(0, I), as samplers do. Exact for the
    values of `soft`, but for fewer than 1 draw in 1000 a step, where v/α exceeds its bound on a cell (at a jump, say).
    """
    schedule = soft.schedule
    x = torch.empty(schedule.T + 1, count("n", n), 2, device=schedule.sigma.device)
    if tilted_start:
        x[-1] = TiltedGaussian(soft, schedule.T, 1.0).draw(torch.zeros_like(x[0]), generator=generator)
    else:
        x[-1] = torch.randn(x.shape[1:], device=x.device, generator=generator)
    for t in range(schedule.T, 0, -1):
        kernel = TiltedGaussian(soft, t - 1, float(schedule.sigma[t]))
        x[t - 1] = kernel.draw(soft.pretrained.mean(x[t], t), generator=generator)
    return Trajectory(x)


class TiltedGaussian:
    """Draws of y ∝ N(y; mean, std² I) exp(v_t(y)/α), for many means at once.

    bound [m, m]: the most that v_t/α takes on each cell between `edges` [m+1]; the outer cells reach to infinity.
    """

    def __init__(self, soft: SoftValues, t: int, std: float):
        self.soft, self.t, self.std = soft, t, std
        m = min(max(math.ceil(2 * soft.extent / (CELL * std)), FEWEST), MOST)
        lattice = torch.linspace(-soft.extent, soft.extent, 2 * m + 1, device=soft.schedule.sigma.device)
        values = self._log_tilt(torch.cartesian_prod(lattice, lattice)).reshape(1, 2 * m + 1, -1)
        self.bound = torch.nn.functional.max_pool2d(values, 3, stride=2)[0] + MARGIN
        self._tilt = (self.bound - self.bound.max()).exp().clamp_min(FLOOR)
        self.edges = lattice[::2].double()
        self.edges[0], self.edges[-1] = -math.inf, math.inf

    def _log_tilt(self, y: Tensor) -> Tensor:
        return self.soft(y.clamp(-self.soft.extent, self.soft.extent), self.t).double() / self.soft.alpha

    def draw(self, mean: Tensor, *, generator: torch.Generator) -> Tensor:
        """mean [B, 2] → y [B, 2]."""
        y, waiting = torch.empty_like(mean), torch.arange(len(mean), device=mean.device)
        below = torch.special.ndtr((self.edges - mean.double().unsqueeze(-1)) / self.std)  # [B, 2, m+1]
        mass = below.diff()
        rows = ((mass[:, 1] @ self._tilt.mT) * mass[:, 0]).cumsum(1)
        while len(waiting):
            u = torch.rand(len(waiting), 3, device=mean.device, generator=generator, dtype=torch.float64)
            i, within = invert_cdf(rows[waiting], u[:, :1])
            j, across = invert_cdf((self._tilt[i[:, 0]] * mass[waiting, 1]).cumsum(1), u[:, 1:2])
            cell = torch.cat([i, j], 1).unsqueeze(-1)
            place = torch.cat([within, across], 1).unsqueeze(-1)
            share = (below[waiting].gather(2, cell) + place * mass[waiting].gather(2, cell)).clamp(FLOOR, 1 - 1e-16)
            found = mean[waiting] + (self.std * torch.special.ndtri(share[..., 0])).to(mean.dtype)
            kept = u[:, 2].log() < self._log_tilt(found) - self.bound[i[:, 0], j[:, 0]]
            y[waiting[kept]] = found[kept]
            waiting = waiting[~kept]
        return y


class MomentMatched(Policy):
    r"""Gaussian steps with the exact kernels' means: of all N(·, σ_t² I) the nearest in forward KL, KL(p*‖p).

    With W_t(y) = α log E_z exp(v_{t−1}(y + σ_t z)/α), whose value at ρ is v_t: mean = ρ + (σ_t²/α) ∇W_t(ρ).
    """

    def __init__(self, soft: SoftValues):
        super().__init__()
        self.soft, self.schedule, self.shape = soft, soft.schedule, soft.pretrained.shape
        self._frozen, self._blurred = (soft.pretrained,), [soft.blurred(t) for t in range(1, soft.schedule.T + 1)]

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        rho = self._frozen[0].mean(x_t, t)
        return rho, self.soft.by_time(rho, t, self._shift)

    def _shift(self, rho: Tensor, t: int) -> Tensor:
        """u_t for steps whose pretrained mean is ρ: [B, 2] → [B, 2]."""
        return float(self.schedule.sigma[t]) / self.soft.alpha * self._blurred[t - 1].grad(rho)
