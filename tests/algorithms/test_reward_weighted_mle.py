"""Reward-weighted MLE: its loss and weights written out, and what an iteration learns from."""

import pytest
import torch

from tutorial_lib.algorithms import reward_weighted_mle, run
from tutorial_lib.policies import rollout

from ..oracles import seeded
from .contract import REWARD, T, along, beginner, gradient, moved, only_once, slope, tune

ALPHA, N = 0.5, 40


@pytest.fixture
def spied(monkeypatch):
    """What `tempered` and `loss` were given: log-weights, and (x_0, x_t, t, weight)."""
    weighed, learned = [], []
    tempered, loss = reward_weighted_mle.tempered, reward_weighted_mle.loss

    def seen_tempered(log_weights, share):
        weighed.append(log_weights)
        return tempered(log_weights, share)

    def seen_loss(policy, *seen):
        learned.append(seen)
        return loss(policy, *seen)

    monkeypatch.setattr(reward_weighted_mle, "tempered", seen_tempered)
    monkeypatch.setattr(reward_weighted_mle, "loss", seen_loss)
    return weighed, learned


def test_the_loss_is_half_the_squared_distance_from_the_steps_target():
    """Row by row: the mean that q(x_{t−1}|x_t, x_0) has, in units of σ_t from the policy's own."""
    policy, g = moved(), seeded(0)
    x_0, x_t = torch.randn(2, 5, 2, generator=g)
    t, weight = torch.tensor([1, 3, T, 2, 2]), torch.rand(5, generator=g)
    expected = torch.zeros(())
    for i in range(5):
        signal, carry, sigma = (getattr(policy.schedule, name)[t[i]] for name in ("signal", "carry", "sigma"))
        gap = policy.mean(x_t[i : i + 1], int(t[i])) - signal * x_0[i] - carry * x_t[i]
        expected = expected + weight[i] * (gap / sigma).square().sum() / 2 / 5
    torch.testing.assert_close(reward_weighted_mle.loss(policy, x_0, x_t, t, weight), expected, rtol=1e-4, atol=1e-4)


def test_the_effective_share_of_even_and_of_lone_weights():
    assert reward_weighted_mle.share_of_samples(torch.full((8,), 1 / 8)) == pytest.approx(1)
    assert reward_weighted_mle.share_of_samples(torch.tensor([0.5, 0.5, 0.0, 0.0])) == pytest.approx(0.5)
    assert reward_weighted_mle.share_of_samples(torch.tensor([1.0, 0.0, 0.0, 0.0])) == pytest.approx(0.25)


@pytest.mark.parametrize("effective", [0.05, 0.3, 0.9])
def test_tempering_reaches_the_effective_sample_size_and_no_more(effective):
    log_weights = 3 * torch.randn(1000, generator=seeded(0))
    w = reward_weighted_mle.tempered(log_weights, effective)
    assert w.sum().item() == pytest.approx(1)
    assert 1 / (1000 * w.square().sum().item()) == pytest.approx(effective, abs=1e-3)
    power = (w.log()[0] - w.log()[1]) / (log_weights[0] - log_weights[1])
    torch.testing.assert_close(w, (power * log_weights).softmax(0), rtol=1e-3, atol=1e-7)
    assert 0 < power < 1


def test_weights_that_are_even_enough_are_left_alone():
    log_weights = 0.1 * torch.randn(50, generator=seeded(0))
    torch.testing.assert_close(reward_weighted_mle.tempered(log_weights, 0.5), log_weights.softmax(0))
    torch.testing.assert_close(reward_weighted_mle.tempered(torch.zeros(10), 0.9), torch.full((10,), 0.1))


def test_online_a_path_weighs_exp_r_over_alpha_times_p_pre_over_p(spied):
    step = next(tune(reward_weighted_mle, moved(), n=N, iterations=1))
    twin = moved()
    path = rollout(twin, N, generator=seeded(1))
    with torch.no_grad():
        expected = REWARD(path.x_0) / ALPHA - along(twin, path).sum(0)
        assert along(twin, path).sum(0).std() > 0.1
    torch.testing.assert_close(spied[0][0], expected, rtol=1e-3, atol=1e-3)
    even = expected.softmax(0)
    assert step.extra["effective"] == pytest.approx(1 / (N * even.square().sum().item()), rel=1e-2)


def test_offline_the_pretrained_paths_are_kept_and_weigh_exp_r_over_alpha(spied):
    run(tune(reward_weighted_mle, moved(), n=N, iterations=3, updates=1, batch=7, online=False))
    assert [len(w) for w in spied[0]] == [N, 2 * N, 3 * N]
    x_0 = rollout(moved().pretrained, N, generator=seeded(1)).x_0
    torch.testing.assert_close(spied[0][-1][:N], REWARD(x_0) / ALPHA, rtol=1e-4, atol=1e-4)
    assert torch.equal(spied[0][1][:N], spied[0][2][:N])


def test_online_yesterdays_paths_are_forgotten(spied):
    run(tune(reward_weighted_mle, beginner(), n=N, iterations=3, updates=1, batch=7))
    assert [len(w) for w in spied[0]] == [N, N, N]


@pytest.mark.parametrize("denoised", [False, True])
def test_it_learns_from_x_0_or_from_the_policys_own_mean_of_it(denoised, spied):
    """Once the policy has moved: mean_θ(x_1), in which u_1 is not zero. A batch drawn by weight holds no other."""
    next(tune(reward_weighted_mle, moved(), n=N, **only_once(reward_weighted_mle, batch=600, denoised=denoised)))
    twin = moved()
    path = rollout(twin, N, generator=seeded(1))
    with torch.no_grad():
        own = twin.mean(path.x[1], 1) if denoised else path.x_0
    ((x_0, x_t, t, _),) = spied[1]
    gap = (x_0[:, None] - own).norm(dim=2)
    assert gap.amin(1).max() < 1e-4 and twin.shift(path.x[1], 1).norm(dim=1).min() > 0.1
    drawn = gap.argmin(1).bincount(minlength=N) / 600
    weights = reward_weighted_mle.tempered(spied[0][0], 0.1)
    assert ((drawn - weights).abs() < 4.5 * (weights * (1 - weights) / 600).sqrt() + 1e-6).all()
    assert set(t.tolist()) == set(range(1, T + 1))
    level = twin.schedule.alpha_bar[t][:, None]
    z = (x_t - level.sqrt() * x_0) / (1 - level).sqrt()
    assert z.mean().abs() < 4 / 1200**0.5 and abs(z.std() - 1) < 4 / 2400**0.5


def test_an_update_follows_the_gradient_of_the_loss(spied):
    policy, twin = moved(), moved()
    next(tune(reward_weighted_mle, policy, n=N, **only_once(reward_weighted_mle, batch=50)))
    ((x_0, x_t, t, _),) = spied[1]
    expected = slope(reward_weighted_mle.loss(twin, x_0, x_t, t), twin)
    torch.testing.assert_close(gradient(policy), expected / expected.norm().clamp_min(1), rtol=1e-3, atol=1e-5)


def test_epsilon_weights_turn_the_loss_into_that_of_the_noise():
    """Σ_t of the weighted loss of a denoiser is a multiple of ‖ε̂ − ε‖², each t alike."""
    policy, weights = moved(), reward_weighted_mle.epsilon_weights(moved().schedule)
    schedule, g = policy.schedule, seeded(0)
    x_0, noise = torch.randn(2, 6, 2, generator=g)
    ratios = []
    for t in range(1, T + 1):
        level = schedule.alpha_bar[t]
        x_t = level.sqrt() * x_0 + (1 - level).sqrt() * noise
        found = (policy.mean(x_t, t) - schedule.carry[t] * x_t) / schedule.signal[t]  # x̂_0 of the policy
        guess = (x_t - level.sqrt() * found) / (1 - level).sqrt()
        loss = reward_weighted_mle.loss(policy, x_0, x_t, torch.full((6,), t), weights[t])
        ratios.append(loss / (guess - noise).square().sum(1).mean())
    assert len(weights) == T + 1 and weights[0] == 0 and float(weights[1:].mean()) == pytest.approx(1)
    torch.testing.assert_close(torch.stack(ratios), ratios[0].expand(T), rtol=1e-3, atol=0)


def test_another_weight_of_each_time_reaches_the_loss(spied):
    per_time = torch.arange(T + 1.0)
    once = only_once(reward_weighted_mle, batch=50)
    next(tune(reward_weighted_mle, moved(), n=N, per_time=per_time, **once))
    ((_, _, t, weight),) = spied[1]
    assert torch.equal(weight, per_time[t]) and len(set(weight.tolist())) > 1
