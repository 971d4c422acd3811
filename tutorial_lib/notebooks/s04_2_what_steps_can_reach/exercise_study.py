"""The exact answer to an exercise on a line, and what wrong theories make of it. Functions and laws are [n]."""

from torch import Tensor

from ...exact import LineChain


def matched_means(chain: LineChain, r: Tensor, alpha: float, t: int) -> Tensor:
    """E*[x_{t−1}|x_t] without any value: the pretrained mean of x_{t−1}, its ends weighed by exp(r(x_0)/α)."""
    weights = chain.kernels[t] * (chain.ahead(t - 1) @ ((r - r.max()) / alpha).exp())
    return weights @ chain.axis / weights.sum(1)


def wrong_means(chain: LineChain, r: Tensor, alpha: float, t: int) -> dict[str, Tensor]:
    """What wrong theories of the value make of these means, by what they look like."""
    to_end = chain.ahead(t - 1)
    value = alpha * (to_end @ (r / alpha).exp()).log()
    theories = {
        "the pretrained means, with no value in them": 0 * value,
        "half the value, as if α were twice as large": value / 2,
        "the reward at the expected x_0 in place of a value": chain.at_expected(r, t - 1),
        "the plain expectation of the reward in place of a value": to_end @ r,
        "the reward of x_{t−1} itself in place of a value": r,
        "v_t in place of v_{t−1}": alpha * (chain.kernels[t] @ (value / alpha).exp()).log(),
    }
    steps = {name: chain.kernels[t] * (v / alpha).exp() for name, v in theories.items()}
    return {name: weights @ chain.axis / weights.sum(1) for name, weights in steps.items()}
