r"""What each method of §5 and §6 costs, measured in one run.

    trained    pays once: reward queries, seconds, and the memory of the way back; then it samples like p_pre
    guided     pays for every sample: queries and seconds of whatever stands in for v

Everything in a `Bill` is counted or timed, but for what `table` is told in words.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
DRAWN = 1000  # samples, in the columns that say what sampling costs


@dataclass(frozen=True)
class Bill:
    """What a method came to: its regret, and what it took.

    queries, seconds: of the training, 0 if there is none; kept: the most bytes that autograd keeps for the way back,
    the network's weights among them, in each world; asked, drawing: queries and seconds of DRAWN samples; gradient:
    whether the reward's is needed.
    """

    regret: float
    queries: int
    seconds: float
    kept: Sequence[int]
    asked: int
    drawing: float
    gradient: bool


def of_training(
    fine_tune: FineTune,
    worlds: Sequence[World],
    *,
    begin: Callable[[DenoisingPolicy], SteeredPolicy],
    regret: Callable[[Policy], float],
) -> Bill:
    """Train once in the first world, and begin once in each to see what is kept."""
    first = worlds[0]

    def one_iteration(world: World, reward: Reward) -> object:
        return next(fine_tune(begin(world.pretrained), reward))

    kept, blind = _kept_and_blind(one_iteration, worlds)
    policy = begin(first.pretrained)
    last = run(fine_tune(policy, first.reward))[-1]
    asked, drawing = of_drawing(lambda _, __, n, g: rollout(policy, n, generator=g), first)
    return Bill(regret(policy), last.queries, last.seconds, kept, asked, drawing, blind)


def of_guidance(draw: Draw, worlds: Sequence[World], *, regret: float) -> Bill:
    """Nothing is trained; all is paid when a sample is drawn."""

    def sample(world: World, reward: Reward) -> object:
        return draw(world.pretrained, reward, DRAWN, torch.Generator().manual_seed(0))

    kept, blind = _kept_and_blind(sample, worlds)
    return Bill(regret, 0, 0.0, kept, *of_drawing(draw, worlds[0]), blind)


def _kept_and_blind(call: Callable[[World, Reward], object], worlds: Sequence[World]) -> tuple[list[int], bool]:
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


def table(bills: Mapping[str, Bill], said: Mapping[str, tuple[str, str]]) -> str:
    """One line a method. said: whose paths it learns from, and the direction of its KL."""
    lines = [
        f"{'':23}          training                          {DRAWN} samples",
        f"{'':23} regret   queries  seconds  MiB kept        queries      ms   gradient?  paths     KL",
    ]
    for name, bill in bills.items():
        kept = ", ".join(f"{size / 2**20:.1f}" for size in bill.kept)
        training = f"{bill.queries:7,}  {bill.seconds:7.1f}" if bill.queries else "   none     none"
        drawing = f"{bill.asked:7,}  {1000 * bill.drawing:6.0f}"
        gradient = "yes" if bill.gradient else "no"
        paths, kl = said[name]
        lines.append(f"{name:23} {bill.regret:6.1%}   {training}  {kept:14}  {drawing}   {gradient:9}  {paths:8}  {kl}")
    return "\n".join(lines)
