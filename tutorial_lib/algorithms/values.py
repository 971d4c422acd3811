r"""The critic: a network for v_t(x_t) of points, beside the policy that it judges (§4, §5.1, §6.3).

Shapes: x_t [B, D]; t a whole number in 0..T or a LongTensor [B].
"""

import torch
from torch import Tensor, nn

from ..denoisers import MLP, initial_weights, zero_at_start
from ..policies import Policy, Trajectory


class ValueNetwork(nn.Module):
    """v_t(x_t) of points: [B, D], t → [B], in the units of the rewards that `adapt` was shown. It starts at their
    mean.
    """

    def __init__(self, policy: Policy, *, generator: torch.Generator, width: int = 64):
        super().__init__()
        if len(policy.shape) != 1:
            raise ValueError(
                f"a value network needs points [D], got data of shape {list(policy.shape)}; none is needed by soft_ppo "
                f"with baseline=False, path_consistency with kind='vargrad', and values.Tweedie"
            )
        with initial_weights(generator):
            network = zero_at_start(MLP(policy.shape[0], 1, policy.schedule.T, width=width))
        self.network = network.to(policy.schedule.sigma.device)
        self.center, self.scale = 0.0, 0.0

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        return self.center + self.scale * self.network(x_t, t).squeeze(1)

    def along(self, path: Trajectory, r: Tensor) -> Tensor:
        """v_t(x_t) of every step of n paths, and their rewards r [n] in row 0: [T+1, n]."""
        x_t, t, _ = path.steps()
        return torch.cat([r.unsqueeze(0), self(x_t, t).reshape(path.T, -1)])

    def adapt(self, r: Tensor) -> None:
        """Take mean and spread from the first batch of rewards [n]."""
        if not self.scale:
            self.center, self.scale = r.mean().item(), max(r.std().item(), 1e-3)
