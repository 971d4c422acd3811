r"""Tweedie's guess and the soft value are two gaps apart (§6.2), in closed form and by quadrature.

    r(E[x_0|x_t])   →   E[r(x_0)|x_t]   →   α log E[exp(r(x_0)/α)|x_t] = v_t(x_t)

The first is zero for a reward that is straight across p(x_0|x_t), the second for one that is constant there, and
small for a large α. Only their slopes steer.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...rewards import Reward, peak
from ...worlds import World

NODES = 48  # of the quadrature, per axis


def average(world: World, x: Tensor, t: int) -> Tensor:
    """E[r(x_0)|x_t] of a mixture's world under its `peak`, −‖x_0 − c‖², in continuous time: [B, 2] → [B]."""
    if world.mixture is None:
        raise ValueError(f"expected a world whose law is known, got {world.name}")
    if t == 0:
        return world.reward(x)
    posterior = world.mixture.posterior(x, world.schedule.alpha_bar[t])
    spread = posterior.covariances.diagonal(dim1=-2, dim2=-1).sum(-1)
    return (posterior.weights * (world.reward(posterior.means) - spread)).sum(-1)


def two_gaps(reward: Reward, mean: Tensor, std: float, alpha: float) -> Tensor:
    """(E r − r(m), α log E exp(r/α) − E r) for x_0 ~ N(m, std² I) in the plane, by quadrature: m [B, 2] → [2, B]."""
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(NODES))
    z, w = torch.cartesian_prod(nodes, nodes), torch.outer(weights, weights).flatten() / (2 * math.pi)
    m = mean.double()
    r = reward((m + std * z.unsqueeze(1)).flatten(0, 1)).reshape(-1, len(m))
    averaged = w @ r
    soft = alpha * (r / alpha + w.log().unsqueeze(1)).logsumexp(0)
    return torch.stack([averaged - reward(m), soft - averaged])


def exercise(mean: Tensor, b: Tensor, c: Tensor, std: float, alpha: float) -> tuple[Tensor, dict[str, Tensor]]:
    """The gaps of b·x and −‖x − c‖², [2, 2, B], and what common slips make of them."""
    b = b.double()
    rewards: list[Callable[[Tensor], Tensor]] = [lambda x: x @ b, peak(c.tolist())]

    def both(std: float, alpha: float) -> Tensor:
        return torch.stack([two_gaps(r, mean, std, alpha) for r in rewards])

    truth = both(std, alpha)
    distance = (mean.double() - c.double()).square().sum(1)
    spread = torch.stack([b.square().sum() * std**2 + 0 * distance, 4 * std**2 * distance + 4 * std**4])
    expanded = torch.stack([truth[:, 0], spread / (2 * alpha)], 1)
    return truth, {
        "the gaps as if α = 1": both(std, 1.0),
        "the gaps with s in the place of s²": both(std**0.5, alpha),
        "a second gap counted from r(E x_0), so that the first is in it": torch.stack([truth[:, 0], truth.sum(1)], 1),
        "a second gap by Var[r]/2α, which only a large α allows": expanded,
    }
