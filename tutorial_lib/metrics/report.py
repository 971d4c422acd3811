r"""How good is a policy? The objective with its standard error (§3).

    J = E[r(x_0)] − α Σ_t E[KL_t]

KL_t is ½‖u_t‖², exact given x_t, so only the state is sampled.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import count, not_negative
from ..policies import Policy, Trajectory, record, rollout_with
from ..rewards import Reward, query

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
    alpha = not_negative("alpha", alpha)
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
    return Report(r_mean, kl_mean, j_mean, r_se, kl_se, j_se, alpha, n)


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
