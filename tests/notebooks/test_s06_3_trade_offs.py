"""What each method costs: bytes, queries and the reward's gradient, counted against what is known."""

import pytest

from tutorial_lib import worlds
from tutorial_lib.algorithms import path_consistency, reward_backprop
from tutorial_lib.guidance import sequential_monte_carlo, value_weighted
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.notebooks.s06_3_path_consistency import trade_offs_study
from tutorial_lib.policies import SteeredPolicy

from ..oracles import seeded

CHAINS = [worlds.ring(T=length) for length in (6, 12, 18)]


def tuner(algorithm, **options):
    def tune(policy, reward):
        return algorithm.fine_tune(policy, reward, alpha=0.5, generator=seeded(0), iterations=3, n=16, **options)

    return tune


@pytest.fixture(scope="module")
def trained():
    return {
        algorithm: trade_offs_study.of_training(
            tuner(algorithm), CHAINS, begin=SteeredPolicy, regret=lambda policy: 0.25
        )
        for algorithm in (reward_backprop, path_consistency)
    }


def steered(pretrained, reward, n, g):
    return value_weighted.sample(pretrained, Tweedie(pretrained, reward), alpha=0.5, n=n, generator=g)


def cloud(pretrained, reward, n, g):
    return sequential_monte_carlo.sample(pretrained, Tweedie(pretrained, reward), alpha=0.5, n=n, generator=g)


def test_a_training_is_billed_for_what_it_asked(trained):
    for bill in trained.values():
        assert bill.regret == 0.25 and bill.queries == 48 and bill.seconds > 0
        assert bill.asked == 0 and bill.drawing > 0  # a trained policy samples without the reward


def test_only_backprop_needs_the_gradient_and_keeps_every_step(trained):
    backprop, consistency = trained[reward_backprop], trained[path_consistency]
    assert backprop.gradient and not consistency.gradient
    short, middle, long = backprop.kept
    assert middle - short == pytest.approx(long - middle, rel=0.02) and long > 2 * short


def test_guidance_is_billed_for_every_sample():
    bill = trade_offs_study.of_guidance(steered, CHAINS, regret=0.1)
    assert bill.queries == 0 and bill.seconds == 0 and bill.regret == 0.1
    assert bill.asked == 6 * trade_offs_study.DRAWN and bill.gradient  # one value a step and sample
    assert bill.kept[0] == pytest.approx(bill.kept[2], rel=0.05)  # one step at a time
    black_box = trade_offs_study.of_guidance(cloud, CHAINS, regret=0.1)
    assert black_box.asked == 7 * trade_offs_study.DRAWN and not black_box.gradient and black_box.kept == [0, 0, 0]


def test_the_table_has_a_line_for_each(trained):
    bills = {"backprop": trained[reward_backprop], "guided": trade_offs_study.of_guidance(steered, CHAINS, regret=0.1)}
    lines = trade_offs_study.table(bills, {"backprop": ("own", "reverse"), "guided": ("none", "–")}).splitlines()
    assert len(lines) == 4 and "25.0%" in lines[2] and "48" in lines[2] and lines[2].endswith("reverse")
    assert "10.0%" in lines[3] and "none     none" in lines[3] and "6,000" in lines[3]
