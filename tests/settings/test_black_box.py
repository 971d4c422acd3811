"""A black box: numbers only, counted, noisy, slow, with samples it refuses; and every method that lives with it."""

import math
import time

import pytest
import torch

from tutorial_lib.algorithms import path_consistency, reward_backprop, reward_weighted_mle, soft_ppo
from tutorial_lib.settings import BlackBox, black_box

from ..algorithms.contract import REWARD, beginner, name, tune
from ..oracles import seeded

X = torch.randn(400, 2, generator=seeded(0))


def test_it_answers_with_numbers_and_counts():
    box = BlackBox(REWARD)
    x = X.clone().requires_grad_()
    assert torch.equal(box(x), REWARD(X)) and not box(x).requires_grad
    assert box.queries == 800 and box.__name__ == "black_box_peak"


def test_its_noise_is_as_asked_and_the_generators():
    first, again = (BlackBox(REWARD, noise=0.3, generator=seeded(1))(X) for _ in range(2))
    assert torch.equal(first, again)
    assert (first - REWARD(X)).std().item() == pytest.approx(0.3, rel=0.15)
    with pytest.raises(ValueError, match=r"expected a generator for noise of 0\.3, got None"):
        BlackBox(REWARD, noise=0.3)


def test_it_is_slow_by_the_sample_and_shows_a_bar_where_that_is_long(capsys, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    box = BlackBox(REWARD, seconds=0.5)
    box(X[:3])
    assert slept == [0.5] * 3 and "labels" not in capsys.readouterr().err
    box(X[:5])
    assert "5/5" in capsys.readouterr().err


def left(x):
    return x[:, 0] < 0.5


def barred():
    return BlackBox(REWARD, valid=left)


@pytest.mark.parametrize("algorithm", [soft_ppo, reward_weighted_mle, path_consistency], ids=name)
def test_never_is_lived_with(algorithm):
    policy = beginner()
    assert (barred()(X) == -math.inf).float().mean() > 0.2
    for step in tune(algorithm, policy, barred()):
        assert math.isfinite(step.loss) and math.isfinite(step.reward)
    assert all(p.isfinite().all() for p in policy.parameters())


def test_weighted_by_nothing_an_invalid_sample_is_never_learned_from():
    """Two rewards that differ beyond the wall alone, and there by what either says, train the same."""
    policies = [beginner(), beginner()]
    for policy, slope in zip(policies, (1.0, 50.0), strict=True):

        def beyond(x, slope=slope):
            return REWARD(x) - slope * (x[:, 0] - 0.5).clamp_min(0)

        box = BlackBox(beyond, valid=left)
        list(tune(reward_weighted_mle, policy, box))
    for one, other in zip(*(p.parameters() for p in policies), strict=True):
        assert torch.equal(one, other)


def test_few_valid_samples_are_enough_to_learn_from():
    """One in twenty, fewer than the share that is to be effective: they are evened out among themselves."""
    log_weights = torch.full((400,), -math.inf)
    log_weights[::20] = torch.linspace(-9, 0, 20)
    weights = reward_weighted_mle.tempered(log_weights, 0.5)
    assert weights.sum().item() == pytest.approx(1) and (weights[log_weights == -math.inf] == 0).all()
    assert reward_weighted_mle.share_of_samples(weights[::20]) == pytest.approx(0.5, abs=0.01)


def test_backpropagation_says_why_it_cannot():
    def walled(x):
        return torch.where(left(x), REWARD(x), -math.inf)

    with pytest.raises(ValueError, match="a wall has no slope to follow; soft_ppo, reward_weighted_mle"):
        next(tune(reward_backprop, beginner(), walled))
    with pytest.raises(ValueError, match="expected a differentiable reward, got black_box_peak"):
        next(tune(reward_backprop, beginner(), BlackBox(REWARD)))


@pytest.mark.parametrize("algorithm", [soft_ppo, reward_weighted_mle, path_consistency], ids=name)
def test_all_invalid_is_refused_before_anything_has_changed(algorithm):
    policy = beginner()
    box = BlackBox(REWARD, valid=lambda x: torch.zeros(len(x), dtype=torch.bool))
    with pytest.raises(ValueError, match=r"reward black_box_peak returned −∞, never, for all of \d+ samples"):
        next(tune(algorithm, policy, box))
    assert all(torch.equal(p, q) for p, q in zip(policy.parameters(), beginner().parameters(), strict=True))


def test_a_surrogate_tunes_by_the_slope_of_its_regression():
    policy, box = beginner(), BlackBox(REWARD)
    options = dict(rounds=2, per_round=60, judged=0, iterations=20, n=32)
    *_, last = black_box.surrogate(policy, box, alpha=0.5, generator=seeded(0), **options)
    assert box.queries == last.queries == 120
    assert last.steps[-1].reward > last.y[:60].mean() + 0.5
