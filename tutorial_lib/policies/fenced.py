r"""A policy whose paths stop where they leave: for guided chains (§6.2), whose steps overshoot where γ/α is large.

    x_{t−1} ~ N(ρ + σ_t u, σ_t² I)  while |x_t| ≤ reach,   N(x_t, σ_t² I) beyond it

A path that is thrown far out is thrown further at the next step, until it is infinite; and one NaN among n paths makes
a value or a reward refuse them all. Behind a fence everything stays finite, and `stayed` says which paths to keep.
Shapes: x_t [B, …]; t a whole number in 1..T, or a LongTensor [B].
"""

import torch
from torch import Tensor

from ..checks import positive
from .chain import Policy, Trajectory


class Fenced(Policy):
    """The same policy inside [−reach, reach] per coordinate; beyond it a step adds its noise, at no KL.

    reach: far beyond the paths that come back. In the worlds of points here those go out to 50 and all others to
    infinity, so that any fence between tells the same ones apart.
    """

    def __init__(self, policy: Policy, *, reach: float = 100.0):
        super().__init__()
        self.policy, self.schedule, self.shape = policy, policy.schedule, policy.shape
        self.reach = positive("reach", reach)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        inside = self._inside(x_t).reshape(-1, *[1] * (x_t.ndim - 1))
        rho, u = self.policy.proposal(torch.where(inside, x_t, 0.0), t)
        return torch.where(inside, rho, x_t), torch.where(inside, u, 0.0)

    def stayed(self, path: Trajectory) -> Tensor:
        """Which paths never left: [n] bool."""
        return self._inside(path.x.flatten(0, 1)).reshape(path.x.shape[:2]).all(0)

    def _inside(self, x: Tensor) -> Tensor:
        """[B, …] → [B] bool; not for NaN."""
        return (x.abs() <= self.reach).flatten(1).all(1)
