"""The sweep of Gaussian steps with one wrong line, for the reader to find."""

from torch import Tensor


def gaussian_optimum(axis: Tensor, sigma: Tensor, means: Tensor, start: Tensor, r: Tensor, alpha: float) -> float:
    V = r
    for t in range(1, len(sigma)):
        z = (axis - axis[:, None]) / sigma[t]
        blurred = (-z.square() / 2).softmax(1) @ V  # right: E_z V(y + σ_t z), at every y that a step may aim at.
        away = axis - means[t][:, None]  # right: A row is an x_t, a column a y: how far y is from ρ(x_t).
        cost = alpha / 2 * away.square()  # planted: A step's KL is ½u² with u = (y − ρ)/σ_t; here σ_t is forgotten.
        V = (blurred - cost).amax(1)  # right: The mean y is chosen, not drawn: an ordinary maximum.
    return float(start @ V)  # right: x_T is drawn from N(0, 1) and not tilted: a plain mean.
