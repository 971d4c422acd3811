"""The law of whole trajectories under the optimal policy, by enumerating every one."""

import pytest
import torch

from tutorial_lib.mdp import grid_world, soft_value_iteration, trajectories

CLAIM = dict(
    number="2.2",
    section="§2",
    statement="The optimal trajectory law is p*(τ) ∝ p_ref(τ) exp(Σr/α) in a deterministic MDP; in a stochastic one it "
    "is not: the tilt would also bend the dynamics, and what it promises too much, α log Z − J*, is α KL(p* ‖ tilt).",
    notebook="02_entropy_regularized_mdps",
    function="tutorial_lib.mdp.trajectories",
)
ALPHAS = (0.05, 0.2, 1.0)


def laws(slip, alpha):
    """p*(τ), the tilt of p_ref(τ) by exp(Σr/α), its log Z, and J*."""
    world = grid_world(3, slip, horizon=5, habit=(0.3, 0.4, 0.15, 0.15))
    soft = soft_value_iteration(world, alpha)
    reference, optimal = trajectories(world, world.reference), trajectories(world, soft.policy)
    exponent = reference.probability.log() + reference.returns / alpha
    log_z = exponent.logsumexp(0)
    return optimal.probability, (exponent - log_z).exp(), log_z.item(), soft.values[0, 0].item()


def test_claim_2_2_without_luck_the_law_is_the_tilt(claim):
    worst, n = 0.0, 0
    for alpha in ALPHAS:
        optimal, tilt, log_z, J = laws(0.0, alpha)
        worst, n = max(worst, (optimal - tilt).abs().max().item(), abs(alpha * log_z - J)), len(optimal)
    claim.record(
        label=f"deterministic, largest difference over {n} trajectories and three α",
        measured=f"{worst:.0e}",
        threshold="≤ 1e-10",
        floor="1e-15 (float64)",
    )
    assert worst <= 1e-10


def test_claim_2_2_with_luck_it_is_not(claim):
    slips, distances = (0.1, 0.2, 0.4), []
    for slip in slips:
        for alpha in ALPHAS:
            optimal, tilt, log_z, J = laws(slip, alpha)
            kl = (optimal * (optimal.log() - tilt.log())).sum().item()
            assert alpha * log_z - J == pytest.approx(alpha * kl, abs=1e-12)
            assert kl > 0
            distances.append((optimal - tilt).abs().sum().item() / 2)
    table = torch.tensor(distances).reshape(len(slips), len(ALPHAS))
    shown = ", ".join(f"{d:.2f} at slip {slip}" for slip, d in zip(slips, table[:, 0].tolist(), strict=True))
    claim.record(
        label=f"stochastic, total variation at α = {ALPHAS[0]}",
        measured=shown,
        threshold="> 0.01",
        floor="1e-15 (float64)",
    )
    assert (table > 0.01).all()
