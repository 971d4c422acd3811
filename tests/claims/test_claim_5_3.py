"""A ratio that is always one: what becomes of PPO when log p_old is recomputed at each step."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributions import Normal

from tutorial_lib import worlds
from tutorial_lib.algorithms import run, soft_ppo
from tutorial_lib.denoisers import MLP, initial_weights, zero_at_start
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
EPOCHS, PARTS, CLIP = 2, 3, 0.1  # PPO's defaults


class Watched(SteeredPolicy):
    """A policy that remembers which steps it was asked about last."""

    def shift(self, x_t, t):
        self.asked = x_t, t
        return super().shift(x_t, t)


def log_prob(policy, x_t, t, x_next):
    """log N(x_{t−1}; mean, σ_t² I) by torch.distributions: [B]."""
    return Normal(policy.mean(x_t, t), policy.sigma(t)[:, None]).log_prob(x_next).sum(1)


def outside(log_ratio):
    """The share of ratios outside 1 ± clip."""
    return float((log_ratio.exp() - 1).abs().gt(CLIP).float().mean())


def train(seed, monkeypatch, *, recomputed):
    """Every Step of a run at the defaults, and the share of ratios outside 1 ± clip, by hand from the policies' own
    log-probabilities: to the one that drew the paths, in the last pass of each iteration, and to log p_old recomputed,
    at every update."""
    world = worlds.ring(T)
    policy, g = Watched(world.pretrained, width=64), seeded(seed)
    with initial_weights(seed):
        policy.get_submodule("control.network").load_state_dict(zero_at_start(MLP(2, 2, T, width=64)).state_dict())
    honest, draw, ratio_of = soft_ppo.loss, soft_ppo.record, soft_ppo.log_ratio
    seen, stored, again = SimpleNamespace(), [], []

    def record(drawn_by, n, *, generator):
        seen.drew = copy.deepcopy(drawn_by)
        return draw(drawn_by, n, generator=generator)

    def log_ratio(u, z):
        seen.z = z
        return ratio_of(u, z)

    def loss(new, old, advantage, *, clip):
        x_t, t = policy.asked
        with torch.no_grad():
            x_next = world.pretrained.mean(x_t, t) + policy.sigma(t)[:, None] * seen.z
            now, then, p_pre = (log_prob(p, x_t, t, x_next) for p in (policy, seen.drew, world.pretrained))
        stored.append(outside(now - then))
        again.append(outside(new.detach() - (now - p_pre)))
        return honest(new, now - p_pre if recomputed else old, advantage, clip=clip)

    options: dict[str, Any] = dict(alpha=world.alpha, iterations=ITERATIONS, n=PATHS, generator=g)
    with monkeypatch.context() as patch:
        for function in (record, log_ratio, loss):
            patch.setattr(soft_ppo, function.__name__, function)
        history = run(soft_ppo.fine_tune(policy, world.reward, epochs=EPOCHS, parts=PARTS, clip=CLIP, **options))
    return history, torch.tensor(stored).reshape(ITERATIONS, -1)[:, -PARTS:].mean(1), torch.tensor(again)


@pytest.mark.parametrize("seed", [0, 1])
def test_claim_5_3_a_ratio_that_is_always_one_never_clips(seed, claim, monkeypatch):
    honest, stored, _ = train(seed, monkeypatch, recomputed=False)
    slip, true, believed = train(seed, monkeypatch, recomputed=True)
    kl, wrong_kl = (max(step.kl for step in history) for history in (honest, slip))
    clipped, left = float(stored.mean()), float(true.mean())
    claim.record(
        label=f"Ring, T = {T}, {ITERATIONS} iterations of {PATHS} paths",
        measured=f"outside 1 ± {CLIP} by hand: {clipped:.0%} of ratios in PPO, {believed.max():.0%} in the slip to its "
        f"recomputed log p_old and {left:.0%} to the policy that drew the paths; largest path KL {kl:.1f} against "
        f"{wrong_kl:.0f} nats",
        threshold="slip clips 0, PPO ≥ 5 %; in truth the slip ≥ 30 %; KL ≤ 4 against ≥ 20 nats",
        floor="best policy's KL about 2 nats",
        seed=seed,
    )
    assert believed.max() == 0 and clipped >= 0.05 and left >= 0.3
    assert kl <= 4 and wrong_kl >= 20
    for history, by_hand in ((honest, stored), (slip, true)):
        assert (by_hand - torch.tensor([step.extra["clipped"] for step in history])).abs().max() <= 0.01
