"""The planted bug of the first notebook: a frontier that is wrong in one line."""

from torch import Tensor


def frontier(p_pre: Tensor, r: Tensor, alphas: list[float]) -> list[tuple[float, float]]:
    """(KL(x_0), E[r]) of the optimum at every α, for cells of a grid with masses p_pre [N] and rewards r [N]."""
    points = []
    for alpha in alphas:
        p_r = (r / alpha).softmax(0)  # planted: a cell weighs p_pre exp(r/α); without p_pre every cell is as likely.
        reward = (p_r * r).sum()  # right: the optimum's own mean of r.
        kl = (p_r * (p_r / p_pre).log()).sum()  # right: the mean of log p_r/p_pre is over p_r, the model that pays.
        points.append((float(kl), float(reward)))
    return points
