"""A reward that is one inside a disc and zero outside: no slope to follow, and PPO needs none."""

import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import reward_backprop, run, soft_ppo
from tutorial_lib.exact import GaussianOptimum
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import SteeredPolicy

from ..oracles import seeded

CLAIM = dict(
    number="5.2",
    section="§5.1",
    statement="PPO needs no gradient of the reward: it optimises the indicator of a disc, of which backpropagation "
    "learns exactly nothing (at an α where Gaussian steps can come near the target; how near is the family gap)",
    notebook="05_1_soft_ppo",
    function="tutorial_lib.algorithms.soft_ppo.fine_tune",
)
ALPHA, OWN = 0.05, 0.2  # OWN is the α that the world offers


def test_claim_5_2_backprop_stands_still(claim):
    world = worlds.ring().with_reward("disc")
    policy = SteeredPolicy(world.pretrained, width=64)
    run(reward_backprop.fine_tune(policy, world.reward, alpha=ALPHA, generator=seeded(0), iterations=3, n=512))
    largest = max(float(p.grad.abs().max()) for p in policy.parameters() if p.grad is not None)
    moved = policy.shift(torch.randn(100, 2, generator=seeded(1)), 10).abs().max().item()
    claim.record(
        label="backprop, three steps of 512 paths",
        measured=f"largest gradient {largest:g}, largest shift {moved:g}",
        threshold="= 0",
        floor="exact",
        seed=0,
    )
    assert largest == 0 and moved == 0


def test_claim_5_2_ppo_optimises_it(claim):
    world = worlds.ring().with_reward("disc")
    best, own = (
        GaussianOptimum(world.pretrained, world.reward, alpha=alpha, extent=5.0, grid=101) for alpha in (ALPHA, OWN)
    )
    policy = SteeredPolicy(world.pretrained)
    run(soft_ppo.fine_tune(policy, world.reward, alpha=ALPHA, generator=seeded(0)))
    report = evaluate(policy, world.reward, alpha=ALPHA, generator=seeded(1))
    regret, learning = best.soft.regret(report), best.learning_gap(report)
    claim.record(
        label=f"PPO at its defaults, α = {ALPHA}; {report.reward:.1%} of samples in the disc",
        measured=f"regret {regret:.2%} = family {best.family_gap:.2%} + learning {learning:.2%} "
        f"(at α = {OWN} the family alone has {own.family_gap:.2%})",
        threshold="≤ 5 %",
        floor=f"{best.soft.share(report.objective_se):.2%} (1 s.e.)",
        seed=0,
    )
    assert regret <= 0.05
