r"""Tuning a whole family: every member in turn, by an algorithm that knows one α.

    for each iteration:   for α_k in random order:   one iteration of algorithm.fine_tune(family.at(α_k), …, alpha=α_k)

The members share their network, so that each learns from all, and the network joins them up between the α_k.
"""

from collections.abc import Iterator
from statistics import fmean
from typing import Any, Protocol

import torch

from ..algorithms import Step
from ..checks import count
from ..rewards import Reward
from .family import Family


class Algorithm(Protocol):
    """A module of `algorithms`."""

    @property
    def fine_tune(self) -> Any: ...


def fine_tune(
    algorithm: Algorithm,
    family: Family,
    reward: Reward,
    *,
    generator: torch.Generator,
    members: int = 16,
    **options: Any,
) -> Iterator[Step]:
    """Change `family` in place; a Step an iteration of all members, its numbers their means, its bill their sum.

    members: how many α_k, evenly in log α from one end of the range to the other. options: of the algorithm, for one
    member; its n paths are drawn for each of them.
    """
    loops = [
        algorithm.fine_tune(family.at(alpha), reward, alpha=alpha, generator=generator, **options)
        for alpha in family.spread(count("members", members, least=2))
    ]
    while True:
        order = torch.randperm(members, generator=generator, device=generator.device)
        steps = [step for k in order.tolist() if (step := next(loops[k], None))]
        if not steps:
            return
        yield together(steps)


def together(steps: list[Step]) -> Step:
    """One Step for all members: means of J, reward, KL and loss, sums of queries and seconds."""
    objective, reward, kl, loss = (
        fmean(getattr(step, key) for step in steps) for key in ("objective", "reward", "kl", "loss")
    )
    queries, seconds = sum(step.queries for step in steps), sum(step.seconds for step in steps)
    return Step(steps[0].iteration, steps[0].iterations, objective, reward, kl, loss, queries, seconds)
