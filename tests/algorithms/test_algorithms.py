"""One contract for all algorithms: what each promises, and that each comes as near the optimum as it can."""

import math

import pytest
import torch

from tutorial_lib.algorithms import path_consistency, reward_backprop, reward_weighted_mle, run, soft_ppo
from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy
from tutorial_lib.rewards import QueryCounter, peak
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import seeded
from .contract import (
    QUICK,
    REWARD,
    Constant,
    T,
    beginner,
    every,
    learned_chain,
    name,
    only_once,
    same,
    tune,
    weights,
)


@every
def test_the_same_seed_gives_the_same_policy_and_history(algorithm):
    first, second = beginner(), beginner()
    a, b = run(tune(algorithm, first)), run(tune(algorithm, second))
    assert same(weights(first), weights(second))
    assert [s.objective for s in a] == [s.objective for s in b]
    assert not same(weights(first), weights(beginner()))


@every
def test_it_stops_when_the_caller_stops(algorithm):
    policy, reward = beginner(), QueryCounter(REWARD)
    steps = tune(algorithm, policy, reward, iterations=50)
    first = next(steps)
    asked, reached = reward.queries, weights(policy)
    steps.close()
    assert (first.iteration, first.iterations, first.queries) == (1, 50, asked)
    assert reward.queries == asked and same(reached, weights(policy))
    assert not same(reached, weights(beginner()))


@every
def test_the_pretrained_policy_is_left_alone(algorithm):
    policy = beginner()
    before = weights(policy.pretrained)
    run(tune(algorithm, policy))
    assert same(before, weights(policy.pretrained))


@every
def test_steps_say_what_was_measured_and_paid(algorithm):
    policy, reward = beginner(), QueryCounter(REWARD)
    history = run(tune(algorithm, policy, reward), progress=True)
    assert [(s.iteration, s.iterations) for s in history] == [(1, 3), (2, 3), (3, 3)]
    n = QUICK[algorithm]["n"]
    assert [s.queries for s in history] == [n, 2 * n, 3 * n] and reward.queries == 3 * n
    assert history[0].kl == 0 and history[-1].kl > 0
    for step in history:
        assert step.objective == pytest.approx(step.reward - 0.5 * step.kl)
        assert math.isfinite(step.loss)
    seconds = [s.seconds for s in history]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


@every
@pytest.mark.parametrize("alpha", [0.2, 3.0])
def test_a_step_has_the_reward_and_the_kl_of_the_policys_own_paths(algorithm, alpha):
    """A constant u = (0.3, −0.1) has KL_t = 0.05 on every path; path consistency's first rows are its own."""
    asked, others = [], 0.25 if algorithm is path_consistency else 0.0
    options = dict(off_policy=others) if others else {}

    def reward(x):
        asked.append(REWARD(x.detach()))
        return REWARD(x)

    policy = SteeredPolicy(learned_chain(), Constant())
    step = next(tune(algorithm, policy, reward, alpha=alpha, **options))
    (r,) = asked
    own = r[: round(len(r) * (1 - others))]
    assert step.reward == pytest.approx(own.mean().item(), rel=1e-5)
    assert step.kl == pytest.approx(T * 0.05, rel=1e-5)
    assert step.objective == pytest.approx(own.mean().item() - alpha * T * 0.05, rel=1e-5)


def test_offline_the_kl_is_the_policys_all_the_same():
    policy = SteeredPolicy(learned_chain(), Constant())
    step = next(tune(reward_weighted_mle, policy, online=False))
    assert step.kl == pytest.approx(T * 0.05, rel=1e-5)


@every
def test_a_nan_reward_stops_it_with_the_last_good_parameters(algorithm):
    policy, calls = beginner(), []

    def breaks(x):
        calls.append(len(x))
        return REWARD(x) * (1.0 if len(calls) < 2 else math.nan)

    steps = tune(algorithm, policy, breaks)
    next(steps)
    good = weights(policy)
    with pytest.raises(ValueError, match="NaN"):
        next(steps)
    assert same(good, weights(policy)) and not same(good, weights(beginner()))


@every
def test_a_gradient_that_is_not_finite_is_not_followed(algorithm, monkeypatch):
    policy = beginner()
    before = weights(policy)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    with pytest.raises(FloatingPointError, match="learning rate"):
        next(tune(algorithm, policy))
    assert same(before, weights(policy))


@every
def test_a_reward_and_an_alpha_in_other_units_change_nothing(algorithm):
    first, second, reward = beginner(), beginner(), REWARD
    run(tune(algorithm, first, reward, alpha=0.5))
    run(tune(algorithm, second, lambda x: reward(x) / 2**14, alpha=0.5 / 2**14))
    for a, b in zip(weights(first), weights(second), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@every
def test_only_the_generator_makes_noise(algorithm):
    first, second = beginner(), beginner()
    torch.manual_seed(3)
    run(tune(algorithm, first, iterations=1))
    state = torch.get_rng_state()
    torch.manual_seed(3)
    run(tune(algorithm, second, iterations=1))
    assert torch.equal(state, torch.get_rng_state()) and same(weights(first), weights(second))


@every
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_it_runs_on_a_gpu(algorithm):
    policy = beginner(device="cuda")
    history = run(tune(algorithm, policy))
    assert math.isfinite(history[-1].objective) and next(policy.parameters()).is_cuda


BAD = [
    (dict(alpha=0.0), "alpha must be a finite number > 0, got 0.0"),
    (dict(alpha=math.nan), "alpha must be"),
    (dict(n=1), "n must be a whole number ≥ 2, got 1"),
    (dict(iterations=0), "iterations must be"),
    (dict(learning_rate=-1.0), "learning_rate must be"),
]


@every
@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_settings_are_told_so(algorithm, options, message):
    with pytest.raises(ValueError, match=message):
        next(tune(algorithm, beginner(), **options))


@every
def test_a_policy_with_nothing_to_tune_is_told_so(algorithm):
    with pytest.raises(ValueError, match="SteeredPolicy"):
        next(tune(algorithm, beginner().pretrained))


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        (soft_ppo, dict(clip=0.0), "clip must be"),
        (soft_ppo, dict(epochs=0), "epochs must be"),
        (reward_backprop, dict(last=7), "last must lie in 1..6"),
        (reward_backprop, dict(last=(3, 2)), "last must"),
        (reward_backprop, dict(last=0), "last must be a whole number ≥ 1, got 0"),
        (reward_backprop, dict(last=2.5), "last must be a whole number ≥ 1, got 2.5"),
        (path_consistency, dict(kind="vargrad", n=7), r"needs n ≥ 2·parts = 8, got n = 7"),
        (reward_weighted_mle, dict(effective=1.0), "effective must lie in"),
        (path_consistency, dict(kind="all"), "known: step, sub, return, trajectory, mixed"),
        (path_consistency, dict(off_policy=1.5), "off_policy must lie in"),
    ],
)
def test_bad_settings_of_one_algorithm(algorithm, options, message):
    with pytest.raises(ValueError, match=message):
        next(tune(algorithm, beginner(), **options))


@pytest.mark.parametrize("box", [lambda x: x.detach()[:, 0], lambda x: torch.as_tensor(x.numpy()[:, 0])])
def test_backprop_refuses_a_black_box_and_names_who_takes_it(box):
    policy = beginner()
    before = weights(policy)
    with pytest.raises(ValueError, match=r"gives no gradient.*soft_ppo, reward_weighted_mle and path_consistency"):
        next(tune(reward_backprop, policy, box))
    assert same(before, weights(policy))
    for algorithm in (soft_ppo, reward_weighted_mle, path_consistency):
        assert len(run(tune(algorithm, beginner(), box))) == 3


def test_an_error_inside_a_reward_is_not_taken_for_a_missing_gradient():
    def broken(x):
        raise RuntimeError("out of ink")

    with pytest.raises(RuntimeError, match="out of ink"):
        next(tune(reward_backprop, beginner(), broken))


@every
def test_a_whole_number_may_be_written_as_a_float(algorithm):
    n = QUICK[algorithm]["n"]
    a, b = run(tune(algorithm, beginner())), run(tune(algorithm, beginner(), n=float(n)))
    assert [step.objective for step in a] == [step.objective for step in b]


@every
def test_a_slower_policy_takes_smaller_steps_by_default_alone(algorithm):
    """Adam's first step is the learning rate itself, so the largest move of one iteration tells it."""
    largest = {}
    for pace, options in ((1.0, {}), (0.1, {}), (0.1, dict(learning_rate=1e-3))):
        policy = beginner()
        policy.pace, before = pace, weights(policy)
        run(tune(algorithm, policy, **only_once(algorithm), **options))
        gaps = [(a - b).abs().max().item() for a, b in zip(weights(policy), before, strict=True)]
        largest[pace, *options] = max(gaps)
    usual = 1e-2 if algorithm is reward_backprop else 4e-3
    assert list(largest.values()) == pytest.approx([usual, usual / 10, 1e-3], rel=1e-2)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (soft_ppo, dict(iterations=60)),
        (soft_ppo, dict(iterations=60, baseline=False)),
        (reward_backprop, dict(iterations=80)),
        (reward_backprop, dict(iterations=80, last=(5, 20))),
        (reward_weighted_mle, dict(iterations=8)),
        (reward_weighted_mle, dict(iterations=4, online=False, n=4096)),
        (path_consistency, dict(iterations=60)),
        (path_consistency, dict(iterations=60, kind="vargrad")),
        (path_consistency, dict(iterations=60, kind="step")),
        (path_consistency, dict(iterations=60, kind="trajectory")),
        (path_consistency, dict(iterations=60, off_policy=0.5, replay=4)),
        (path_consistency, dict(iterations=15, replay=15, passes=4)),
    ],
    ids=name,
)
def test_every_variant_moves_towards_the_optimum(algorithm, options):
    """One Gaussian, where J* has a closed form: the tilt by a quadratic reward at x_0 (T = 20)."""
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.6]))
    schedule = NoiseSchedule.cosine(20)
    policy = SteeredPolicy(DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule))
    reward, defaults = peak((1.0, 0.0)), {k: 128 for k in ("n",) if "n" not in options}
    run(algorithm.fine_tune(policy, reward, alpha=0.5, generator=seeded(2), **defaults, **options))
    report, before = (
        evaluate(p, reward, alpha=0.5, n=20_000, generator=seeded(3)) for p in (policy, policy.pretrained)
    )
    precision, shift = 1 / 0.36 + 2 / 0.5, 2 / 0.5  # of p_r; exp(r/α) = exp(−2‖x − c‖²)
    log_z = 2 * math.log(0.36**-0.5 / precision**0.5) - 2 + shift**2 / (2 * precision)
    regret = (0.5 * log_z - report.objective) / (0.5 * log_z - before.objective)
    assert regret < (0.08 if options == dict(iterations=8) else 0.05)  # 0.02 is what steps of T = 20 cannot reach
