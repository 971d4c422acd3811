r"""A reward that answers with numbers only (§7.2): counted, perhaps noisy or slow, perhaps with samples it refuses.

    r(x) + s·z,  z ~ N(0, 1);   −∞ where x is not valid: "never", weight 0 in exp(r/α)

`soft_ppo`, `reward_weighted_mle`, `path_consistency` and `sequential_monte_carlo` need no more than that. A surrogate
that is fitted to the answers, anew every round, has a gradient besides: `surrogate` tunes by it.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..algorithms import reward_backprop
from ..checks import not_negative
from ..policies import TunablePolicy
from ..rewards import Reward, name_of
from .online import Round, run

WORTH_A_BAR = 2.0  # seconds


class BlackBox:
    """`reward` without its gradient. `queries` counts the samples asked about.

    noise: s, in units of the reward; seconds: what an answer takes, with a progress bar where a batch takes over two;
    valid: [B, …] → [B] of yes and no, where no is answered by −∞.
    """

    def __init__(
        self,
        reward: Reward,
        *,
        noise: float = 0.0,
        seconds: float = 0.0,
        valid: Callable[[Tensor], Tensor] | None = None,
        generator: torch.Generator | None = None,
    ):
        self.noise, self.seconds = not_negative("noise", noise), not_negative("seconds", seconds)
        if self.noise and generator is None:
            raise ValueError(f"expected a generator for noise of {noise:g}, got None")
        self.reward, self.valid, self.generator = reward, valid, generator
        self.queries, self.__name__ = 0, f"black_box_{name_of(reward)}"

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        self.queries += len(x)
        if self.seconds:
            for _ in tqdm(range(len(x)), desc="labels", disable=self.seconds * len(x) < WORTH_A_BAR):
                time.sleep(self.seconds)
        values = self.reward(x.detach())
        if self.generator is not None:
            values = values + self.noise * torch.randn(len(x), device=x.device, generator=self.generator)
        return values if self.valid is None else torch.where(self.valid(x), values, -math.inf)


def surrogate(
    policy: TunablePolicy, oracle: Reward, *, alpha: float, generator: torch.Generator, **options: Any
) -> Iterator[Round]:
    """Regression on the answers and reward backpropagation through it, in rounds: `online.run` without a bonus.

    options: those of `online.run`. RuntimeError where an answer is −∞, which no regression can follow.
    """
    return run(reward_backprop, policy, oracle, alpha=alpha, strategy="greedy", generator=generator, **options)
