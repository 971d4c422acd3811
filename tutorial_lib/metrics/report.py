r"""How good is it? The objective with its standard error, and distances with the noise floor that a perfect method has.

    J = E[r(x_0)] − α Σ_t E[KL_t]                                                  (§3)

KL_t is ½‖u_t‖², exact given x_t, so only the state is sampled. A distance between two samples is never zero, even for
two samples of one law: `compare` measures that floor beside it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import count
from .policies import Policy, Trajectory, record, rollout_with
from .rewards import Reward, query

PIXELS = 2**18  # of a batch of images in `evaluate`: 4096 of 8 × 8


@dataclass(frozen=True)
class Report:
    """What a policy attains: reward E[r], kl Σ E[KL_t] (nats), objective J = reward − α·kl, and standard errors."""

    reward: float
    kl: float
    objective: float
    reward_se: float
    kl_se: float
    objective_se: float
    alpha: float
    n: int

    def __str__(self) -> str:
        return (
            f"reward {self.reward:.3f} ± {self.reward_se:.3f}, KL {self.kl:.3f} ± {self.kl_se:.3f}, "
            f"J {self.objective:.3f} ± {self.objective_se:.3f} (α = {self.alpha:g}, n = {self.n})"
        )


def evaluate(
    policy: Policy,
    reward: Reward,
    *,
    alpha: float,
    n: int = 20_000,
    generator: torch.Generator,
) -> Report:
    """Roll the policy out n times and measure E[r], Σ KL_t and J. α ≥ 0 (0 where only the reward counts).

    Images go PIXELS at a time, so that memory does not grow with n.
    """
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be a finite number ≥ 0, got {alpha!r}")
    most = n = count("n", n, least=2)
    if len(policy.shape) > 1:
        most = max(1, PIXELS // math.prod(policy.shape))
    parts = []
    for start in range(0, n, most):
        path, kl = rollout_with_kl(policy, min(most, n - start), generator=generator)
        with torch.no_grad():
            parts.append(torch.stack([query(reward, path.x_0), kl]))
    r, kl = torch.cat(parts, 1)
    columns = torch.stack([r, kl, r - alpha * kl]).double()
    (r_mean, kl_mean, j_mean), (r_se, kl_se, j_se) = columns.mean(1).tolist(), (columns.std(1) / n**0.5).tolist()
    return Report(r_mean, kl_mean, j_mean, r_se, kl_se, j_se, float(alpha), n)


def quiet_objective(
    policy: Policy, reward: Reward, *, alpha: float, n: int, generator: torch.Generator
) -> tuple[float, float]:
    """J and its standard error from E[r − α Σ log-ratio], whose noise dies out as the policy becomes the optimum."""
    path = record(policy, count("n", n, least=2), generator=generator)
    with torch.no_grad():
        J = query(reward, path.x_0) - alpha * path.log_ratio().sum(0)
    return J.mean().item(), J.std().item() / n**0.5


def rollout_with_kl(policy: Policy, n: int, *, generator: torch.Generator) -> tuple[Trajectory, Tensor]:
    """n paths of the policy and Σ_t KL_t along each: (Trajectory, [n])."""
    kl = torch.zeros(n, device=policy.schedule.sigma.device)

    def mean(x_t: Tensor, t: int) -> Tensor:
        rho, u = policy.proposal(x_t, t)
        kl.add_(u.flatten(1).square().sum(1), alpha=0.5)
        return rho + float(policy.sigma(t)) * u

    return rollout_with(mean, policy, n, generator=generator), kl


def sliced_wasserstein(x: Tensor, y: Tensor, *, generator: torch.Generator, projections: int = 128) -> float:
    """W_1 between the projections of two samples on random directions, averaged, in x's units."""
    x, y = _pair(x, y)
    directions = torch.randn(x.shape[1], count("projections", projections), generator=generator, device=x.device).to(x)
    directions = directions / directions.norm(dim=0)
    return ((x @ directions).sort(0).values - (y @ directions).sort(0).values).abs().mean().item()


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E‖X−Y‖ − E‖X−X′‖ − E‖Y−Y′‖ without bias (Székely & Rizzo 2013): equal laws score zero up to noise."""
    x, y = _pair(x, y)
    return (
        2 * torch.cdist(x, y).mean() - _mean_off_diagonal(torch.cdist(x, x)) - _mean_off_diagonal(torch.cdist(y, y))
    ).item()


def mmd(x: Tensor, y: Tensor) -> float:
    """Squared maximum mean discrepancy, unbiased (Gretton et al. 2012), with a Gaussian kernel as wide as the data's
    median distance."""
    x, y = _pair(x, y)
    width = torch.cdist(x, y).median()
    kernel = [(-(torch.cdist(a, b) / width).square() / 2).exp() for a, b in ((x, x), (y, y), (x, y))]
    return (_mean_off_diagonal(kernel[0]) + _mean_off_diagonal(kernel[1]) - 2 * kernel[2].mean()).item()


def grid_kl(x: Tensor, mass: Tensor, *, extent: float) -> float:
    """KL of the histogram of 2-D samples [n, 2] from cell masses [m, m] on [−extent, extent]², in nats."""
    m = len(mass)
    if x.ndim != 2 or x.shape[1] != 2 or mass.shape != (m, m):
        raise ValueError(f"expected x [n, 2] and mass [m, m], got {list(x.shape)} and {list(mass.shape)}")
    cell = ((x.double() + extent) * (m - 1) / (2 * extent)).round().long().clamp(0, m - 1)
    share = torch.bincount(cell[:, 0] * m + cell[:, 1], minlength=m * m).double() / len(x)
    return (
        (torch.special.xlogy(share, share) - torch.special.xlogy(share, mass.double().reshape(-1).clamp_min(1e-12)))
        .sum()
        .item()
    )


@dataclass(frozen=True)
class Compared:
    """A distance to the truth and what a perfect sampler would score: both with their spread over repeats."""

    value: float
    value_sd: float
    floor: float
    floor_sd: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.value_sd:.4f} (floor {self.floor:.4f} ± {self.floor_sd:.4f})"


def compare(
    distance: Callable[[Tensor, Tensor], float], x: Tensor, draw: Callable[[int], Tensor], *, repeats: int = 8
) -> Compared:
    """distance(x, exact sample) beside distance(exact sample, exact sample), each `repeats` times; draw(n) → [n, …]."""
    values = torch.tensor([distance(x, draw(len(x))) for _ in range(count("repeats", repeats, least=2))])
    floors = torch.tensor([distance(draw(len(x)), draw(len(x))) for _ in range(repeats)])
    return Compared(values.mean().item(), values.std().item(), floors.mean().item(), floors.std().item())


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.shape != y.shape or x.ndim < 2 or len(x) < 2:
        raise ValueError(f"expected two samples of one shape [n, …], n ≥ 2, got {list(x.shape)} and {list(y.shape)}")
    return x.flatten(1), y.flatten(1)


def _mean_off_diagonal(matrix: Tensor) -> Tensor:
    return (matrix.sum() - matrix.diagonal().sum()) / (len(matrix) * (len(matrix) - 1))
