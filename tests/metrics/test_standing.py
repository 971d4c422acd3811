"""Standings against numbers known by hand, the bank's own place on its frontier, and a bank drawn again."""

import math

import numpy as np
import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.exact import Frontier
from tutorial_lib.metrics import Standing, evaluate, policy_standing, standing, standings_table, weighted_standing
from tutorial_lib.policies import SteeredPolicy
from tutorial_lib.rewards import ink
from tutorial_lib.worlds import described, digit_images, digits_bank, digits_rewards

from ..oracles import seeded
from .brighter import Brighter, T, small_images

TUNED = Standing(0.35, 0.002, 1.5, 0.1, 2.1, 0.1, 8.2, 0.1, 2.05, 0.1)


@pytest.fixture(scope="module")
def frontier():
    return Frontier(digits_rewards()["ink"].float())


@pytest.mark.parametrize("push", [0.5, 0.2])
def test_a_policy_s_standing_is_what_it_attains(push):
    steered = SteeredPolicy(small_images(), Brighter(push))
    found = policy_standing(steered, ink, described, n=64, seed=5)
    report = evaluate(steered, ink, alpha=0.1, n=64, generator=seeded(5))
    assert (found.reward, found.reward_se) == pytest.approx((report.reward, report.reward_se), rel=1e-5)
    assert found.kl == pytest.approx(T * 64 * push**2 / 2) and found.kl_se == pytest.approx(0, abs=1e-5)


def test_variety_is_known_for_one_digit_of_each_class_and_for_blank_images():
    images = digit_images()[0]
    one_each = torch.stack([images[described(images)["label"] == k][0] for k in range(10)])
    varied = standing(one_each, torch.arange(10.0), torch.arange(10.0) / 2, described)
    assert varied.classes == pytest.approx(math.log(10), abs=1e-5) and varied.nearest == pytest.approx(0, abs=1e-2)
    error = np.arange(10).std(ddof=1) / 10**0.5
    assert (varied.reward, varied.kl) == (4.5, 2.25)
    assert (varied.reward_se, varied.kl_se) == pytest.approx((error, error / 2))
    flat = one_each.flatten(1).double()
    pairs = [(flat[i] - flat[j]).norm().item() for i in range(10) for j in range(i)]
    assert varied.apart == pytest.approx(np.mean(pairs), rel=1e-4)
    blank = standing(torch.ones(8, 1, 8, 8), torch.ones(8), torch.zeros(8), described)
    assert blank.classes == blank.apart == 0 and blank.nearest > 5


def test_the_bank_itself_stands_on_the_frontier_and_what_is_better_above_it(frontier):
    found = worlds.pretrained_standing("ink", n=64)
    assert found.reward == pytest.approx(digits_rewards()["ink"].float().mean().item()) and found.kl == found.kl_se == 0
    excess, error = found.above(frontier)
    assert excess == pytest.approx(0, abs=1e-5) and 0 < error < 1e-3
    best = frontier.at(0.02)
    lucky = Standing(best.reward + 0.1, 0.003, best.kl, 0.2, 2.0, 0.1, 8.0, 0.1, 2.0, 0.1)
    excess, error = lucky.above(frontier)
    assert excess == pytest.approx(0.1, abs=1e-5)
    assert error == pytest.approx((0.003**2 + (0.02 * 0.2) ** 2 + best.objective_se**2) ** 0.5, rel=1e-3)


def test_a_standing_is_told_with_its_share_of_the_gain(frontier):
    before = float(frontier.rewards.mean())
    gain = frontier.at(0.02).objective - before
    share, error = (0.35 - 0.02 * 1.5 - before) / gain, (0.002**2 + 0.002**2) ** 0.5 / gain
    assert TUNED.share(frontier, 0.02) == pytest.approx((share, error))
    found = {"pretrained": worlds.pretrained_standing("ink", n=64), "tuned": TUNED}
    head, first, second = standings_table(found, frontier, 0.02).splitlines()
    assert head.split() == ["reward", "KL", "(nats)", "of", "J*", "−", "J_pre", "classes", "apart", "nearest"]
    assert first.startswith("pretrained") and "0.00 ± 0.000" in first and "0% ±" in first
    told = f"0.350 ± 0.002 1.50 ± 0.100 {share:.0%} ± {error:.0%} 2.10 8.20 2.05"
    assert second.split() == ["tuned", *told.split()]


@pytest.mark.parametrize(("reward", "alpha"), [("few_labels", 0.08), ("ink", 0.02)])
def test_the_optimum_s_standing_is_that_of_a_resampled_bank(reward, alpha):
    bank, found = digits_rewards(), worlds.optimal_standing(reward, alpha)
    weights = (bank[reward].double() / alpha).softmax(0)
    chosen = torch.multinomial(weights, 20_000, replacement=True, generator=seeded(0))
    shares = bank["label"][chosen].bincount(minlength=10) / 20_000
    assert found.classes == pytest.approx(torch.special.entr(shares).sum().item(), abs=0.03)
    assert found.nearest == pytest.approx(bank["nearest"][chosen].float().mean().item(), abs=0.03)
    r = bank[reward][chosen].double()
    assert found.reward == pytest.approx(r.mean().item(), abs=4 * r.std().item() / 20_000**0.5)
    assert found.kl == pytest.approx((weights[chosen] * len(bank["label"])).log().mean().item(), abs=0.05)
    images = digits_bank()  # others than those whose rewards are kept
    with torch.no_grad():
        few = (worlds.digits().rewards[reward](images).double() / alpha).softmax(0)
    again = images[torch.multinomial(few, 400, replacement=True, generator=seeded(1))].flatten(1)
    apart = torch.cdist(again, again).sum().item() / (400 * 399)
    assert found.apart == pytest.approx(apart, abs=4 * found.apart_se * (1 + 512 / 400) ** 0.5)


def test_the_optimum_of_a_huge_alpha_is_the_bank():
    loose, before = worlds.optimal_standing("ink", 1e3), worlds.pretrained_standing("ink")
    assert loose.apart == pytest.approx(before.apart, rel=0.03) and loose.kl == pytest.approx(0, abs=1e-3)
    assert loose.classes == pytest.approx(before.classes, abs=0.02)
    assert loose.nearest == pytest.approx(before.nearest, abs=4 * before.nearest_se)


def test_weights_alone_say_what_an_optimum_looks_like():
    """Four samples of two classes, the second class worth α log 3 more: a quarter and three quarters."""
    r, labels = torch.tensor([0.0, 0.0, 1.0, 1.0]) * math.log(3), torch.tensor([0, 0, 1, 1])
    nearest, drawn = torch.tensor([1.0, 1.0, 3.0, 3.0]), torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    found = weighted_standing(Frontier(r), 1.0, dict(label=labels, nearest=nearest), drawn)
    assert found.reward == pytest.approx(0.75 * math.log(3)) and found.nearest == pytest.approx(0.25 + 2.25)
    assert found.classes == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert found.apart == pytest.approx(10 / 3)
    assert found.kl == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))


def test_unknown_rewards_and_alphas_are_told_so():
    with pytest.raises(ValueError, match="unknown reward 'taste'"):
        worlds.optimal_standing("taste", 1.0)
    with pytest.raises(ValueError, match="alpha must be a finite number > 0, got 0"):
        worlds.optimal_standing("ink", 0)
