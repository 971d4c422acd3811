"""One contract for all algorithms, and each pure loss against its definition written out."""

import copy
import inspect
import math
from typing import Any

import pytest
import torch

from tutorial_lib.algorithms import minibatches, path_consistency, reward_backprop, reward_weighted_mle, run, soft_ppo
from tutorial_lib.denoisers import ExactDenoiser, MLPDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy
from tutorial_lib.rewards import QueryCounter, peak
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import seeded

QUICK: dict[Any, dict] = {
    soft_ppo: dict(iterations=3, n=32),
    reward_backprop: dict(iterations=3, n=16),
    reward_weighted_mle: dict(iterations=3, n=64, updates=4, batch=64),
    path_consistency: dict(iterations=3, n=32),
}


def name(value):
    return value.__name__.rpartition(".")[2] if hasattr(value, "__name__") else str(value)


every = pytest.mark.parametrize("algorithm", QUICK, ids=name)


def tunable(seed=0, device="cpu", T=6):
    """A policy around a learned denoiser, so that there are pretrained weights to leave alone."""
    torch.manual_seed(seed)
    schedule = NoiseSchedule.cosine(T, device=device)
    return SteeredPolicy(DenoisingPolicy(MLPDenoiser(schedule).to(device), schedule))


def tune(algorithm, policy, reward=None, **options):
    device = policy.schedule.sigma.device
    options = {"alpha": 0.5, "generator": torch.Generator(device).manual_seed(1), **QUICK[algorithm], **options}
    return algorithm.fine_tune(policy, reward or peak((1.0, 0.0)), **options)


def parameters(algorithm):
    return inspect.signature(algorithm.fine_tune).parameters


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@every
def test_the_same_seed_gives_the_same_policy_and_history(algorithm):
    first, second = tunable(), tunable()
    a, b = run(tune(algorithm, first)), run(tune(algorithm, second))
    assert same(weights(first), weights(second))
    assert [s.objective for s in a] == [s.objective for s in b]
    assert not same(weights(first), weights(tunable()))


@every
def test_it_stops_when_the_caller_stops(algorithm):
    policy, reward = tunable(), QueryCounter(peak((1.0, 0.0)))
    steps = tune(algorithm, policy, reward, iterations=50)
    first = next(steps)
    asked, reached = reward.queries, weights(policy)
    steps.close()
    assert (first.iteration, first.iterations, first.queries) == (1, 50, asked)
    assert reward.queries == asked and same(reached, weights(policy))
    assert not same(reached, weights(tunable()))


@every
def test_the_pretrained_policy_is_left_alone(algorithm):
    policy = tunable()
    before = weights(policy.pretrained)
    run(tune(algorithm, policy))
    assert same(before, weights(policy.pretrained))


@every
def test_steps_say_what_was_measured_and_paid(algorithm):
    policy, reward = tunable(), QueryCounter(peak((1.0, 0.0)))
    history = run(tune(algorithm, policy, reward), progress=True)
    assert [s.iteration for s in history] == [1, 2, 3]
    assert history[-1].queries == reward.queries == 3 * QUICK[algorithm]["n"]
    assert history[0].kl == 0 and history[-1].kl > 0
    for step in history:
        assert step.objective == pytest.approx(step.reward - 0.5 * step.kl)
        assert math.isfinite(step.loss)
    seconds = [s.seconds for s in history]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


@every
def test_a_nan_reward_stops_it_with_the_last_good_parameters(algorithm):
    policy, calls = tunable(), []

    def breaks(x):
        calls.append(len(x))
        return peak((1.0, 0.0))(x) * (1.0 if len(calls) < 2 else math.nan)

    steps = tune(algorithm, policy, breaks)
    next(steps)
    good = weights(policy)
    with pytest.raises(ValueError, match="NaN"):
        next(steps)
    assert same(good, weights(policy)) and not same(good, weights(tunable()))


@every
def test_a_gradient_that_is_not_finite_is_not_followed(algorithm, monkeypatch):
    policy = tunable()
    before = weights(policy)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    with pytest.raises(FloatingPointError, match="learning rate"):
        next(tune(algorithm, policy))
    assert same(before, weights(policy))


@every
def test_a_reward_and_an_alpha_in_other_units_change_nothing(algorithm):
    first, second, reward = tunable(), tunable(), peak((1.0, 0.0))
    run(tune(algorithm, first, reward, alpha=0.5))
    run(tune(algorithm, second, lambda x: reward(x) / 2**14, alpha=0.5 / 2**14))
    for a, b in zip(weights(first), weights(second), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@every
def test_only_the_generator_makes_noise(algorithm):
    first, second = tunable(), tunable()
    torch.manual_seed(3)
    run(tune(algorithm, first, iterations=1))
    state = torch.get_rng_state()
    torch.manual_seed(3)
    run(tune(algorithm, second, iterations=1))
    assert torch.equal(state, torch.get_rng_state()) and same(weights(first), weights(second))


@every
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_it_runs_on_a_gpu(algorithm):
    policy = tunable(device="cuda")
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
        next(tune(algorithm, tunable(), **options))


@every
def test_a_policy_with_nothing_to_tune_is_told_so(algorithm):
    with pytest.raises(ValueError, match="SteeredPolicy"):
        next(tune(algorithm, tunable().pretrained))


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
        next(tune(algorithm, tunable(), **options))


@pytest.mark.parametrize("box", [lambda x: x.detach()[:, 0], lambda x: torch.as_tensor(x.numpy()[:, 0])])
def test_backprop_refuses_a_black_box_and_names_who_takes_it(box):
    policy = tunable()
    before = weights(policy)
    with pytest.raises(ValueError, match=r"gives no gradient.*soft_ppo, reward_weighted_mle and path_consistency"):
        next(tune(reward_backprop, policy, box))
    assert same(before, weights(policy))
    for algorithm in (soft_ppo, reward_weighted_mle, path_consistency):
        assert len(run(tune(algorithm, tunable(), box))) == 3


def test_an_error_inside_a_reward_is_not_taken_for_a_missing_gradient():
    def broken(x):
        raise RuntimeError("out of ink")

    with pytest.raises(RuntimeError, match="out of ink"):
        next(tune(reward_backprop, tunable(), broken))


@every
def test_a_whole_number_may_be_written_as_a_float(algorithm):
    n = QUICK[algorithm]["n"]
    a, b = run(tune(algorithm, tunable())), run(tune(algorithm, tunable(), n=float(n)))
    assert [step.objective for step in a] == [step.objective for step in b]


@every
def test_a_slower_policy_takes_smaller_steps_by_default_alone(algorithm):
    """Adam's first step is the learning rate itself, so the largest move of one iteration tells it."""
    moved = {}
    for pace, options in ((1.0, {}), (0.1, {}), (0.1, dict(learning_rate=1e-3))):
        policy = tunable()
        policy.pace, before = pace, weights(policy)
        single = dict(iterations=1) | {k: 1 for k in ("epochs", "parts", "updates") if k in parameters(algorithm)}
        run(tune(algorithm, policy, **single, **options))
        gaps = [(a - b).abs().max().item() for a, b in zip(weights(policy), before, strict=True)]
        moved[pace, *options] = max(gaps)
    usual = 1e-2 if algorithm is reward_backprop else 4e-3
    assert list(moved.values()) == pytest.approx([usual, usual / 10, 1e-3], rel=1e-2)


def test_minibatches_are_even_and_leave_nobody_out():
    for n, parts in ((7, 4), (12800, 3), (3, 5)):
        dealt = minibatches(n, parts, seeded(0))
        assert torch.cat(dealt).sort().values.tolist() == list(range(n))
        assert len(dealt) == min(parts, n) and max(map(len, dealt)) - min(map(len, dealt)) <= 1


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (soft_ppo, dict(iterations=60)),
        (soft_ppo, dict(iterations=60, baseline=False)),
        (reward_backprop, dict(iterations=80)),
        (reward_backprop, dict(iterations=80, checkpointed=True)),
        (reward_backprop, dict(iterations=80, last=(5, 20))),
        (reward_weighted_mle, dict(iterations=8)),
        (reward_weighted_mle, dict(iterations=4, online=False, n=4096)),
        (path_consistency, dict(iterations=60)),
        (path_consistency, dict(iterations=60, kind="vargrad")),
        (path_consistency, dict(iterations=60, kind="step")),
        (path_consistency, dict(iterations=60, kind="trajectory")),
        (path_consistency, dict(iterations=60, off_policy=0.5, replay=4)),
    ],
    ids=name,
)
def test_every_variant_moves_towards_the_optimum(algorithm, options):
    """One Gaussian, where J* has a closed form: the tilt by a quadratic reward at x_0 (T = 20)."""
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.6]))
    schedule = NoiseSchedule.cosine(20)
    torch.manual_seed(0)
    policy = SteeredPolicy(DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule))
    reward, defaults = peak((1.0, 0.0)), {k: 128 for k in ("n",) if "n" not in options}
    run(algorithm.fine_tune(policy, reward, alpha=0.5, generator=seeded(2), **defaults, **options))
    report, before = (
        evaluate(p, reward, alpha=0.5, n=20_000, generator=seeded(3)) for p in (policy, policy.pretrained)
    )
    precision, shift = 1 / 0.36 + 2 / 0.5, 2 / 0.5  # of p_r; exp(r/α) = exp(−2‖x − c‖²)
    log_z = 2 * math.log(0.36**-0.5 / precision**0.5) - 2 + shift**2 / (2 * precision)
    regret = (0.5 * log_z - report.objective) / (0.5 * log_z - before.objective)
    assert regret < (0.6 if "last" in options or options.get("kind") == "step" else 0.15)


def test_advantages_are_the_discounted_sum_of_residuals():
    g = seeded(0)
    values, ratios = torch.randn(5, 3, generator=g), torch.randn(5, 3, generator=g)
    found = soft_ppo.advantages(values, ratios, lam=0.9)
    for t in range(1, 5):
        expected = sum(0.9 ** (t - s) * (values[s - 1] - ratios[s] - values[s]) for s in range(1, t + 1))
        torch.testing.assert_close(found[t], expected)
    assert not found[0].any()


def test_the_clip_stops_a_ratio_that_has_gone_far_enough():
    old, new = torch.zeros(4), torch.tensor([1.0, 1.0, -1.0, -1.0], requires_grad=True)
    value = soft_ppo.loss(new, old, torch.tensor([1.0, -1.0, 1.0, -1.0]), clip=0.2)
    assert value.item() == pytest.approx(-(1.2 - math.e + math.exp(-1) - 0.8) / 4)
    value.backward()
    assert new.grad is not None and [bool(g) for g in new.grad] == [False, True, True, False]


def test_consistency_is_the_double_sum_over_stretches():
    g = seeded(0)
    values, ratios, T = torch.randn(6, 4, generator=g), torch.randn(6, 4, generator=g), 5
    ratios[0] = 0
    for kind in ("step", "sub", "return", "trajectory", "mixed"):
        w = path_consistency.stretches(T, kind)
        expected = torch.zeros(())
        for s in range(T + 1):
            for t in range(s + 1, T + 1):
                residual = values[t] + ratios[s + 1 : t + 1].sum(0) - values[s]
                expected = expected + w[s, t] * residual.square().mean()
        torch.testing.assert_close(path_consistency.loss(values, ratios, w), expected)
        assert w.sum().item() == pytest.approx(2) and torch.equal(w, w.T) and not w.diagonal().any()


@pytest.mark.parametrize("effective", [0.05, 0.3, 0.9])
def test_tempering_reaches_the_effective_sample_size(effective):
    log_weights = 3 * torch.randn(1000, generator=seeded(0))
    w = reward_weighted_mle.tempered(log_weights, effective)
    assert w.sum().item() == pytest.approx(1)
    assert reward_weighted_mle.share_of_samples(w) >= effective - 1e-3
    even = torch.zeros(10)
    torch.testing.assert_close(reward_weighted_mle.tempered(even, effective), even + 0.1)


def test_checkpointing_and_truncation_change_memory_and_reach_not_values():
    policy, noise = tunable(T=6), torch.randn(7, 8, 2, generator=seeded(0))
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=seeded(1)))
    gradients = {}
    for kind, last, checkpointed in (("full", 6, False), ("saved", 6, True), ("short", 2, False)):
        copied = copy.deepcopy(policy)
        x_0, kl = reward_backprop.sample(copied, noise, last=last, checkpointed=checkpointed)
        reward_backprop.loss(peak((1.0, 0.0))(x_0), kl).backward()
        gradients[kind] = torch.cat([p.grad.flatten() for p in copied.parameters() if p.grad is not None]), x_0
    torch.testing.assert_close(gradients["full"][0], gradients["saved"][0])
    torch.testing.assert_close(gradients["full"][1], gradients["short"][1])
    assert not torch.allclose(gradients["full"][0], gradients["short"][0], rtol=0.1)
