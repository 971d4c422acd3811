r"""Entropy-regularised tabular MDPs (§2): a decision that pays for leaving a reference policy.

    maximise  E[Σ_t r_t(s_t, a_t) + r_T(s_T)] − α Σ_t E[KL(π_t(·|s_t) ‖ π_ref,t(·|s_t))]

    q_t(s, a) = r_t(s, a) + Σ_s' P_t(s'|s, a) v_{t+1}(s'),   v_T = r_T
    v_t(s) = α log Σ_a π_ref,t(a|s) exp(q_t(s, a)/α),        π*_t = π_ref,t exp((q_t − v_t)/α)      (soft Bellman)

Time runs forward here, t = 0..T−1, and the last state s_T only pays r_T. A uniform π_ref gives entropy regularisation.
Shapes: S states, A actions, horizon T, N trajectories; everything is float64.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import count, positive

TIE = 1e-9  # actions whose hard values differ by less are equally good


class TabularMDP:
    """A finite-horizon MDP with a reference policy, checked and in one shape.

    transitions P [S, A, S] or [T, S, A, S], rewards r and reference π_ref [S, A] or [T, S, A], terminal_rewards r_T [S]
    (zero if left out), start a state or probabilities [S], terminal states that are absorbing and must be within reach.
    ValueError where a shape is wrong, probabilities do not sum to one, or a terminal state is not absorbing or out of
    reach. Attributes: all of them with their time axis, horizon T, states S, actions A.
    """

    def __init__(
        self,
        transitions: Tensor,
        rewards: Tensor,
        reference: Tensor,
        horizon: int,
        *,
        terminal_rewards: Tensor | None = None,
        start: int | Tensor = 0,
        terminal: Sequence[int] = (),
    ):
        self.horizon = T = count("horizon", horizon)
        transitions = torch.as_tensor(transitions, dtype=torch.float64)
        if transitions.ndim not in (3, 4) or transitions.shape[-1] != transitions.shape[-3]:
            raise ValueError(f"transitions must have shape [S, A, S] or [T, S, A, S], got {list(transitions.shape)}")
        self.states, self.actions = S, A = tuple(transitions.shape[-3:-1])
        self.transitions = _probabilities("transitions", _in_time("transitions", transitions, T, (S, A, S)))
        self.rewards = _finite("rewards", _in_time("rewards", rewards, T, (S, A)))
        self.reference = _probabilities("reference", _in_time("reference", reference, T, (S, A)))
        ending = torch.zeros(S) if terminal_rewards is None else terminal_rewards
        self.terminal_rewards = _finite("terminal_rewards", _shaped("terminal_rewards", ending, (S,)))
        if isinstance(start, int):
            start = torch.eye(S)[_state("start", start, S)]
        self.start = _probabilities("start", _shaped("start", start, (S,)))
        self.terminal = tuple(_state("terminal", state, S) for state in terminal)
        self._check_terminal()

    def _check_terminal(self) -> None:
        reached = self.start > 0
        for step in torch.einsum("tsa,tsaz->tsz", self.reference, self.transitions):
            reached = reached | (reached.double() @ step > 0)
        for state in self.terminal:
            stays = self.transitions[:, state, :, state].min().item()
            if stays < 1:
                raise ValueError(f"terminal state {state} must be absorbing, got a probability {stays:g} of staying")
            if not reached[state]:
                raise ValueError(
                    f"terminal state {state} cannot be reached from the start in {self.horizon} steps of the reference "
                    f"policy: expected it within reach, got {int(reached.sum())} of {self.states} states that are"
                )

    def check_policy(self, policy: Tensor) -> Tensor:
        """A policy [S, A] or [T, S, A] as [T, S, A]; ValueError unless its rows sum to one, inside π_ref's support."""
        shape = (self.states, self.actions)
        policy = _probabilities("policy", _in_time("policy", policy, self.horizon, shape))
        outside = policy.masked_fill(self.reference > 0, 0).max().item()
        if outside > 0:
            raise ValueError(f"policy must be 0 where the reference is: expected 0, got {outside:g} (an infinite KL)")
        return policy


def _shaped(name: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    x = torch.as_tensor(x, dtype=torch.float64)
    if tuple(x.shape) != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(x.shape)}")
    return x


def _in_time(name: str, x: Tensor, T: int, shape: tuple[int, ...]) -> Tensor:
    """x [*shape], the same at every step, or [T, *shape] → [T, *shape]."""
    x = torch.as_tensor(x, dtype=torch.float64)
    if tuple(x.shape) not in (shape, (T, *shape)):
        raise ValueError(f"{name} must have shape {list(shape)} or {[T, *shape]}, got {list(x.shape)}")
    return x.expand(T, *shape)


def _probabilities(name: str, x: Tensor) -> Tensor:
    """x, its rows (last dimension) divided by sums that are one up to rounding; ValueError where they are not."""
    sums = x.sum(-1)
    far = (sums - 1).abs().nan_to_num(torch.inf)
    if far.max() > 1e-6:
        row = torch.unravel_index(far.argmax(), sums.shape) if sums.ndim else ()
        where = f" at {[int(i) for i in row]}" if row else ""
        raise ValueError(f"{name}: every row must sum to 1, got {float(sums[tuple(row)]):g}{where}")
    if x.min() < 0:
        raise ValueError(f"{name} must be probabilities, got {float(x.min()):g} among them")
    return x / sums.unsqueeze(-1)


def _finite(name: str, x: Tensor) -> Tensor:
    if not x.isfinite().all():
        raise ValueError(f"{name} must be finite, got {float(x[~x.isfinite()][0])}")
    return x


def _state(name: str, state: int, S: int) -> int:
    if not 0 <= state < S:
        raise ValueError(f"{name} must be a state in 0..{S - 1}, got {state}")
    return int(state)


@dataclass(frozen=True)
class SoftSolution:
    """The optimum at one α: values v [T+1, S], q [T, S, A], policy π* [T, S, A]. α = 0 is the hard optimum."""

    alpha: float
    values: Tensor
    q: Tensor
    policy: Tensor


def soft_maximum(q: Tensor, reference: Tensor, alpha: float) -> Tensor:
    """α log Σ_a π_ref(a) exp(q(a)/α) over the last dimension, accurate at every α > 0 however large or small."""
    best = q.masked_fill(reference == 0, -torch.inf).amax(-1, keepdim=True)
    gap = ((q - best) / alpha).masked_fill(reference == 0, 0)  # ≤ 0
    drop = (reference * gap.expm1()).sum(-1)  # of Σ π_ref exp(gap) from 1: nothing cancels while it is small
    log_sum = torch.where(drop > -0.5, drop.clamp_min(-0.5).log1p(), (reference.log() + gap).logsumexp(-1))
    return best.squeeze(-1) + alpha * log_sum


def soft_value_iteration(mdp: TabularMDP, alpha: float) -> SoftSolution:
    """The soft Bellman equation, one sweep from the end. ValueError unless α is in (0, ∞)."""
    alpha, values, qs = positive("alpha", alpha), [mdp.terminal_rewards], []
    for t in reversed(range(mdp.horizon)):
        qs.append(mdp.rewards[t] + mdp.transitions[t] @ values[-1])
        values.append(soft_maximum(qs[-1], mdp.reference[t], alpha))
    v, q = torch.stack(values[::-1]), torch.stack(qs[::-1])
    policy = (mdp.reference.log() + (q - v[:-1].unsqueeze(-1)) / alpha).softmax(-1)
    return SoftSolution(alpha, v, q, policy)


def value_iteration(mdp: TabularMDP) -> SoftSolution:
    """The hard optimum, v_t = max_a q_t: the limit α → 0, its policy included.

    Where actions tie, the limit shares by the reference's mass on all that follows: with v^α = v + α w + …,
    w_t(s) = log Σ_a π_ref(a|s) exp(E[w_{t+1}]) over the best actions.
    """
    values, qs, policies, w = [mdp.terminal_rewards], [], [], torch.zeros_like(mdp.terminal_rewards)
    for t in reversed(range(mdp.horizon)):
        q = mdp.rewards[t] + mdp.transitions[t] @ values[-1]
        v = q.masked_fill(mdp.reference[t] == 0, -torch.inf).amax(1)
        log_share = (mdp.reference[t].log() + mdp.transitions[t] @ w).masked_fill(q < v[:, None] - TIE, -torch.inf)
        w = log_share.logsumexp(1)
        qs.append(q)
        values.append(v)
        policies.append(log_share.softmax(1))
    return SoftSolution(0.0, torch.stack(values[::-1]), torch.stack(qs[::-1]), torch.stack(policies[::-1]))


def visitation(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """The law of s_t for t = 0..T under a policy, [T+1, S], pushed forward step by step."""
    laws = [mdp.start]
    for pi, P in zip(mdp.check_policy(policy), mdp.transitions, strict=True):
        laws.append(torch.einsum("s,sa,saz->z", laws[-1], pi, P))
    return torch.stack(laws)


def expected_return(mdp: TabularMDP, policy: Tensor) -> float:
    """E[Σ_t r_t + r_T] under a policy."""
    law, policy = visitation(mdp, policy), mdp.check_policy(policy)
    return float((law[:-1, :, None] * policy * mdp.rewards).sum() + law[-1] @ mdp.terminal_rewards)


def path_kl(mdp: TabularMDP, policy: Tensor) -> float:
    """Σ_t E[KL(π_t ‖ π_ref,t)] under a policy: the KL between the laws of whole trajectories."""
    law, policy = visitation(mdp, policy), mdp.check_policy(policy)
    each = torch.xlogy(policy, policy) - torch.xlogy(policy, mdp.reference)
    return float((law[:-1] * each.sum(-1)).sum())


def policy_value(mdp: TabularMDP, policy: Tensor, alpha: float) -> float:
    """The regularised objective J of any policy: E[Σ r] − α Σ KL. ValueError unless α is in (0, ∞)."""
    return expected_return(mdp, policy) - positive("alpha", alpha) * path_kl(mdp, policy)


@dataclass(frozen=True)
class Ascent:
    """What direct ascent found: a policy [T, S, A], and J at every step on the way [steps]."""

    policy: Tensor
    objectives: Tensor


def gradient_ascent(mdp: TabularMDP, alpha: float, *, steps: int = 200, rate: float = 0.5) -> Ascent:
    """Climb J itself from the reference: laws of states pushed forward, ∇J by autograd, no Bellman equation anywhere.

    The gradient in the logits of π_t(·|s) shrinks with the chance of being in s at t, so it is divided by the law of
    (s_t, a_t): the natural gradient, with which rate/α is a sensible step everywhere. rate = 1 is the longest that is
    sure to climb. A state out of the start's reach keeps the reference's actions: J does not see it.
    """
    alpha, rate = positive("alpha", alpha), positive("rate", rate)
    lean = torch.zeros_like(mdp.reference, requires_grad=True)  # log π = log π_ref + lean − normaliser
    objectives = []
    for _ in range(count("steps", steps)):
        log_ratio = lean - (mdp.reference.log() + lean).logsumexp(-1, keepdim=True)
        policy, law, J, acting = mdp.reference * log_ratio.exp(), mdp.start, torch.tensor(0.0), []
        for t in range(mdp.horizon):
            acting.append(law[:, None] * policy[t])  # the law of (s_t, a_t)
            J = J + (acting[t] * (mdp.rewards[t] - alpha * log_ratio[t])).sum()
            law = torch.einsum("sa,saz->z", acting[t], mdp.transitions[t])
        J = J + law @ mdp.terminal_rewards
        (gradient,) = torch.autograd.grad(J, lean)
        with torch.no_grad():
            natural = gradient / torch.stack(acting)
            lean += rate / alpha * natural.where(torch.stack(acting) > 0, 0)
        objectives.append(J.item())
    return Ascent((mdp.reference.log() + lean.detach()).softmax(-1), torch.tensor(objectives, dtype=torch.float64))


@dataclass(frozen=True)
class Trajectories:
    """Every trajectory that the reference can take: states [N, T+1], actions [N, T], Σr [N], probability [N]."""

    states: Tensor
    actions: Tensor
    returns: Tensor
    probability: Tensor


def trajectories(mdp: TabularMDP, policy: Tensor, *, limit: int = 2_000_000) -> Trajectories:
    """All of them, one by one, in the same order for every policy. ValueError where there are more than `limit`."""
    policy = mdp.check_policy(policy)
    states = mdp.start.nonzero()  # [N, 1], growing to [N, T+1]
    actions, returns = states[:, :0], torch.zeros(len(states), dtype=torch.float64)
    probability = mdp.start[states[:, 0]]
    for t in range(mdp.horizon):
        possible = (mdp.reference[t].unsqueeze(-1) * mdp.transitions[t] > 0)[states[:, -1]]  # [N, A, S]
        if (total := int(possible.sum())) > limit:
            raise ValueError(
                f"expected at most {limit:,} trajectories, got {total:,} after {t + 1} of {mdp.horizon} steps"
            )
        path, a, after = possible.nonzero(as_tuple=True)
        s = states[path, -1]
        states = torch.cat([states[path], after.unsqueeze(1)], 1)
        actions = torch.cat([actions[path], a.unsqueeze(1)], 1)
        returns = returns[path] + mdp.rewards[t, s, a]
        probability = probability[path] * policy[t, s, a] * mdp.transitions[t, s, a, after]
    return Trajectories(states, actions, returns + mdp.terminal_rewards[states[:, -1]], probability)


MOVES = {"right": (1, 0), "up": (0, 1), "left": (-1, 0), "down": (0, -1)}  # the actions of a grid world, in order


def grid_world(
    size: int = 5,
    slip: float = 0.0,
    *,
    horizon: int | None = None,
    habit: Sequence[float] = (0.25, 0.25, 0.25, 0.25),
    walls: Sequence[tuple[int, int]] = (),
    step_cost: float = 0.05,
    goal_reward: float = 1.0,
    pit_reward: float = -1.0,
) -> TabularMDP:
    """A walk along a cliff: from the lower left corner to the goal in the lower right one, pits between them.

    Cell (x, y) is state x·size + y; actions as in MOVES. With probability `slip` a step goes to either side instead,
    half each; into a wall or over the edge it stays. Every step outside goal and pits costs `step_cost`; goal and pits
    are terminal and pay at the end. `habit` is the reference's π_ref(a), everywhere. horizon: 2·size + 2 if left out.
    """
    size = count("size", size, least=3)
    if not 0 <= slip <= 1:
        raise ValueError(f"slip must be a probability in [0, 1], got {slip!r}")
    cells = list(itertools.product(range(size), repeat=2))
    moves = list(MOVES.values())
    goal, pits = (size - 1) * size, [x * size for x in range(1, size - 1)]
    transitions = torch.zeros(size**2, 4, size**2, dtype=torch.float64)
    for s, (x, y) in enumerate(cells):
        after = [(x + dx, y + dy) for dx, dy in moves]
        ends = torch.tensor([cells.index(c) if c in cells and c not in walls else s for c in after])
        for a in range(4):
            if s in (goal, *pits):
                transitions[s, a, s] = 1
                continue
            for turn, chance in ((0, 1 - slip), (1, slip / 2), (-1, slip / 2)):
                transitions[s, a, ends[(a + turn) % 4]] += chance
    ending = torch.zeros(size**2, dtype=torch.float64)
    ending[goal], ending[pits] = goal_reward, pit_reward
    rewards = torch.full((size**2, 4), -float(step_cost), dtype=torch.float64)
    rewards[[goal, *pits]] = 0
    reference = torch.as_tensor(habit, dtype=torch.float64).expand(size**2, -1)
    steps = 2 * size + 2 if horizon is None else horizon
    return TabularMDP(transitions, rewards, reference, steps, terminal_rewards=ending, terminal=[goal])
