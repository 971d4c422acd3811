r"""What each method of §5 and §6 costs, measured in one run.

    trained    once: reward queries, seconds, and the memory of the way back; then it samples like p_pre
    guided     for every sample: queries and seconds of whatever stands in for v

Everything in a `Cost` is counted or timed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from ...algorithms import Step, run
from ...metrics import kept_bytes
from ...policies import DenoisingPolicy, Policy, SteeredPolicy, rollout
from ...rewards import QueryCounter, Reward
from ...worlds import World

FineTune = Callable[[SteeredPolicy, Reward], Iterator[Step]]
Draw = Callable[[DenoisingPolicy, Reward, int, torch.Generator], object]
Judged = tuple[float, tuple[float, float] | None]  # a Cost's regret and tilt
Judge = Callable[[Policy], Judged]
DRAWN = 1000  # samples, in the columns that say what sampling costs


@dataclass(frozen=True)
class Cost:
    """What a method came to, and what it took.

    tilt: the α really applied and its r², None where no policy has a law of x_0 to look at; queries, seconds: of the
    training, 0 if there is none; kept: the most bytes that autograd keeps for the way back, the network's weights among
    them, in each world; asked, drawing: queries and seconds of DRAWN samples; gradient: whether the reward's is needed.
    """

    regret: float
    tilt: tuple[float, float] | None
    queries: int
    seconds: float
    kept: Sequence[int]
    asked: int
    drawing: float
    gradient: bool


def of_training(fine_tune: FineTune, worlds: Sequence[World], *, judge: Judge) -> Cost:
    """Train once in the first world, judge the policy, and begin once in each to see what is kept."""
    first = worlds[0]

    def one_iteration(world: World, reward: Reward) -> object:
        return next(fine_tune(SteeredPolicy(world.pretrained), reward))

    kept, gradient = _kept_and_gradient(one_iteration, worlds)
    policy = SteeredPolicy(first.pretrained)
    last = run(fine_tune(policy, first.reward))[-1]
    asked, drawing = of_drawing(lambda _, __, n, g: rollout(policy, n, generator=g), first)
    return Cost(*judge(policy), last.queries, last.seconds, kept, asked, drawing, gradient)


def of_guidance(draw: Draw, worlds: Sequence[World], *, judged: Judged) -> Cost:
    """Nothing is trained; all of it comes when a sample is drawn."""

    def sample(world: World, reward: Reward) -> object:
        return draw(world.pretrained, reward, DRAWN, torch.Generator().manual_seed(0))

    kept, gradient = _kept_and_gradient(sample, worlds)
    return Cost(*judged, 0, 0.0, kept, *of_drawing(draw, worlds[0]), gradient)


def _kept_and_gradient(call: Callable[[World, Reward], object], worlds: Sequence[World]) -> tuple[list[int], bool]:
    kept = [kept_bytes(partial(call, world, world.reward)) for world in worlds]
    return kept, needs_gradient(partial(call, worlds[0]), worlds[0].reward)


def of_drawing(draw: Draw, world: World) -> tuple[int, float]:
    """Queries and seconds of DRAWN samples."""
    counted, start = QueryCounter(world.reward), time.perf_counter()
    draw(world.pretrained, counted, DRAWN, torch.Generator().manual_seed(0))
    return counted.queries, time.perf_counter() - start


def needs_gradient(call: Callable[[Reward], object], reward: Reward) -> bool:
    """Whether `call`, given the same reward without its gradient, refuses to work."""
    try:
        call(lambda x: reward(x.detach()))
    except ValueError:
        return True
    return False
