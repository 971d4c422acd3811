"""Rewards from pairs: against a judge who follows one, by his own formula."""

import math

import pytest
import torch

from tutorial_lib.rewards import preferences

from ..oracles import seeded

X = 1.5 * torch.randn(2000, 2, generator=seeded(9))


def truth(x):
    return torch.sin(1.5 * x[:, 0]) + x[:, 1]


def compared(n, seed=0):
    g = seeded(seed)
    x, y = (1.5 * torch.randn(n, 2, generator=g) for _ in range(2))
    return preferences.judged(truth, x, y, generator=g)


def test_a_judge_prefers_as_often_as_the_formula_says():
    x, y = (torch.tensor([[a, b]]).repeat(20_000, 1) for a, b in ((0.3, 0.2), (-0.4, 0.1)))
    winners, losers = preferences.judged(truth, x, y, generator=seeded(1))
    chance = 1 / (1 + math.exp(-(math.sin(0.45) + 0.2 - math.sin(-0.6) - 0.1)))
    assert (winners == x).all(1).float().mean().item() == pytest.approx(chance, abs=4 * 0.5 / 20_000**0.5)
    assert torch.equal(winners + losers, x + y)


def missed(n, seed):
    """Spread of r̂ − r over X, a constant left aside, as a share of r's."""
    fitted = preferences.fit(*compared(n, seed), generator=seeded(seed))
    return ((fitted(X) - truth(X)).std() / truth(X).std()).item()


def test_the_reward_is_found_up_to_a_constant_and_better_from_more_pairs():
    few, more, many = (sum(missed(n, seed) for seed in range(3)) / 3 for n in (100, 400, 1600))
    assert few < 0.8 and more < 0.75 * few and many < 0.75 * more and many < 0.25


def test_it_has_mean_zero_over_what_was_compared_and_a_slope():
    winners, losers = compared(200)
    fitted = preferences.fit(winners, losers, generator=seeded(0))
    assert fitted(torch.cat([winners, losers])).mean().abs() < 1e-5
    x = X[:5].clone().requires_grad_()
    (slope,) = torch.autograd.grad(fitted(x).sum(), x)
    ahead, behind = (fitted(X[:5] + e) for e in (torch.tensor([1e-2, 0]), torch.tensor([-1e-2, 0])))
    torch.testing.assert_close((ahead - behind) / 2e-2, slope[:, 0], rtol=0.02, atol=0.02)


def test_the_weights_are_where_the_penalised_likelihood_is_flat():
    g = seeded(4)
    apart = torch.randn(30, 5, generator=g, dtype=torch.float64)
    w, _ = preferences.maximise(apart, 0.3)
    w = w.requires_grad_()
    loss = -torch.sigmoid(apart @ w).log().sum() + 0.15 * w.square().sum()
    assert torch.autograd.grad(loss, w)[0].abs().max() < 1e-8


def test_the_evidence_is_the_integral_over_the_weights():
    """Of one weight, by a fine sum: Laplace's is within 0.05."""
    apart = torch.randn(40, 1, generator=seeded(4), dtype=torch.float64)
    _, found = preferences.maximise(apart, 0.3)
    w = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    log_joint = torch.sigmoid(apart * w).log().sum(0) - 0.15 * w.square() + 0.5 * math.log(0.3 / (2 * math.pi))
    assert found == pytest.approx(float(log_joint.logsumexp(0) + math.log(16 / 20_000)), abs=0.05)


@pytest.mark.parametrize(
    ("winners", "losers", "message"),
    [
        (torch.zeros(3, 2), torch.ones(4, 2), r"of one shape \[N, …\], got \[3, 2\] and \[4, 2\]"),
        (torch.zeros(1, 2), torch.ones(1, 2), "expected two pairs or more, got 1"),
        (torch.zeros(3, 2), torch.eye(3)[:, :2], "got a tie in 1 of 3, the first at 2; leave ties out"),
        (torch.full((3, 2), math.nan), torch.ones(3, 2), "winners must be finite"),
    ],
)
def test_bad_pairs_are_refused(winners, losers, message):
    with pytest.raises(ValueError, match=message):
        preferences.fit(winners, losers, generator=seeded(0))
    with pytest.raises(ValueError, match=r"pairs of one shape, got \[3, 2\] and \[4, 2\]"):
        preferences.judged(truth, torch.zeros(3, 2), torch.zeros(4, 2), generator=seeded(0))
