"""From the hard optimum to the reference: the soft value's limits, and its fall between them."""

import pytest
import torch

from tutorial_lib.mdp import expected_return, grid_world, path_kl, soft_value_iteration, value_iteration, visitation

CLAIM = dict(
    number="2.3",
    section="§2",
    statement="α → 0 gives the hard Bellman optimum and its policy, α → ∞ the reference policy's value, and the soft "
    "value falls between them, with slope −KL of the optimal policy's trajectories.",
    notebook="02_entropy_regularized_mdps",
    function="tutorial_lib.mdp.value_iteration",
)


@pytest.mark.parametrize("slip", [0.0, 0.2], ids=["deterministic", "stochastic"])
def test_claim_2_3_limits_and_monotone(claim, slip):
    kind = "stochastic" if slip else "deterministic"
    world = grid_world(5, slip, habit=(0.3, 0.4, 0.15, 0.15))
    hard, cold, hot = value_iteration(world), soft_value_iteration(world, 1e-9), soft_value_iteration(world, 1e9)
    seen = visitation(world, hard.policy)[:-1] > 0
    low = (cold.values - hard.values)[0].abs().max().item()
    policies = (soft_value_iteration(world, 1e-4).policy - hard.policy)[seen].abs().max().item()
    high = abs(hot.values[0, 0].item() - expected_return(world, world.reference))
    alphas = torch.logspace(-3, 3, 121, dtype=torch.float64)
    values = torch.stack([soft_value_iteration(world, float(a)).values[0, 0] for a in alphas])
    gaps = f"{low:.0e} at α = 1e-9, {high:.0e} at α = 1e9"
    claim.record(label=f"{kind}, value's distance from its limits", measured=gaps, threshold="≤ 1e-6")
    claim.record(label=f"{kind}, policy from the hard one at α = 1e-4", measured=f"{policies:.0e}", threshold="≤ 1e-6")
    smallest = -values.diff().max().item()
    claim.record(label=f"{kind}, smallest fall of v over 120 steps of α", measured=f"{smallest:.0e}", threshold="> 0")
    assert low <= 1e-6 and high <= 1e-6 and policies <= 1e-6
    assert smallest > 0


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_claim_2_3_the_slope_is_minus_the_kl(slip):
    world = grid_world(5, slip, habit=(0.3, 0.4, 0.15, 0.15))
    for alpha in (0.05, 0.2, 1.0, 5.0):
        above, below = (soft_value_iteration(world, alpha * (1 + h)).values[0, 0].item() for h in (1e-5, -1e-5))
        kl = path_kl(world, soft_value_iteration(world, alpha).policy)
        assert (above - below) / (2e-5 * alpha) == pytest.approx(-kl, rel=1e-5)
