"""A grid world at any α and slip (§2): its soft optimum, where the walk goes, and the curve over α.

A `Scene` holds what α does not change; `answer` maps α to arrays. Cell (x, y) is state x·size + y, as in
`mdp.grid_world`; values and laws are [S], policies [S, A].
"""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...mdp import (
    MOVES,
    SoftSolution,
    TabularMDP,
    expected_return,
    grid_world,
    path_kl,
    soft_value_iteration,
    value_iteration,
    visitation,
)

SIZE, HABIT = 5, (0.3, 0.4, 0.15, 0.15)  # the habit likes up, then right
DIRECTIONS = torch.tensor(list(MOVES.values()), dtype=torch.float64)  # of the actions, [A, 2]
ALPHAS, SLIPS = (0.01, 10.0), tuple(round(0.05 * i, 2) for i in range(11))


def side(world: TabularMDP) -> int:
    """Cells on a side of a square grid world."""
    return math.isqrt(world.states)


def special_cells(world: TabularMDP) -> tuple[int, list[int]]:
    """The goal's state and the pits'."""
    n = side(world)
    return (n - 1) * n, [x * n for x in range(1, n - 1)]


@dataclass(frozen=True)
class Scene:
    """A cliff at one slip: its value, and the return of its policy, for every α of a curve [N]; the two limits."""

    slip: float
    world: TabularMDP
    alphas: Tensor
    values: Tensor
    returns: Tensor
    hard: float
    reference: float


@dataclass(frozen=True)
class Answer:
    """The optimum at one α: v_0 and visits in [S], π_0 [S, A]; J* = reward − α KL; the law of s_T [S]."""

    alpha: float
    solution: SoftSolution
    visits: Tensor
    ends: Tensor
    value: float
    reward: float
    kl: float


def answer(world: TabularMDP, alpha: float) -> Answer:
    """Solve a grid world at one α > 0. visits: mean number of steps spent in each cell."""
    solution = soft_value_iteration(world, alpha)
    law = visitation(world, solution.policy)
    value, reward = float(world.start @ solution.values[0]), expected_return(world, solution.policy)
    return Answer(alpha, solution, law[:-1].sum(0), law[-1], value, reward, path_kl(world, solution.policy))


@functools.lru_cache(maxsize=16)
def scene(slip: float) -> Scene:
    """The cliff at one slip."""
    world = grid_world(SIZE, slip, habit=HABIT)
    alphas = torch.logspace(math.log10(ALPHAS[0]), math.log10(ALPHAS[1]), 46, dtype=torch.float64)
    found = [answer(world, float(alpha)) for alpha in alphas]
    hard = float(world.start @ value_iteration(world).values[0])
    values, returns = torch.tensor([f.value for f in found]), torch.tensor([f.reward for f in found])
    return Scene(slip, world, alphas, values, returns, hard, expected_return(world, world.reference))


def next_round(world: TabularMDP, policy: Tensor, alpha: float) -> tuple[Tensor, dict[str, Tensor]]:
    """One round of soft policy iteration from a policy [T, S, A], and what slips make of it, all [T, S, A].

    The new policy is π_ref exp(q/α) over its sum, with q that of the policy's own value Σ_a π q − α KL(π ‖ π_ref).
    """
    departure = torch.xlogy(policy, policy / world.reference).sum(-1)

    def tilted(ahead: float = 1.0, kl: float = 1.0) -> tuple[Tensor, Tensor]:
        v = world.terminal_rewards
        log_weights: list[Tensor] = []
        for t in reversed(range(world.horizon)):
            q = world.rewards[t] + ahead * world.transitions[t] @ v
            log_weights.insert(0, q / alpha)
            v = (policy[t] * q).sum(-1) - kl * alpha * departure[t]
        log_weight = torch.stack(log_weights)
        return (world.reference.log() + log_weight).softmax(-1), log_weight

    right, log_weight = tilted()
    slips = {
        "the soft optimal policy: v is to be the present policy's own value": soft_value_iteration(world, alpha).policy,
        "a value that forgets to pay for the KL": tilted(kl=0.0)[0],
        "the present policy tilted, in place of the reference": (policy.log() + log_weight).softmax(-1),
        "a tilt of the uniform policy, in place of the reference": log_weight.softmax(-1),
        "a tilt that is not normalised": world.reference * log_weight.exp(),
        "a policy that does not look ahead, as if v were 0": tilted(ahead=0.0)[0],
        "a value that counts half": tilted(ahead=0.5)[0],
        "the tilt as if α = 1": (world.reference.log() + alpha * log_weight).softmax(-1),
    }
    return right, slips
