"""What each method costs: bytes, queries and the reward's gradient, counted against what is known."""

from functools import partial

import pytest

from tutorial_lib import worlds
from tutorial_lib.algorithms import path_consistency, reward_backprop
from tutorial_lib.guidance import sequential_monte_carlo, value_weighted
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.metrics import kept_bytes
from tutorial_lib.notebooks.s06_3_path_consistency import cost_study, cost_view
from tutorial_lib.policies import SteeredPolicy, rollout

from ..oracles import seeded

CHAINS = [worlds.ring(T=length) for length in (6, 12, 18)]


def tuner(algorithm, **options):
    def tune(policy, reward):
        return algorithm.fine_tune(policy, reward, alpha=0.5, generator=seeded(0), iterations=3, n=16, **options)

    return tune


@pytest.fixture(scope="module")
def trained():
    return {
        algorithm: cost_study.of_training(tuner(algorithm), CHAINS, judge=lambda policy: (0.25, (0.6, 0.9)))
        for algorithm in (reward_backprop, path_consistency)
    }


def steered(pretrained, reward, n, g):
    return value_weighted.sample(pretrained, Tweedie(pretrained, reward), alpha=0.5, n=n, generator=g)


def cloud(pretrained, reward, n, g):
    return sequential_monte_carlo.sample(pretrained, Tweedie(pretrained, reward), alpha=0.5, n=n, generator=g)


def test_a_training_costs_what_it_asked(trained):
    for cost in trained.values():
        assert cost.regret == 0.25 and cost.tilt == (0.6, 0.9) and cost.queries == 48 and cost.seconds > 0
        assert cost.asked == 0 and cost.drawing > 0  # a trained policy samples without the reward


def test_the_regret_is_that_of_the_policy_trained_in_the_first_world():
    def mean(policy):
        return rollout(policy, 50, generator=seeded(3)).x_0.mean().item(), None

    policy = SteeredPolicy(CHAINS[0].pretrained)
    list(tuner(path_consistency)(policy, CHAINS[0].reward))
    assert cost_study.of_training(tuner(path_consistency), CHAINS, judge=mean).regret == mean(policy)[0]


def test_only_backprop_needs_the_gradient_and_keeps_every_step(trained):
    backprop, consistency = trained[reward_backprop], trained[path_consistency]
    assert backprop.gradient and not consistency.gradient
    short, middle, long = backprop.kept
    assert middle - short == pytest.approx(long - middle, rel=0.02) and long > 2 * short


def test_what_is_kept_is_that_of_one_iteration_in_each_world(trained):
    for world, bytes_kept in zip(CHAINS, trained[reward_backprop].kept, strict=True):
        steps = tuner(reward_backprop)(SteeredPolicy(world.pretrained), world.reward)
        assert bytes_kept == kept_bytes(partial(next, steps))


def test_guidance_costs_something_for_every_sample():
    cost = cost_study.of_guidance(steered, CHAINS, judged=(0.1, None))
    assert cost.queries == 0 and cost.seconds == 0 and cost.regret == 0.1
    assert cost.asked == 6 * cost_study.DRAWN and cost.gradient  # one value a step and sample
    assert cost.kept[0] == pytest.approx(cost.kept[2], rel=0.05)  # one step at a time
    black_box = cost_study.of_guidance(cloud, CHAINS, judged=(0.1, None))
    assert black_box.asked == 7 * cost_study.DRAWN and not black_box.gradient and black_box.kept == [0, 0, 0]


def test_the_table_has_a_line_for_each():
    trained = cost_study.Cost(0.25, (0.61, 0.9), 3072, 1.25, [2**20, 3 * 2**19], 0, 0.0091, True)
    guided = cost_study.Cost(0.531, None, 0, 0.0, [0, 0], 6000, 0.012, False)
    *head, first, second = cost_view.table(
        {"backprop": trained, "clouds": guided}, {"backprop": ("own", "reverse"), "clouds": ("none", "–")}
    ).splitlines()
    assert head[0].split() == ["really", "applied", "training", "1000", "samples"]
    assert " ".join(head[1].split()) == "regret α r² queries seconds MiB kept queries ms gradient? paths KL"
    assert " ".join(first.split()) == "backprop 25.0% 0.61 90.0% 3,072 1.2 1.0, 1.5 0 9 yes own reverse"
    assert " ".join(second.split()) == "clouds 53.1% – – none none 0.0, 0.0 6,000 12 no none –"
