"""Soft PPO's first step against the true gradient of J, and where training ends on Ring."""

import copy
from types import SimpleNamespace

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import reward_backprop, run, soft_ppo
from tutorial_lib.exact import GaussianOptimum
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import SteeredPolicy

from ..oracles import seeded
from ..shared import shared

CLAIM = dict(
    number="5.1",
    section="§5.1",
    statement="Soft PPO's first step follows the true gradient of J, though it never sees ∇r: on a large batch it "
    "points where reward backpropagation's does. At its defaults it reaches the optimum of Ring",
    notebook="05_1_soft_ppo",
    function="tutorial_lib.algorithms.soft_ppo.fine_tune",
)
BATCHES, PATHS, T, PUSHED = 2, 4096, 20, 0.02
cosine = torch.nn.functional.cosine_similarity


def steps(algorithm, policy, world, seed, **options):
    """The gradient of the first step on each of BATCHES fresh batches: [BATCHES, parameters]."""
    gradients = []
    for batch in range(BATCHES):
        tuned, g = copy.deepcopy(policy), seeded(seed + batch)
        next(algorithm.fine_tune(tuned, world.reward, alpha=world.alpha, generator=g, n=PATHS, **options))
        gradients.append(torch.cat([p.grad.flatten() for p in tuned.parameters()]))
    return torch.stack(gradients)


@pytest.mark.parametrize("start", ["pretrained", "perturbed"])
def test_claim_5_1_the_first_step_follows_the_true_gradient(start, claim):
    """At θ = 0 only the last layer has a gradient; perturbed, every layer has."""
    world = worlds.ring(T)
    policy = SteeredPolicy(world.pretrained, width=64)
    if start == "perturbed":
        torch.nn.init.normal_(policy.get_parameter("control.network.last.weight"), std=PUSHED, generator=seeded(1))
    ppo = steps(soft_ppo, policy, world, 100, epochs=1, parts=1, baseline=False)
    backprop = steps(reward_backprop, policy, world, 200, mixed=False)
    half = BATCHES // 2
    both, floor_ppo, floor_backprop = (
        float(cosine(a.mean(0), b.mean(0), dim=0))
        for a, b in ((ppo, backprop), (ppo[:half], ppo[half:]), (backprop[:half], backprop[half:]))
    )
    claim.record(
        label=f"first step of a {start} policy, {BATCHES * PATHS:,} paths each, T = {T}",
        measured=f"cosine {both:.4f}",
        threshold="≥ 0.99",
        floor=f"two halves of the batch: PPO {floor_ppo:.4f}, backprop {floor_backprop:.4f}",
        seed=0,
    )
    assert both >= 0.99


@pytest.fixture(scope="module")
def ring():
    world = worlds.ring()
    best = shared(GaussianOptimum, world.pretrained, world.reward, alpha=world.alpha, extent=5.0, grid=121)
    return SimpleNamespace(world=world, best=best)


@pytest.mark.parametrize("seed", [0, 1])
def test_claim_5_1_it_ends_at_the_optimum_of_ring(seed, ring, claim):
    policy = SteeredPolicy(ring.world.pretrained, generator=seeded(seed))
    reward, alpha = ring.world.reward, ring.world.alpha
    history = run(soft_ppo.fine_tune(policy, reward, alpha=alpha, generator=seeded(seed)))
    report = evaluate(policy, reward, alpha=alpha, generator=seeded(10 + seed))
    regret, learning = ring.best.soft.regret(report), ring.best.learning_gap(report)
    claim.record(
        label=f"Ring at the defaults, {history[-1].queries:,} queries",
        measured=f"regret {regret:.2%} = family {ring.best.family_gap:.2%} + learning {learning:.2%}",
        threshold="regret ≤ 2 %, learning ≤ 1.5 %",
        floor=f"{ring.best.soft.share(report.objective_se):.2%} (1 s.e.)",
        seed=seed,
    )
    assert regret <= 0.02 and learning <= 0.015
