"""The exact answer to an exercise on a line, and what wrong theories make of it. Functions and laws are [n]."""

import torch
from torch import Tensor

from ...exact import LineChain


def ahead(chain: LineChain, t: int) -> Tensor:
    """p_pre(x_0|x_t) as masses, [n, n]."""
    found = torch.eye(len(chain.axis), dtype=torch.float64)
    for s in range(1, t + 1):
        found = chain.kernels[s] @ found
    return found


def matched_means(chain: LineChain, r: Tensor, alpha: float, t: int) -> Tensor:
    """E*[x_{t−1}|x_t] without any value: the pretrained mean of x_{t−1}, its ends weighed by exp(r(x_0)/α)."""
    weights = chain.kernels[t] * (ahead(chain, t - 1) @ ((r - r.max()) / alpha).exp())
    return weights @ chain.axis / weights.sum(1)


def wrong_means(chain: LineChain, r: Tensor, alpha: float, t: int) -> dict[str, Tensor]:
    """What wrong theories of the value make of these means, by what they look like."""
    to_end = ahead(chain, t - 1)
    value = alpha * (to_end @ (r / alpha).exp()).log()
    mean = (to_end @ chain.axis - chain.axis[0]) / chain.spacing
    cell = mean.floor().long().clamp(0, len(r) - 2)
    theories = {
        "the pretrained means, with no value in them": 0 * value,
        "half the value, as if α were twice as large": value / 2,
        "the reward at the expected x_0 in place of a value": r[cell] + (mean - cell) * (r[cell + 1] - r[cell]),
        "the plain expectation of the reward in place of a value": to_end @ r,
        "the reward of x_{t−1} itself in place of a value": r,
        "v_t in place of v_{t−1}": alpha * (chain.kernels[t] @ (value / alpha).exp()).log(),
    }
    steps = {name: chain.kernels[t] * (v / alpha).exp() for name, v in theories.items()}
    return {name: weights @ chain.axis / weights.sum(1) for name, weights in steps.items()}
