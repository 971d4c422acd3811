"""The tabular MDP: its limits and identities on random ones, a case by hand, and what it refuses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tutorial_lib import mdp as mdps
from tutorial_lib.mdp import TabularMDP, grid_world

from .oracles import random_mdp

HABIT = (0.3, 0.4, 0.15, 0.15)
seeds = st.integers(0, 10_000)
alphas = st.floats(-2, 2).map(lambda power: 10**power)


def random_policy(problem, seed):
    noise = torch.randn(problem.reference.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (problem.reference.log() + noise).softmax(-1)


def test_one_decision_by_hand():
    """Two actions, rewards 0 and 1, reference 3/4 and 1/4, α = 1/2: v = ½ log(¾ + ¼ e²)."""
    bandit = TabularMDP(torch.ones(1, 2, 1), torch.tensor([[0.0, 1.0]]), torch.tensor([[0.75, 0.25]]), 1)
    soft = mdps.soft_value_iteration(bandit, 0.5)
    z = 0.75 + 0.25 * math.exp(2)
    assert soft.values[0, 0].item() == pytest.approx(0.5 * math.log(z), abs=1e-14)
    assert soft.policy[0, 0].tolist() == pytest.approx([0.75 / z, 0.25 * math.exp(2) / z], abs=1e-14)
    assert soft.q[0, 0].tolist() == [0, 1]


@settings(max_examples=40, deadline=None)
@given(seed=seeds, alpha=alphas)
def test_the_value_is_what_its_policy_earns_and_no_policy_earns_more(seed, alpha):
    problem = random_mdp(seed)
    soft = mdps.soft_value_iteration(problem, alpha)
    best = (problem.start @ soft.values[0]).item()
    assert mdps.policy_value(problem, soft.policy, alpha) == pytest.approx(best, rel=1e-9, abs=1e-9)
    for policy in (random_policy(problem, seed), problem.reference, mdps.value_iteration(problem).policy):
        assert mdps.policy_value(problem, policy, alpha) <= best + 1e-9 * (1 + alpha)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, alpha=st.floats(0.05, 20))
def test_the_gradient_of_the_objective_vanishes_at_the_soft_policy(seed, alpha):
    """Finite differences of J in the logits, so that neither Bellman nor autograd vouches for itself."""
    problem = random_mdp(seed, S=3, A=2, T=2)
    policy = mdps.soft_value_iteration(problem, alpha).policy
    steps = torch.eye(policy.numel(), dtype=torch.float64).reshape(-1, *policy.shape) * 1e-4

    def J(shift):
        return mdps.policy_value(problem, (policy.log() + shift).softmax(-1), alpha)

    assert max(abs(J(step) - J(-step)) / 2e-4 for step in steps) < 1e-6 * (1 + alpha)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, alpha=st.floats(0.1, 10))
def test_ascent_never_steps_down_and_ends_at_the_soft_policy(seed, alpha):
    problem = random_mdp(seed)
    found = mdps.gradient_ascent(problem, alpha, steps=120)
    assert (found.objectives.diff() > -1e-9 * (1 + alpha)).all()
    assert found.objectives[0].item() == pytest.approx(mdps.expected_return(problem, problem.reference))
    assert (found.policy - mdps.soft_value_iteration(problem, alpha).policy).abs().max() < 1e-8


def test_ascent_leaves_a_state_out_of_reach_at_the_reference():
    world = grid_world(4, horizon=6, habit=HABIT)
    found = mdps.gradient_ascent(world, 0.2, steps=60)
    unseen = mdps.visitation(world, world.reference)[:-1] == 0
    assert unseen.any() and torch.allclose(found.policy[unseen], world.reference[unseen], atol=1e-15)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, deterministic=st.booleans())
def test_enumeration_agrees_with_pushing_laws_forward(seed, deterministic):
    problem = random_mdp(seed, deterministic=deterministic)
    policy = random_policy(problem, seed + 1)
    paths, before = (mdps.trajectories(problem, p) for p in (policy, problem.reference))
    assert torch.equal(paths.states, before.states) and torch.equal(paths.actions, before.actions)
    assert len({tuple(row) for row in torch.cat([paths.states, paths.actions], 1).tolist()}) == len(paths.returns)
    assert paths.probability.sum().item() == pytest.approx(1, abs=1e-12)
    assert (paths.probability @ paths.returns).item() == pytest.approx(mdps.expected_return(problem, policy), abs=1e-12)
    kl = (paths.probability * (paths.probability / before.probability).log()).sum().item()
    assert kl == pytest.approx(mdps.path_kl(problem, policy), abs=1e-12)
    for t, law in enumerate(mdps.visitation(problem, policy)):
        counted = torch.zeros(problem.states, dtype=torch.float64).index_add(0, paths.states[:, t], paths.probability)
        assert torch.allclose(counted, law, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_the_hard_optimum_is_the_best_of_all_deterministic_policies(seed):
    problem = random_mdp(seed, S=2, A=2, T=2)
    choices = torch.cartesian_prod(*[torch.arange(2)] * 8).reshape(-1, 2, 2, 2, 1)[..., 0]  # [256, T, …] of S = 2
    allowed = [torch.nn.functional.one_hot(c[:, :, 0], 2).double() for c in choices]
    returns = [mdps.expected_return(problem, p) for p in allowed if not (p > 0)[problem.reference == 0].any()]
    hard = mdps.value_iteration(problem)
    assert (problem.start @ hard.values[0]).item() == pytest.approx(max(returns), abs=1e-12)
    assert mdps.expected_return(problem, hard.policy) == pytest.approx(max(returns), abs=1e-12)


def test_among_ties_the_limit_follows_the_reference():
    """Six shortest ways round the pits differ in how habitual they are; the limit α → 0 keeps their proportions."""
    world = grid_world(4, horizon=8, habit=HABIT, step_cost=0)  # every way to the goal ties
    hard, soft = mdps.value_iteration(world), mdps.soft_value_iteration(world, 1e-3)
    assert (hard.policy - soft.policy)[mdps.visitation(world, hard.policy)[:-1] > 0].abs().max() < 1e-10
    kept, before = mdps.trajectories(world, hard.policy), mdps.trajectories(world, world.reference).probability
    won = kept.returns == 1
    assert torch.allclose(kept.probability[won], before[won] / before[won].sum(), rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, alpha=st.floats(-12, 12).map(lambda power: 10**power))
def test_the_soft_maximum_is_accurate_at_every_alpha(seed, alpha):
    g = torch.Generator().manual_seed(seed)
    q, reference = torch.randn(5, 4, generator=g, dtype=torch.float64), torch.rand(5, 4, generator=g).double()
    reference[torch.arange(5), torch.randint(4, (5,), generator=g)] = 0
    reference /= reference.sum(-1, keepdim=True)
    v = mdps.soft_maximum(q, reference, alpha)
    mean, best = (reference * q).sum(-1), q.masked_fill(reference == 0, -math.inf).amax(-1)
    assert (v >= mean - 1e-14).all() and (v <= best + 1e-14).all()
    if alpha > 1e4:  # v = E[q] + Var[q] / 2α + …
        variance = (reference * (q - mean[:, None]).square()).sum(-1)
        assert torch.allclose(v, mean + variance / (2 * alpha), atol=20 / alpha**2 + 1e-15)
    if alpha < 1e-6:
        assert torch.allclose(v, best, atol=100 * alpha)


@pytest.mark.parametrize("slip", [0.0, 0.3, 1.0])
def test_a_grid_world_moves_as_it_says(slip):
    world = grid_world(4, slip, habit=HABIT, walls=[(1, 2)])
    P = world.transitions[0]
    assert P[1 * 4 + 1, 0, 2 * 4 + 1].item() == pytest.approx(1 - slip)  # right of (1, 1)
    assert P[1 * 4 + 1, 0, 1 * 4 + 0].item() == pytest.approx(slip / 2)  # slipped down, into a pit
    assert P[1 * 4 + 1, 0, 1 * 4 + 1].item() == pytest.approx(slip / 2)  # slipped up, against the wall
    assert P[0, 2, 0].item() == pytest.approx(1 - slip / 2)  # left, over the edge, or down over it
    assert (P[12] == torch.eye(16)[12]).all() and world.terminal_rewards[12] == 1
    assert world.terminal_rewards.tolist().count(-1) == 2
    assert mdps.expected_return(world, world.reference) < 0


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_the_cliff_is_a_detour_where_it_is_slippery(slip):
    hard = mdps.value_iteration(grid_world(5, slip, horizon=16, habit=HABIT)).policy[0]
    assert hard[1, 1 if slip else 0] > 0.99  # one above the start: along the edge, or further up first


@pytest.mark.parametrize("alpha", [0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize(
    "use",
    [
        mdps.soft_value_iteration,
        mdps.gradient_ascent,
        lambda problem, alpha: mdps.policy_value(problem, problem.reference, alpha),
    ],
)
def test_alpha_outside_its_range_is_refused(use, alpha):
    with pytest.raises(ValueError, match="alpha must be a finite number > 0, got"):
        use(grid_world(3), alpha)


P, R, REF = torch.full((3, 2, 3), 1 / 3), torch.zeros(3, 2), torch.full((3, 2), 0.5)
BROKEN_P, BROKEN_REF, NEGATIVE = P.clone(), REF.clone(), REF.clone()
BROKEN_P[1, 0] = torch.tensor([0.5, 0.5, 0.5])
BROKEN_REF[2, 1] = math.nan
NEGATIVE[0] = torch.tensor([1.5, -0.5])
STAY = torch.eye(3).unsqueeze(1).expand(3, 2, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((BROKEN_P, R, REF, 2), {}, r"transitions: every row must sum to 1, got 1.5 at \[0, 1, 0\]"),
        ((P, R, REF * 0.8, 2), {}, r"reference: every row must sum to 1, got 0.8 at \[0, 0\]"),
        ((P, R, BROKEN_REF, 2), {}, r"reference: every row must sum to 1, got nan at \[0, 2\]"),
        ((P, R, NEGATIVE, 2), {}, "reference must be probabilities, got -0.5 among them"),
        ((P, torch.zeros(2, 3), REF, 2), {}, r"rewards must have shape \[3, 2\] or \[2, 3, 2\], got \[2, 3\]"),
        ((P, torch.zeros(3, 3, 2), REF, 2), {}, r"rewards must have shape .*, got \[3, 3, 2\]"),
        ((P, R / 0, REF, 2), {}, "rewards must be finite, got nan"),
        ((P[0], R, REF, 2), {}, r"transitions must have shape \[S, A, S\] or \[T, S, A, S\], got \[2, 3\]"),
        ((P[:, :, :2], R, REF, 2), {}, r"transitions must have shape .*, got \[3, 2, 2\]"),
        ((P, R, REF, 0), {}, "horizon must be a whole number ≥ 1, got 0"),
        ((P, R, REF, 2), {"terminal_rewards": torch.zeros(2)}, r"terminal_rewards must have shape \[3\], got \[2\]"),
        ((P, R, REF, 2), {"start": 3}, r"start must be a state in 0..2, got 3"),
        ((P, R, REF, 2), {"start": torch.ones(3)}, "start: every row must sum to 1, got 3"),
        ((P, R, REF, 2), {"terminal": [-1]}, r"terminal must be a state in 0..2, got -1"),
        (
            (P, R, REF, 2),
            {"terminal": [2]},
            "terminal state 2 must be absorbing, got a probability 0.333333 of staying",
        ),
        (
            (STAY, R, REF, 2),
            {"terminal": [2]},
            "terminal state 2 cannot be reached .* expected it within reach, got 1 of 3",
        ),
    ],
)
def test_a_broken_mdp_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        TabularMDP(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 3}, "terminal state 20 cannot be reached from the start in 3 steps"),
        ({"walls": [(4, 1)]}, "terminal state 20 cannot be reached"),
        ({"habit": (0.5, 0.5, 0.0, 0.0)}, "terminal state 20 cannot be reached"),
        ({"slip": 1.5}, r"slip must be a probability in \[0, 1\], got 1.5"),
        ({"size": 2}, "size must be a whole number ≥ 3, got 2"),
    ],
)
def test_a_broken_grid_world_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        grid_world(**options)


def test_a_policy_that_does_not_fit_is_refused():
    world = grid_world(3, habit=(0.4, 0.3, 0.0, 0.3))
    with pytest.raises(ValueError, match=r"policy must have shape \[9, 4\] or \[8, 9, 4\], got \[4, 9\]"):
        mdps.visitation(world, torch.full((4, 9), 0.25))
    with pytest.raises(ValueError, match=r"policy must be 0 where the reference is: expected 0, got 0.25"):
        mdps.path_kl(world, torch.full((9, 4), 0.25))
    with pytest.raises(ValueError, match="policy: every row must sum to 1"):
        mdps.expected_return(world, torch.full((9, 4), 0.3))


def test_too_many_trajectories_are_refused_before_they_fill_the_memory():
    with pytest.raises(ValueError, match="expected at most 1,000 trajectories, got 1,024 after 5 of 12 steps"):
        mdps.trajectories(free_walk(), free_walk().reference, limit=1000)


def free_walk():
    """Four actions that all lead back: 4^t trajectories."""
    return TabularMDP(torch.ones(1, 4, 1), torch.zeros(1, 4), torch.full((1, 4), 0.25), 12)
