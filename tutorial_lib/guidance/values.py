r"""Estimators of the soft value v_t for value-weighted sampling (§6.2).

    Tweedie:  v_t(x_t) ≈ r(x̂_0(x_t, t))

takes the reward of the expected sample for the soft average of the rewards: right at t = 0, where x_0 is known, and
crude at high noise, where x̂_0 lies between the modes."""

import torch
from torch import Tensor

from ..policies import DenoisingPolicy
from ..rewards import Reward, name_of, query


class Tweedie:
    """v_t(x) ≈ r(x̂_0(x, t)): costs one reward query and one backward pass through the denoiser, and no training."""

    def __init__(self, pretrained: DenoisingPolicy, reward: Reward):
        self.pretrained, self.reward = pretrained, reward

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """[B, …], t in 0..T → [B]."""
        self.pretrained.schedule.check(t, least=0)
        return query(self.reward, self.pretrained.denoiser(x, t) if t else x)

    def grad(self, x: Tensor, t: int) -> Tensor:
        """∇_x r(x̂_0(x, t)): [B, …] → [B, …]. ValueError for a reward without a gradient."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self(x, t)
            if not value.requires_grad:
                raise ValueError(
                    f"expected a differentiable reward, got {name_of(self.reward)}, which returns no gradient"
                )
            return torch.autograd.grad(value.sum(), x)[0]
