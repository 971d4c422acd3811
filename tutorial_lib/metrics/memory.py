r"""Memory of the way back (§5.2): the bytes that autograd keeps, counted by its own hooks.

    kept_bytes    the most at any moment of a call
    saved_bytes   what a forward pass of reward backpropagation leaves for the backward pass, the weights aside
    peak_bytes    the same, and the one step at a time that checkpointing runs again on the way back

Tensors that share a storage are counted once, and a view counts as the whole of its storage.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..policies import Policy
from ..rewards import Reward

Sample = Callable[..., tuple[Tensor, Tensor]]  # (policy, noise, last=, checkpointed=) → (x_0, Σ KL_t)


def kept_bytes(call: Callable[[], object], *, aside: Iterable[Tensor] = ()) -> int:
    """The most bytes that autograd keeps for the way back at any moment of `call`, every storage counted once.

    aside: tensors that are not counted, such as weights, which are there anyway. What checkpointing runs again during a
    backward pass is torch's own affair and not seen.
    """
    ignored = {x.untyped_storage().data_ptr() for x in aside}
    sharers: dict[int, int] = {}  # storage → how many saved tensors stand on it
    now = peak = 0

    class Kept:
        def __init__(self, tensor: Tensor):
            nonlocal now, peak
            self.tensor, storage = tensor, tensor.untyped_storage()
            self.place, self.size = storage.data_ptr(), storage.nbytes()
            sharers[self.place] = sharers.get(self.place, 0) + 1
            if sharers[self.place] == 1 and self.place not in ignored:
                now += self.size
                peak = max(peak, now)

        def __del__(self) -> None:
            nonlocal now
            sharers[self.place] -= 1
            if not sharers[self.place] and self.place not in ignored:
                now -= self.size

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        call()
    return peak


def saved_bytes(
    policy: Policy, reward: Reward, *, sample: Sample, n: int, last: int | None = None, checkpointed: bool = False
) -> int:
    """Bytes kept between the forward and the backward pass of n paths through the last `last` steps (None: all).

    sample: the sampler with gradients to measure, `reward_backprop.sample`.
    """
    T = policy.schedule.T
    noise = torch.zeros(T + 1, n, *policy.shape, device=policy.schedule.sigma.device)

    def forward() -> Tensor:
        x_0, kl = sample(policy, noise, last=last or T, checkpointed=checkpointed)
        return (kl - reward(x_0)).mean()

    return kept_bytes(forward, aside=policy.parameters())


def peak_bytes(
    policy: Policy, reward: Reward, *, sample: Sample, n: int, last: int | None = None, checkpointed: bool = False
) -> int:
    """`saved_bytes`, and with checkpointing those of the one step at a time that it runs again."""
    again = saved_bytes(policy, reward, sample=sample, n=n, last=1) if checkpointed else 0
    return again + saved_bytes(policy, reward, sample=sample, n=n, last=last, checkpointed=checkpointed)
