"""Reward backpropagation: the sampler against a loop by hand, and what truncation and checkpoints change."""

import pytest
import torch

from tutorial_lib.algorithms import reward_backprop, run

from ..oracles import seeded
from .contract import REWARD, T, gradient, moved, only_once, slope, tune

ALPHA = 0.5
NOISE = torch.randn(T + 1, 8, 2, generator=seeded(0))


def by_hand(policy, noise, last=T):
    """x_{t−1} = mean_θ(x_t) + σ_t z_{t−1} from x_T = z_T, and Σ_t of the steps' KL; nothing learns before x_last."""
    schedule, x, kl = policy.schedule, noise[T], torch.zeros(noise.shape[1])
    for t in range(T, 0, -1):
        x = x.detach() if t == last else x
        mean, before = policy.mean(x, t), policy.pretrained.mean(x, t)
        paid = ((mean - before) / schedule.sigma[t]).square().sum(1) / 2
        kl = kl + (paid if t <= last else paid.detach())
        x = mean + schedule.sigma[t] * noise[t - 1]
    return x, kl


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("last", [1, 2, T])
def test_the_sampler_is_the_loop_by_hand_and_so_is_its_gradient(last, checkpointed):
    policy, twin = moved(), moved()
    x_0, kl = reward_backprop.sample(policy, NOISE, last=last, checkpointed=checkpointed)
    expected, paid = by_hand(twin, NOISE, last)
    torch.testing.assert_close(x_0, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(kl, paid, rtol=1e-3, atol=1e-4)
    assert paid.min() > 1e-3
    ours, theirs = (
        slope(c.mean() - REWARD(x).mean() / ALPHA, p) for p, x, c in ((policy, x_0, kl), (twin, expected, paid))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3 * float(theirs.abs().max()))


def test_the_loss_is_minus_j_in_units_of_alpha():
    assert reward_backprop.loss(torch.tensor([1.0, 4.0]), torch.tensor([0.5, 1.5])).item() == pytest.approx(-1.5)


def test_an_iteration_follows_the_gradient_of_j():
    policy, twin = moved(), moved()
    step = next(tune(reward_backprop, policy, **only_once(reward_backprop, n=16)))
    x_0, kl = by_hand(twin, torch.randn(T + 1, 16, 2, generator=seeded(1)))
    loss = (kl - REWARD(x_0) / ALPHA).mean()
    expected = slope(loss, twin)
    torch.testing.assert_close(gradient(policy), expected / expected.norm().clamp_min(1), rtol=1e-2, atol=1e-3)
    assert (step.loss, step.kl) == pytest.approx((loss.item(), kl.mean().item()), rel=1e-3)


def test_truncation_changes_what_is_learned_and_not_what_is_drawn():
    gradients = {}
    for last in (T, 2):
        policy = moved()
        x_0, kl = reward_backprop.sample(policy, NOISE, last=last)
        gradients[last] = slope(reward_backprop.loss(REWARD(x_0), kl), policy), x_0.detach()
    assert torch.equal(gradients[T][1], gradients[2][1])
    assert not torch.allclose(gradients[T][0], gradients[2][0], rtol=0.1)


def test_a_pair_of_depths_is_a_range_to_draw_from():
    steps = run(tune(reward_backprop, moved(), last=(2, 4), iterations=40, n=2))
    assert {step.extra["last"] for step in steps} == {2, 3, 4}
    (alone,) = run(tune(reward_backprop, moved(), last=3, iterations=1))
    (whole,) = run(tune(reward_backprop, moved(), iterations=1))
    assert (alone.extra["last"], whole.extra["last"]) == (3, T)
