"""The loop that all algorithms share: Adam and its clip by hand, the learning rate's fall, and the minibatches."""

import math

import pytest
import torch
from torch import nn

from tutorial_lib.algorithms import Training, minibatches, path_kl
from tutorial_lib.policies import SteeredPolicy, rollout

from ..oracles import seeded
from .contract import REWARD, Constant, T, learned_chain, moved


def training(iterations=10, learning_rate=0.1, alpha=0.5, helpers=()):
    policy = SteeredPolicy(learned_chain(), Constant())
    plan: dict = dict(alpha=alpha, n=4, iterations=iterations, learning_rate=learning_rate, generator=seeded(0))
    return policy, Training(policy, REWARD, helpers=helpers, **plan)


def adam(gradients, rates):
    """Where Kingma & Ba 2015's Adam goes from (0.3, −0.1), written out for each coordinate."""
    place = [0.3, -0.1]
    for i in range(2):
        m = v = 0.0
        for k, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
            m, v = 0.9 * m + 0.1 * g[i], 0.999 * v + 0.001 * g[i] ** 2
            place[i] -= rate * (m / (1 - 0.9**k)) / (math.sqrt(v / (1 - 0.999**k)) + 1e-8)
    return place


def test_descending_is_adam_on_gradients_clipped_to_norm_one():
    """Steep, gentle, steep: unclipped, the second step would vanish beside the first."""
    policy, ready = training(iterations=3)
    u, slopes = policy.control.u, [(30.0, 40.0), (0.3, -0.1), (-6.0, 8.0)]
    for _, slope in zip(ready, slopes, strict=True):
        ready.descend((u * torch.tensor(slope)).sum())
        norm = math.hypot(*slope)
        assert u.grad.tolist() == pytest.approx([g / max(norm, 1) for g in slope], rel=1e-5)
    clipped = [(0.6, 0.8), (0.3, -0.1), (-0.6, 0.8)]
    assert u.tolist() == pytest.approx(adam(clipped, [0.1, 0.1, 0.1 * 2 / 3]), rel=1e-4)


def test_the_helpers_are_trained_beside_the_policy_and_clipped_together():
    critic = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(critic.weight)
    policy, ready = training(helpers=[critic])
    for _ in ready:
        ready.descend(3 * policy.control.u[0] + 4 * critic.weight.sum())
        assert policy.control.u.grad.tolist() == pytest.approx([0.6, 0.0])
        assert (
            critic.weight.grad is not None
            and critic.weight.grad.item() == pytest.approx(0.8)
            and critic.weight.item() == pytest.approx(-0.1)
        )
        break


def test_the_learning_rate_is_constant_for_half_the_iterations_and_then_falls_to_nothing():
    _, ready = training(iterations=10, learning_rate=0.1)
    rates = [ready.optimiser.param_groups[0]["lr"] for _ in ready]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.08, 0.06, 0.04, 0.02])


def test_rewards_are_in_units_of_alpha_and_counted():
    _, ready = training(alpha=0.2)
    x = torch.randn(7, 2, generator=seeded(1))
    torch.testing.assert_close(ready.rewards(x), REWARD(x) / 0.2)
    assert ready.reward.queries == 7


def test_a_step_is_in_the_rewards_own_units():
    _, ready = training(alpha=0.2)
    for iteration in ready:
        step = ready.step(0.7, torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0.5, 1.5, 1.0]), clipped=0.3)
        assert (step.reward, step.kl, step.objective) == pytest.approx((0.6, 1.0, 0.4))
        assert (step.loss, step.iteration, step.extra) == (0.7, iteration, {"clipped": 0.3})


def test_the_path_kl_of_any_paths_is_summed_over_their_steps():
    policy = moved()
    path = rollout(policy.pretrained, 5, generator=seeded(2))
    with torch.no_grad():
        u = [
            (policy.mean(path.x[t], t) - policy.pretrained.mean(path.x[t], t)) / policy.sigma(t)
            for t in range(1, T + 1)
        ]
        expected = torch.stack([shift.square().sum(1) / 2 for shift in u]).sum(0)
    torch.testing.assert_close(path_kl(policy, path), expected, rtol=1e-3, atol=1e-4)
    assert expected.min() > 1e-3


def test_minibatches_are_even_and_leave_nobody_out():
    for n, parts in ((7, 4), (12800, 3), (3, 5)):
        dealt = minibatches(n, parts, seeded(0))
        assert torch.cat(dealt).sort().values.tolist() == list(range(n))
        assert len(dealt) == min(parts, n) and max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_minibatches_are_dealt_anew_each_time():
    g = seeded(0)
    first, second = (torch.cat(minibatches(50, 2, g)) for _ in range(2))
    assert not torch.equal(first, second) and not torch.equal(first, torch.arange(50))
