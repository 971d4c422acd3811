r"""The α that a policy really applied: its law of x_0 against the law that the optimum would have (§4).

    log p_θ(x_0)/p_pre(x_0) = r(x_0)/α − log Z   for the optimum,  so that a line through (r, log-ratio) has slope 1/α.

Both densities are those of the chains themselves, pushed through every step on a grid; points of the plane only.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import positive
from ..exact.chain import hold, in_the_plane, law_of_x_0, seeded
from ..grids import Grid
from ..policies import Policy, rollout
from ..rewards import Reward, query

SEEN = 1e-6  # of the largest mass of a cell: what lies below is the grid's rounding


@dataclass(frozen=True)
class AppliedTilt:
    """A line through log p_θ/p_pre against r, each cell weighted by the mean of its two masses.

    alpha: 1/slope (infinite where the law of x_0 has not moved with r, negative where it moved against it); asked: the
    α that was asked for; r2: the share of the log-ratio's variance that r explains; log_ratio: [n, n] on `grid`, NaN
    where either law has no mass.
    """

    alpha: float
    asked: float
    r2: float
    log_ratio: Tensor
    grid: Grid

    def __str__(self) -> str:
        return f"applied α {self.alpha:.3g} (asked {self.asked:g}), r explains {self.r2:.1%} of log p_θ/p_pre"


def applied_tilt(policy: Policy, *, alpha: float, extent: float, reward: Reward, grid: int = 161) -> AppliedTilt:
    """Regress log p_θ(x_0)/p_pre(x_0) on r over a grid on [−extent, extent]² of `grid` points a side.

    alpha: what was asked for, to stand beside what was applied. ValueError for a policy of anything but points in the
    plane, and where more than 1 in 1000 of its paths leave the grid.
    """
    asked, on = positive("alpha", alpha), Grid(extent, grid, device=policy.schedule.sigma.device)
    pretrained = in_the_plane(getattr(policy, "pretrained", policy))
    hold(rollout(policy, 2000, generator=seeded(policy.schedule)).x, on.extent, "policy's")
    tuned, before = (law_of_x_0(chain, on) for chain in (policy, pretrained))
    seen = (tuned > SEEN * tuned.max()) & (before > SEEN * before.max())
    log_ratio = torch.where(seen, tuned.log() - before.log(), math.nan)
    with torch.no_grad():
        r = query(reward, on.points).double().reshape(log_ratio.shape)
    slope, r2 = line(r[seen], log_ratio[seen], (tuned + before)[seen])
    return AppliedTilt(1 / slope if slope else math.inf, asked, r2, log_ratio, on)


def line(x: Tensor, y: Tensor, weights: Tensor) -> tuple[float, float]:
    """(slope, r²) of the least-squares line through y against x, all [n]; both 0 where x or y does not vary."""
    weights = weights / weights.sum()
    x, y = x - weights @ x, y - weights @ y
    xx, xy, yy = (float(weights @ product) for product in (x * x, x * y, y * y))
    if xx == 0 or yy == 0:
        return 0.0, 0.0
    return xy / xx, xy**2 / (xx * yy)
