"""A sweep back and a push forward with one wrong line, for the reader to find."""

from torch import Tensor


def law_of_x_0(P: Tensor, start: Tensor, r: Tensor, alpha: float) -> Tensor:
    T = len(P) - 1
    v = [r]
    for t in range(1, T + 1):
        v.append(alpha * (P[t] @ (v[t - 1] / alpha).exp()).log())  # right: Soft Bellman, from v_0 = r upwards.
    law = start * (v[T] / alpha).exp()  # right: The theorem tilts x_T by its own value, v_T.
    law = law / law.sum()
    for t in range(T, 0, -1):
        kernel = P[t] * (v[t] / alpha).exp()  # planted: The columns are x_{t−1}, so they are weighed by v_{t−1}.
        kernel = kernel / kernel.sum(1, keepdim=True)  # right: A row is a law of x_{t−1}; this divides by exp(v_t/α).
        law = law @ kernel  # right: A law is a row, and moves from x_t to x_{t−1}.
    return law
