r"""Before and after: what two policies make of the same noise (§3).

Images or points [n, …]; a place in all of them is a path.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import count
from ..policies import Policy, rollout
from ..rewards import Reward, query

SIDE = 6  # of a wall


@dataclass(frozen=True)
class Pairs:
    """What two policies make of the same noise, [n, …] each, the worst `before` first.

    rewards_before, rewards_after: [n].
    """

    before: Tensor
    after: Tensor
    rewards_before: Tensor
    rewards_after: Tensor


def before_after(pretrained: Policy, tuned: Policy, reward: Reward, *, n: int = SIDE**2, seed: int = 0) -> Pairs:
    """n paths of each policy under the same noise, sorted by the reward before."""
    device = pretrained.schedule.sigma.device
    x, y = (
        rollout(policy, count("n", n), generator=torch.Generator(device).manual_seed(seed)).x_0
        for policy in (pretrained, tuned)
    )
    return sorted_pairs(x, y, reward)


def sorted_pairs(before: Tensor, after: Tensor, reward: Reward) -> Pairs:
    """Images [n, …] of the same n paths, sorted by the reward before."""
    with torch.no_grad():
        r, s = query(reward, before), query(reward, after)
    order = r.argsort()
    return Pairs(before[order].cpu(), after[order].cpu(), r[order].cpu(), s[order].cpu())
