"""Soft value iteration and direct ascent on the objective find one policy."""

import pytest
import torch

from tutorial_lib.mdp import gradient_ascent, grid_world, soft_value_iteration, visitation

CLAIM = dict(
    number="2.1",
    section="§2",
    statement="In a tabular MDP, soft value iteration and direct gradient ascent on the regularised objective, written "
    "independently, give the same policy: largest difference of any probability, at every step and reachable state.",
    notebook="02_entropy_regularized_mdps",
    function="tutorial_lib.mdp.soft_value_iteration",
)


@pytest.mark.parametrize("slip", [0.0, 0.2], ids=["deterministic", "stochastic"])
def test_claim_2_1_two_ways_to_one_policy(claim, slip):
    world = grid_world(5, slip, habit=(0.3, 0.4, 0.15, 0.15))
    reachable = visitation(world, world.reference)[:-1] > 0
    worst = moved = 0.0
    for alpha in (0.03, 0.1, 0.3, 1.0, 10.0):
        climbed = gradient_ascent(world, alpha).policy
        swept = soft_value_iteration(world, alpha).policy
        worst = max(worst, (climbed - swept)[reachable].abs().max().item())
        moved = max(moved, (climbed - world.reference)[reachable].abs().max().item())
    kind = "stochastic" if slip else "deterministic"
    claim.record(
        label=f"5×5 grid, {kind}, five α", measured=f"{worst:.0e}", threshold="≤ 1e-6", floor="1e-15 (float64)"
    )
    assert worst <= 1e-6
    assert moved > 0.5, "the policies agree, but nothing was learned"


def test_claim_2_1_random_mdps(claim):
    from ..oracles import random_mdp

    worst = 0.0
    for seed in range(10):
        problem = random_mdp(seed, S=6, A=4, T=5)
        swept = soft_value_iteration(problem, 0.3).policy
        worst = max(worst, (gradient_ascent(problem, 0.3).policy - swept).abs().max().item())
        assert torch.allclose(swept.sum(-1), torch.ones(5, 6, dtype=torch.float64))
    claim.record(label="ten random MDPs", measured=f"{worst:.0e}", threshold="≤ 1e-6", floor="1e-15 (float64)", seed=0)
    assert worst <= 1e-6
