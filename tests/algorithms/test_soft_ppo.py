"""Soft PPO: its loss, its advantages and one whole iteration against sums written out."""

import math

import pytest
import torch

from tutorial_lib.algorithms import ValueNetwork, soft_ppo
from tutorial_lib.policies import rollout

from ..oracles import seeded
from .contract import REWARD, T, along, gradient, moved, only_once, slope, tune

N, ALPHA = 16, 0.5


def test_advantages_are_the_discounted_sum_of_residuals():
    g = seeded(0)
    values, ratios = torch.randn(5, 3, generator=g), torch.randn(5, 3, generator=g)
    found = soft_ppo.advantages(values, ratios, lam=0.9)
    for t in range(1, 5):
        expected = sum(0.9 ** (t - s) * (values[s - 1] - ratios[s] - values[s]) for s in range(1, t + 1))
        torch.testing.assert_close(found[t], expected)
    assert not found[0].any()


def test_without_a_critic_the_others_mean_stands_in():
    """By hand: 1 − (2 + 6)/2, 2 − (1 + 6)/2, 6 − (1 + 2)/2."""
    ahead = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])
    assert soft_ppo.leave_one_out(ahead).tolist() == [[-3.0, -1.5, 4.5], [-1.5, -1.5, 3.0]]


def test_a_standardised_advantage_has_mean_0_and_spread_1():
    assert soft_ppo.standardised(torch.tensor([1.0, 2.0, 6.0])).tolist() == pytest.approx(
        [-2 / 7**0.5, -1 / 7**0.5, 3 / 7**0.5]
    )
    assert not soft_ppo.standardised(torch.full((3,), 2.0)).any()


def test_the_clip_stops_a_ratio_that_has_gone_far_enough():
    old, new = torch.zeros(4), torch.tensor([1.0, 1.0, -1.0, -1.0], requires_grad=True)
    value = soft_ppo.loss(new, old, torch.tensor([1.0, -1.0, 1.0, -1.0]), clip=0.2)
    assert value.item() == pytest.approx(-(1.2 - math.e + math.exp(-1) - 0.8) / 4)
    value.backward()
    assert new.grad is not None and [bool(g) for g in new.grad] == [False, True, True, False]


def test_without_a_critic_an_iteration_follows_the_return_to_go():
    """−mean A_t ∇log p_θ(x_{t−1}|x_t), A_t the r/α − Σ_{s≤t} log-ratio_s that still lies ahead, less the others'."""
    policy, twin = moved(), moved()
    next(tune(soft_ppo, policy, **only_once(soft_ppo, n=N, baseline=False)))
    path = rollout(twin, N, generator=seeded(1))
    ratios = along(twin, path)
    with torch.no_grad():
        r, advantage = REWARD(path.x_0) / ALPHA, torch.zeros(T, N)
        for t in range(1, T + 1):
            ahead = r - sum(ratios[s] for s in range(1, t + 1))
            for i in range(N):
                advantage[t - 1, i] = ahead[i] - ahead[torch.arange(N) != i].mean()
        advantage = (advantage - advantage.mean()) / advantage.std()
    by_hand = slope(-(advantage * ratios[1:]).mean(), twin)
    assert ratios.detach()[1:].std() > 0.1 and by_hand.norm() > 0
    by_hand = by_hand / by_hand.norm().clamp_min(1)
    torch.testing.assert_close(gradient(policy), by_hand, rtol=1e-2, atol=2e-4)


def test_with_a_critic_an_iteration_follows_its_advantages_and_teaches_it_the_returns(monkeypatch):
    """Untaught, it says the mean of r/α at every t ≥ 1; its own loss is ½(v_t − return_t)² in units of the spread."""
    kept: list[ValueNetwork] = []

    def critic_kept(*args, **options):
        kept.append(ValueNetwork(*args, **options))
        return kept[0]

    monkeypatch.setattr(soft_ppo, "ValueNetwork", critic_kept)
    policy, twin, generator = moved(), moved(), seeded(1)
    next(tune(soft_ppo, policy, **only_once(soft_ppo, n=N, lam=0.9)))
    critic = ValueNetwork(twin, generator=generator)
    path = rollout(twin, N, generator=generator)
    ratios = along(twin, path)
    with torch.no_grad():
        r = REWARD(path.x_0) / ALPHA
        critic.center, critic.scale = r.mean().item(), r.std().item()
        v = torch.cat([r[None], r.mean().expand(T, N)])
        residual = torch.stack([v[t - 1] - ratios[t] - v[t] for t in range(1, T + 1)])
        advantage = torch.stack(
            [torch.stack([0.9 ** (t - s) * residual[s] for s in range(t + 1)]).sum(0) for t in range(T)]
        )
    judged = torch.stack([critic(path.x[t], t) for t in range(1, T + 1)])
    missed = ((judged - (advantage + v[1:])) / r.std()).square().mean() / 2
    even = (advantage - advantage.mean()) / advantage.std()
    expected = slope(missed - (even * ratios[1:]).mean(), twin, critic)
    expected = expected / expected.norm().clamp_min(1)
    torch.testing.assert_close(torch.cat([gradient(policy), gradient(kept[0])]), expected, rtol=1e-2, atol=2e-4)


def test_the_share_of_clipped_ratios_is_told():
    """At the old parameters every ratio is one; far away from them nearly none is within 1 ± clip."""
    step = next(tune(soft_ppo, moved(), **only_once(soft_ppo)))
    assert step.extra == {"clipped": 0.0}
    last = next(tune(soft_ppo, moved(), iterations=1, epochs=8, clip=1e-6, learning_rate=0.05))
    assert last.extra["clipped"] > 0.9


def test_a_critic_of_ones_own_is_trained_as_the_usual_one_is():
    usual, own, generator = moved(), moved(), seeded(1)
    options = only_once(soft_ppo, n=N)
    next(tune(soft_ppo, usual, **options))
    critic = ValueNetwork(own, generator=generator)
    before = [p.clone() for p in critic.parameters()]
    next(soft_ppo.fine_tune(own, REWARD, alpha=ALPHA, generator=generator, baseline=critic, **options))
    for a, b in zip(usual.parameters(), own.parameters(), strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, b) for a, b in zip(before, critic.parameters(), strict=True))
