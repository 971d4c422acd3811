"""Rounds of query, fit and tune: what is bought, what is remembered, and a run that goes on where it was killed."""

import math

import pytest
import torch

from tutorial_lib.algorithms import reward_backprop, soft_ppo
from tutorial_lib.policies import rollout
from tutorial_lib.rewards import QueryCounter
from tutorial_lib.settings import online

from ..algorithms.contract import REWARD, beginner, same, weights
from ..oracles import seeded

QUICK = dict(alpha=0.5, rounds=3, per_round=20, judged=50, iterations=4, n=16)


def rounds(policy=None, oracle=REWARD, algorithm=reward_backprop, seed=0, **options):
    return online.run(algorithm, policy or beginner(), oracle, generator=seeded(seed), **{**QUICK, **options})


def test_each_round_buys_its_labels_and_learns_from_all_of_them():
    oracle = QueryCounter(REWARD)
    found = list(rounds(oracle=oracle))
    assert [(r.number, r.rounds, r.queries, len(r.x)) for r in found] == [
        (1, 3, 20, 20),
        (2, 3, 40, 40),
        (3, 3, 60, 60),
    ]
    assert oracle.queries == 3 * (20 + 50)
    assert torch.equal(found[-1].x[:20], found[0].x) and torch.equal(found[-1].y, REWARD(found[-1].x))
    assert torch.equal(found[0].x, rollout(beginner(), 20, generator=seeded(0)).x_0)
    assert [len(r.steps) for r in found] == [4, 4, 4]


def test_a_round_keeps_its_policy_and_the_one_given_goes_on():
    policy = beginner()
    kept = [(r.policy, weights(policy)) for r in rounds(policy)]
    assert all(same(weights(frozen), then) for frozen, then in kept)
    assert not same(*(then for _, then in kept[:2])) and kept[0][0].pretrained is policy.pretrained


def test_the_true_reward_is_the_oracles_of_fresh_samples_of_the_tuned_policy():
    (only,) = rounds(rounds=1, judged=4000, iterations=30, n=64)
    fresh = REWARD(rollout(only.policy, 20_000, generator=seeded(5)).x_0)
    assert abs(only.true_reward - fresh.mean().item()) < 4 * only.true_reward_se
    assert only.true_reward_se == pytest.approx(fresh.std().item() / 4000**0.5, rel=0.1)
    (own,) = rounds(rounds=1, judged=0)
    assert own.true_reward == pytest.approx(own.y.mean().item())


@pytest.mark.parametrize(("strategy", "sign"), [("greedy", 0), ("optimistic", 2), ("pessimistic", -2)])
def test_a_strategy_is_a_sign_of_the_deviation(strategy, sign):
    (only,) = rounds(rounds=1, strategy=strategy, strength=2.0)
    torch.testing.assert_close(only.reward(only.x), only.learned(only.x) + sign * only.learned.std(only.x))


def test_the_kl_to_the_last_round_is_a_memory_of_its_reward():
    """R_3 = b_3 + s (b_2 + s b_1), b_i = r̂_i + ĝ_i, s = β/(α + β): the optimum of each round, unrolled."""
    found = list(rounds(beta=1.0))
    x, s = found[-1].x, 1.0 / 1.5
    bonus = [r.learned(x) + r.learned.std(x) for r in found]
    torch.testing.assert_close(found[-1].reward(x), bonus[2] + s * (bonus[1] + s * bonus[0]))


def test_the_algorithm_is_asked_at_the_whole_kl_weight():
    seen = []

    def fine_tune(policy, reward, **options):
        seen.append(options)
        return iter(())

    list(rounds(algorithm=fine_tune, beta=1.0, rounds=1))
    (options,) = seen
    assert options["alpha"] == 1.5 and options["iterations"] == 4 and options["n"] == 16


@pytest.mark.parametrize("algorithm", [reward_backprop, soft_ppo])
def test_a_killed_run_goes_on_with_the_same_numbers(tmp_path, algorithm):
    whole = list(rounds(algorithm=algorithm, beta=0.5))
    for number, _ in enumerate(rounds(algorithm=algorithm, beta=0.5, store=tmp_path), 1):
        if number == 2:
            break  # killed, after the second round was kept
    policy = beginner(seed=0)
    again = list(rounds(policy, algorithm=algorithm, beta=0.5, store=tmp_path))
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y) and one.true_reward == other.true_reward
        assert same(weights(one.policy), weights(other.policy))
        assert torch.equal(one.reward(one.x), other.reward(one.x))
        assert [s.objective for s in one.steps] == [s.objective for s in other.steps]
    assert same(weights(policy), weights(whole[-1].policy))


def test_a_store_of_another_run_is_refused(tmp_path):
    list(rounds(rounds=1, store=tmp_path))
    with pytest.raises(ValueError, match=r"round_001.safetensors to be of a run with .*\"alpha\": 0.7"):
        list(rounds(rounds=1, alpha=0.7, store=tmp_path))
    with pytest.raises(ValueError, match=r"algorithms\.reward_backprop\.fine_tune"):
        list(rounds(rounds=1, algorithm=soft_ppo, store=tmp_path))
    assert len(list(rounds(rounds=2, store=tmp_path))) == 2  # more rounds are no other run


@pytest.mark.parametrize("stored", [True, False])
def test_an_oracle_that_fails_leaves_the_rounds_before(tmp_path, stored):
    asked = []

    def breaks(x):
        asked.append(len(x))
        if len(asked) == 5:
            raise OSError("the plate reader is off")
        return REWARD(x)

    options = dict(store=tmp_path) if stored else {}
    found: list[online.Round] = []
    policy = beginner()
    with pytest.raises(RuntimeError, match=r"failed in round 3: the plate reader is off. The rounds before it") as told:
        found.extend(r for r in rounds(policy, breaks, **options))
    assert ("run again with the same store" in str(told.value)) == stored
    if stored:
        assert len(list(rounds(beginner(), REWARD, **options))) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(strategy="bold"), "unknown strategy 'bold'; known: greedy, optimistic, pessimistic"),
        (dict(rounds=0), "rounds must be a whole number ≥ 1, got 0"),
        (dict(per_round=1), "per_round must be a whole number ≥ 2, got 1"),
        (dict(alpha=0.0), "alpha must be a finite number > 0"),
        (dict(beta=-1.0), "beta must be a finite number ≥ 0"),
        (dict(strength=math.nan), "strength must be a finite number ≥ 0"),
        (dict(judged=-1), "judged must be a whole number ≥ 0"),
    ],
)
def test_bad_settings_are_refused_at_the_call(options, message):
    with pytest.raises(ValueError, match=message):
        rounds(**options)
