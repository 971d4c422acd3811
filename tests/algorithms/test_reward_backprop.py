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


def test_an_iteration_along_the_paths_follows_the_gradient_of_j():
    policy, twin = moved(), moved()
    step = next(tune(reward_backprop, policy, **only_once(reward_backprop, n=16), mixed=False))
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


def mixed_best(a, b):
    """The mix k a + (1 − k) b [n, D] of least variance, by trying every k of a fine grid on [0, 1]."""
    spread = [(float((k * a + (1 - k) * b).double().var(dim=0).sum()), k) for k in torch.linspace(0, 1, 2001)]
    k = min(spread)[1]
    return k * a + (1 - k) * b


def mixed_by_hand(policy, noise, alpha):
    """The parameters' slope of the mean cost by a loop backwards in time that takes one step's Jacobian at a time."""
    schedule, n, weights = policy.schedule, noise.shape[1], list(policy.parameters())
    states, paid = [noise[T]], torch.zeros(T + 1, n)
    for t in range(T, 0, -1):
        mean = policy.mean(states[-1], t).detach()
        paid[t] = policy.kl(states[-1], t).detach()
        states.append(mean + schedule.sigma[t] * noise[t - 1])
    x = states[::-1]  # x[t]
    end = x[0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(-REWARD(end).mean() / alpha, end)
    total = [torch.zeros_like(p) for p in weights]
    for t in range(1, T + 1):  # slope is that of x_{t−1}, and is mixed before it goes through the step from x_t
        ahead = paid[1:t].sum(0) - REWARD(x[0]) / alpha
        others = torch.stack([torch.cat([ahead[:i], ahead[i + 1 :]]).mean() for i in range(n)])
        score = ((ahead - others) / schedule.sigma[t] / n)[:, None] * noise[t - 1]
        slope = mixed_best(slope, score)
        here = x[t].clone().requires_grad_()
        value = (policy.mean(here, t) * slope).sum() + policy.kl(here, t).mean()
        slope, *more = torch.autograd.grad(value, [here, *weights])
        total = [a + b for a, b in zip(total, more, strict=True)]
    return torch.cat([g.flatten() for g in total])


@pytest.mark.parametrize("alpha", [0.5, 20.0])  # the reward rules, and what was paid does
@pytest.mark.parametrize("checkpointed", [False, True])
def test_an_iteration_mixes_the_slopes_as_a_loop_by_hand_does(checkpointed, alpha):
    policy, twin, alone = moved(), moved(), moved()
    options = only_once(reward_backprop, n=16, alpha=alpha)
    next(tune(reward_backprop, policy, **options, checkpointed=checkpointed))
    next(tune(reward_backprop, alone, **options, mixed=False))
    expected = mixed_by_hand(twin, torch.randn(T + 1, 16, 2, generator=seeded(1)), alpha)
    expected = expected / expected.norm().clamp_min(1)
    torch.testing.assert_close(gradient(policy), expected, rtol=1e-2, atol=1e-3 * float(expected.norm()))
    assert not torch.allclose(gradient(policy), gradient(alone), rtol=0.05)


def test_both_estimates_have_the_same_mean():
    """Over 20,000 paths the mixed slope and the one along the paths are the same, though their weights differ."""
    noise, found = torch.randn(T + 1, 20_000, 2, generator=seeded(3)), {}
    for mix in (None, reward_backprop.TotalPropagation(moved().schedule)):
        policy = moved()
        x_0, kl = reward_backprop.sample(policy, noise, last=T, mix=mix)
        r = REWARD(x_0) / ALPHA
        if mix is not None:
            mix.total = (kl - r).detach()
            mix.spread[:, 0] = 1e9  # as if paths were wild: the score's alone is left
        found[mix is None] = slope(reward_backprop.loss(r, kl), policy)
    assert torch.nn.functional.cosine_similarity(found[True], found[False], dim=0) > 0.99
    assert float(found[False].norm() / found[True].norm()) == pytest.approx(1, abs=0.05)


def test_spreads_are_summed_over_all_batches():
    mix = reward_backprop.TotalPropagation(moved().schedule)
    z, cost, paid = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([0.5, 0.1]), torch.tensor([0.2, 0.9])
    mix.total, mix.paid = cost + paid, {2: paid}
    score = torch.tensor([[0.2, 0.0], [0.2, 0.0]]) / 0.5  # (C − C̄)/(n − 1)/σ z: the same for both paths, no variance
    quiet, wild = torch.tensor([[0.1, 0.0], [0.1, 0.0]]), torch.tensor([[3.0, 0.0], [-3.0, 0.0]])
    torch.testing.assert_close(mix.mixed(wild, 2, z, torch.tensor(0.5)), score)
    torch.testing.assert_close(mix.mixed(quiet, 2, z, torch.tensor(0.5)), score)  # the wild batch is remembered
    assert mix.spread[2].tolist() == pytest.approx([18, 0, 0]) and not mix.spread[[0, 1, 3]].any()


@pytest.mark.parametrize("D", [2, 8])
def test_nothing_is_mixed_in_where_the_cost_is_quadratic_in_the_noise(D):
    """C = g·z + ½ zᵀHz: a = g + Hz and b = C z have Cov(a, b) = Var a = tr H², so that k = 1."""
    H, g = torch.randn(D, D, generator=seeded(0)), torch.randn(D, generator=seeded(1))
    H = (H + H.mT) / 2
    mix, z = reward_backprop.TotalPropagation(moved().schedule), torch.randn(200_000, D, generator=seeded(2))
    mix.total, mix.paid = z @ g + torch.einsum("nd,de,ne->n", z, H, z) / 2, {1: torch.zeros(len(z))}
    slope = (g + z @ H) / len(z)
    mixed = mix.mixed(slope, 1, z, torch.tensor(1.0))
    along, across, both = mix.spread[1].tolist()
    assert both / along == pytest.approx(1, abs=0.05) and across > 2 * along
    assert float((mixed - slope).norm() / slope.norm()) < 0.1
