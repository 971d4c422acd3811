r"""The distribution that fine-tuning induces, p_r ∝ p_pre exp(r/α), and its marginals and values at every t (§4)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..checks import positive
from ..grids import Grid
from ..policies import DenoisingPolicy, rollout
from ..rewards import Reward, query
from .chain import hold, in_the_plane, law_of_x_0, seeded

FLOOR = 1e-300  # of densities, before a logarithm


@dataclass(frozen=True)
class Tilt:
    """p_r ∝ p_pre exp(r/α) at one α: cell masses [n, n], E[r], KL(p_r‖p_pre) and J* = E[r] − α KL."""

    alpha: float
    mass: Tensor
    reward: float
    kl: float
    objective: float


@dataclass(frozen=True)
class Marginal:
    """One t at one α: the densities of p_pre,t and p*_t, and v_t, each [n, n]."""

    pretrained: Tensor
    density: Tensor
    value: Tensor


class TiltedDensity:
    """The target p_r ∝ p_pre exp(r/α), its marginals p*_t and values v_t for any α, fast enough for a slider.

    Made once for a pretrained chain and a reward (2-D); then every α costs a few small matrix products. p_pre(x_0) is
    the chain's own law on the grid; for t > 0 it uses continuous time, where with K_t the kernel of q(x_t|x_0)

        v_t = α log (K_t [p_pre exp(r/α)] / K_t p_pre),   p*_t = K_t p_r                           (§4, marginals)
    """

    def __init__(self, pretrained: DenoisingPolicy, reward: Reward, *, extent: float, grid: int = 121):
        self.schedule = in_the_plane(pretrained).schedule
        self.grid = Grid(extent, grid, device=self.schedule.sigma.device)
        hold(rollout(pretrained, 2000, generator=seeded(self.schedule)).x[:1], extent, "pretrained")
        self.pretrained = law_of_x_0(pretrained, self.grid)
        with torch.no_grad():
            self.reward = query(reward, self.grid.points).double().reshape(grid, grid)
        level, noise = (a.double()[1:, None, None] for a in (self.schedule.alpha_bar, self.schedule.noise))
        distance = self.grid.axis[:, None] - level.sqrt() * self.grid.axis
        # [T, n, n], q per axis; a softmax, so that it keeps all mass even where √(1−ᾱ_t) is less than a cell
        self._kernel = (-distance.square() / (2 * noise)).softmax(1) / self.grid.spacing
        self._log_pretrained_t = self._noised(self.pretrained).clamp_min(FLOOR).log_()

    def _noised(self, mass: Tensor) -> Tensor:
        """Densities of x_1 … x_T on the grid for masses of x_0: [T, n, n]."""
        return self._kernel @ mass @ self._kernel.mT

    def at(self, alpha: float) -> Tilt:
        """The target at one α > 0."""
        mass, log_z = self._tilted(alpha)
        reward, objective = float((mass * self.reward).sum()), alpha * log_z
        return Tilt(float(alpha), mass, reward, (reward - objective) / alpha, objective)

    def _tilted(self, alpha: float) -> tuple[Tensor, float]:
        """Cell masses of p_r, and log Z."""
        exponent = self.reward / positive("alpha", alpha) + self.pretrained.log()
        log_z = exponent.reshape(-1).logsumexp(0)
        return (exponent - log_z).exp(), float(log_z)

    def through_time(self, alpha: float) -> tuple[Tensor, Tensor]:
        """(density of p*_t, v_t) for t = 0..T, both [T+1, n, n]. v never falls below the worst reward."""
        mass, log_z = self._tilted(alpha)
        density_t = self._noised(mass)
        value = self._value(density_t, alpha, log_z)
        return torch.cat([mass.unsqueeze(0) / self.grid.spacing**2, density_t]), value

    def marginal(self, alpha: float, t: int) -> Marginal:
        """What `through_time` has at one t in 0..T alone, and p_pre,t, at the cost of one t."""
        t = int(self.schedule.check(t, least=0))
        mass, log_z = self._tilted(alpha)
        if t == 0:
            return Marginal(self.pretrained / self.grid.spacing**2, mass / self.grid.spacing**2, self.reward)
        kernel, log_pretrained = self._kernel[t - 1], self._log_pretrained_t[t - 1]
        density = kernel @ mass @ kernel.mT
        value = float(alpha) * (density.clamp_min(FLOOR).log() - log_pretrained + log_z)
        return Marginal(log_pretrained.exp(), density, value.clamp_min(float(self.reward.min())))

    def values(self, alpha: float) -> "GridValues":
        """v_t at one α as a function of points, for value-weighted sampling."""
        mass, log_z = self._tilted(alpha)
        return GridValues(self._value(self._noised(mass), alpha, log_z), self.grid)

    def _value(self, density_t: Tensor, alpha: float, log_z: float) -> Tensor:
        value = torch.cat([self.reward.unsqueeze(0), density_t])
        value[1:].clamp_min_(FLOOR).log_().sub_(self._log_pretrained_t).add_(log_z).mul_(alpha)
        return value.clamp_min_(float(self.reward.min()))

    def sample(self, alpha: float, uniforms: Tensor) -> Tensor:
        """Exact draws of p_r: uniforms [n, 2] in (0, 1) → x_0 [n, 2], by inverting the two distribution functions.

        The map moves smoothly with α, so that the same uniforms make samples glide.
        """
        return self.grid.inverse_cdf(self.at(alpha).mass, uniforms)


class GridValues:
    """v_t and ∇v_t at one α from values [T+1, n, n]: made to be looked up in every frame of a moving picture."""

    def __init__(self, values: Tensor, grid: Grid):
        values, slope = values.float(), grid.slope_matrix().float()
        self._fields, self._extent = values.new_empty(len(values), 3, grid.n, grid.n), grid.extent
        self._fields[:, 0], self._fields[:, 1], self._fields[:, 2] = values, slope @ values, values @ slope.mT

    def _look_up(self, x: Tensor, t: int, channels: slice) -> Tensor:
        """Bicubic interpolation of the fields at x [B, 2], kept constant outside the grid: [channels, B]."""
        where = (x.flip(-1) / self._extent).float().reshape(1, 1, -1, 2)
        options: dict[str, Any] = dict(mode="bicubic", padding_mode="border", align_corners=True)
        return torch.nn.functional.grid_sample(self._fields[t : t + 1, channels], where, **options)[0, :, 0].to(x.dtype)

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """[B, 2], t in 0..T → [B]."""
        return self._look_up(x, t, slice(0, 1))[0]

    def grad(self, x: Tensor, t: int) -> Tensor:
        """[B, 2], t in 0..T → [B, 2]."""
        return self._look_up(x, t, slice(1, 3)).T
