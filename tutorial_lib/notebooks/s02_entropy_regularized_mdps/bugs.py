"""A loop that runs and is wrong in one line, for the reader to find (§2). Shown without its remarks by `quiz.bug`."""

import torch
from torch import Tensor

from .study import TabularMDP


def climb(world: TabularMDP, alpha: float, rate: float = 0.1, steps: int = 200) -> tuple[float, Tensor]:
    """Climb J from the habit: the last J, and the policy [T, S, A]."""
    logits = world.reference.log().clone().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=rate)
    for _ in range(steps):
        log_pi, law = logits.log_softmax(-1), world.start
        J = torch.tensor(0.0, dtype=torch.float64)
        for t in range(world.horizon):
            ratio = log_pi[t] - world.reference[t].log()  # right: log π/π_ref, as in the KL of the objective.
            reward = (log_pi[t].exp() * world.rewards[t]).sum(1)  # right: the policy's mean reward in each state.
            kl = -(world.reference[t] * ratio).sum(1)  # planted: it is KL(π_ref‖π). The objective's averages over π.
            J = J + law @ (reward - alpha * kl)  # right: states are weighted by how likely the walk is there.
            law = torch.einsum("s,sa,sax->x", law, log_pi[t].exp(), world.transitions[t])
        J = J + law @ world.terminal_rewards  # right: the last state pays as well.
        optimiser.zero_grad()
        (-J).backward()  # right: Adam descends, so that minus J makes it climb.
        optimiser.step()
    return J.item(), logits.detach().softmax(-1)
