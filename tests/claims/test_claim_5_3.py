"""A ratio that is always one: what becomes of PPO when log p_old is recomputed at each step."""

from typing import Any

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import run, soft_ppo
from tutorial_lib.policies import SteeredPolicy

from ..oracles import seeded

CLAIM = dict(
    number="5.3",
    section="§5.1",
    statement="PPO whose old log-probabilities are recomputed each step has a ratio that is always 1 and a clip that "
    "never acts; nothing holds its updates, and where PPO learns its path KL runs away",
    notebook="05_1_soft_ppo",
    function="tutorial_lib.algorithms.soft_ppo.loss",
)
T, ITERATIONS, PATHS = 20, 40, 128


def train(seed):
    """(the largest path KL, the mean share of ratios that have really left 1 ± clip) of a run at the defaults."""
    world = worlds.ring(T)
    torch.manual_seed(seed)
    policy, g = SteeredPolicy(world.pretrained, width=64), seeded(seed)
    options: dict[str, Any] = dict(alpha=world.alpha, iterations=ITERATIONS, n=PATHS, generator=g)
    history = run(soft_ppo.fine_tune(policy, world.reward, **options))
    return max(step.kl for step in history), sum(step.extra["clipped"] for step in history) / ITERATIONS


@pytest.mark.parametrize("seed", [0, 1])
def test_claim_5_3_a_ratio_that_is_always_one_never_clips(seed, claim, monkeypatch):
    honest, believed = soft_ppo.loss, []

    def slipped(new, old, advantage, *, clip):
        ratio = (new - new.detach()).exp()
        believed.append(float((ratio - 1).abs().gt(clip).float().mean()))
        return honest(new, new.detach(), advantage, clip=clip)

    kl, clipped = train(seed)
    monkeypatch.setattr(soft_ppo, "loss", slipped)
    wrong_kl, outside = train(seed)
    claim.record(
        label=f"Ring, T = {T}, {ITERATIONS} iterations of {PATHS} paths",
        measured=f"clipped: {clipped:.0%} of ratios in PPO, {max(believed):.0%} in the slip, whose true ratios are "
        f"outside for {outside:.0%}; largest path KL {kl:.1f} against {wrong_kl:.0f} nats",
        threshold="slip clips 0, PPO ≥ 5 %; KL ≤ 4 against ≥ 20 nats",
        floor="best policy's KL about 2 nats",
        seed=seed,
    )
    assert max(believed) == 0 and clipped >= 0.05
    assert kl <= 4 and wrong_kl >= 20
