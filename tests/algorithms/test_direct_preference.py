"""Preferences straight into the chain: paths by noising, a loss that sees differences alone, and what it learns."""

import math

import pytest
import torch

from tutorial_lib.algorithms import direct_preference, run
from tutorial_lib.policies import rollout
from tutorial_lib.rewards import preferences

from ..oracles import seeded
from .contract import REWARD, along, beginner, moved, same, slope, weights


def compared(policy, n=200, seed=0):
    g = seeded(seed)
    x, y = (rollout(policy.pretrained, n, generator=g).x_0 for _ in range(2))
    return preferences.judged(REWARD, x, y, generator=g)


def test_paths_are_noised_as_the_schedule_says_winner_and_loser_alike():
    """Each end's moments at every t; and the part that is noise, x_t − √ᾱ_t x_0, is the same in both."""
    schedule = beginner().schedule
    ends = [torch.randn(1, 2, generator=seeded(seed)).repeat(20_000, 1) for seed in (1, 2)]
    path = direct_preference.noised(schedule, *ends, generator=seeded(3))
    torch.testing.assert_close(path.x_0, torch.cat(ends))
    for t in range(1, path.T + 1):
        level, noises = schedule.alpha_bar[t].item(), []
        for x, x_0 in zip(path.x[t].chunk(2), ends, strict=True):
            noises.append(x - math.sqrt(level) * x_0)
            torch.testing.assert_close(noises[-1].mean(0), torch.zeros(2), rtol=0, atol=0.04)
            torch.testing.assert_close(noises[-1].var(0), torch.full((2,), 1 - level), rtol=0.05, atol=1e-3)
        torch.testing.assert_close(*noises, rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_formulas():
    winner, loser = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 1.0])
    expected = -(math.log(1 / (1 + math.exp(-0.5))) + math.log(1 / (1 + math.exp(3.0)))) / 2
    assert direct_preference.loss(winner, loser).item() == pytest.approx(expected, rel=1e-6)
    assert direct_preference.loss(winner + 7, loser + 7).item() == pytest.approx(expected, rel=1e-5)


def test_its_first_step_follows_the_pairs_written_out(monkeypatch):
    policy = moved()
    winners, losers = compared(policy, 12)
    found = {}

    def descend(self, loss):
        found["slope"] = slope(loss, policy)

    monkeypatch.setattr("tutorial_lib.algorithms.loop.Training.descend", descend)
    next(direct_preference.fine_tune(policy, winners, losers, alpha=0.5, generator=seeded(3), n=12))
    g = seeded(3)
    chosen = torch.randperm(12, generator=g)
    path = direct_preference.noised(policy.schedule, winners[chosen], losers[chosen], generator=g)
    ratios = along(policy, path).sum(0)
    by_hand = (1 + (-0.5 * (ratios[:12] - ratios[12:])).exp()).log().mean()
    torch.testing.assert_close(found["slope"], slope(by_hand, policy), rtol=1e-3, atol=1e-5)


def test_it_learns_to_tell_pairs_it_has_not_seen_and_leaves_the_pretrained_alone():
    policy = beginner()
    before = weights(policy.pretrained)
    winners, losers = compared(policy, 400)
    history = run(direct_preference.fine_tune(policy, winners, losers, alpha=0.5, generator=seeded(1), iterations=60))
    new_winners, new_losers = compared(policy, 400, seed=7)
    path = direct_preference.noised(policy.schedule, new_winners, new_losers, generator=seeded(5))
    winner, loser = policy.log_ratio(path).sum(0).detach().chunk(2)
    told = preferences.judged(REWARD, new_winners, new_losers, generator=seeded(8))[0]
    limit = (told == new_winners).all(1).float().mean()  # how often the judge agrees with himself
    assert (winner > loser).float().mean() > 0.5 + 0.5 * (limit - 0.5) and same(before, weights(policy.pretrained))
    assert history[0].objective == pytest.approx(math.log(0.5), abs=1e-6)
    assert history[-1].objective > math.log(0.5) + 0.05
    assert history[-1].kl > 10 * history[0].kl and history[-1].extra["right"] > 0.6


def test_bad_pairs_are_refused():
    x = torch.randn(4, 2)
    with pytest.raises(ValueError, match="got a tie in 4 of 4"):
        next(direct_preference.fine_tune(beginner(), x, x, alpha=0.5, generator=seeded(0)))
