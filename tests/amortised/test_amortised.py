"""A policy that takes α as an input: its members, its training by every algorithm, and what is shipped."""

import math
from typing import Any

import pytest
import torch
from tutorial_lib.DELETED import LEVELS

from tutorial_lib.algorithms import Training, path_consistency, reward_backprop, reward_weighted_mle, run, soft_ppo
from tutorial_lib.amortised import AmortisedAdapters, AmortisedControl, AmortisedPolicy
from tutorial_lib.denoisers import adapters
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy, rollout
from tutorial_lib.rewards import ink, peak

from ..algorithms.test_algorithms import every, same, tunable, tune, weights
from ..oracles import chain, seeded
from ..policies.test_tunable import images, untrained

RANGE = (0.05, 5.0)


def amortised(seed=0, device="cpu"):
    pretrained = tunable(seed, device).pretrained
    torch.manual_seed(seed)
    return AmortisedPolicy(pretrained)


def stirred(policy):
    """The policy with weights that do something."""
    with torch.no_grad():
        for p in policy.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, generator=seeded(7)))
    return policy


def test_it_begins_as_the_pretrained_policy_at_every_alpha():
    policy = amortised()
    assert isinstance(policy.pretrained, DenoisingPolicy)
    for alpha in (0.05, 0.7, 5.0):
        member = policy.at(alpha)
        assert isinstance(member, SteeredPolicy)
        assert (member.shift(torch.randn(9, 2, generator=seeded(0)), 3) == 0).all()


def test_a_member_for_each_path_is_the_member_of_that_alpha():
    policy = stirred(amortised())
    x, alphas = torch.randn(3, 2, generator=seeded(1)), torch.tensor([0.1, 1.0, 4.0])
    together = policy.at(alphas).shift(x, 2)
    for i, alpha in enumerate(alphas.tolist()):
        torch.testing.assert_close(together[i], policy.at(alpha).shift(x, 2)[i])
    assert not torch.allclose(policy.at(0.1).shift(x, 2), policy.at(4.0).shift(x, 2))


def test_the_steps_of_a_path_have_the_alpha_of_that_path():
    policy, alphas = stirred(amortised()), torch.tensor([0.1, 1.0, 4.0])
    member = policy.at(alphas)
    path = rollout(member, 3, generator=seeded(2))
    x, t, _ = path.steps()
    by_step = member.shift(x, t).reshape(path.T, 3, 2)
    for i, alpha in enumerate(alphas.tolist()):
        for s in range(1, path.T + 1):
            torch.testing.assert_close(by_step[s - 1, i], policy.at(alpha).shift(path.x[s, i : i + 1], s)[0])


def test_the_control_stays_within_reach():
    control = AmortisedControl(tunable().pretrained, RANGE, reach=2.0)
    with torch.no_grad():
        control.network.network.last.bias.fill_(1e3)
    u = control(torch.randn(50, 2, generator=seeded(3)), 1, torch.full((50,), 0.05))
    assert 1.99 < u.norm(dim=1).min() and u.norm(dim=1).max() <= 2.0


def test_an_alpha_is_asked_for_and_must_lie_in_the_range():
    policy = amortised()
    with pytest.raises(ValueError, match=r"expected policy\.at\(alpha\), got the policy itself"):
        rollout(policy, 3, generator=seeded(0))
    for alpha in (0.01, 7.0, math.nan, torch.tensor([1.0, 9.0])):
        with pytest.raises(ValueError, match=r"expected alpha in \[0\.05, 5\]"):
            policy.at(alpha)
    with pytest.raises(ValueError, match="rows for 3 paths, one α each, got 4"):
        policy.at(torch.ones(3)).shift(torch.zeros(4, 2), 1)
    with pytest.raises(ValueError, match="from low to high"):
        AmortisedPolicy(policy.pretrained, alphas=(1.0, 1.0))
    with pytest.raises(ValueError, match="alpha must be a finite number > 0"):
        AmortisedPolicy(policy.pretrained, alphas=(0.0, 1.0))


@every
def test_every_algorithm_trains_it_over_a_range(algorithm):
    policy, again = amortised(), amortised()
    history = run(tune(algorithm, policy, alpha=RANGE, n=32))
    assert history[-1].queries == 3 * 32
    assert history[-1].kl > 0 and all(math.isfinite(s.loss) for s in history)
    run(tune(algorithm, again, alpha=RANGE, n=32))
    assert same(weights(policy), weights(again)) and not same(weights(policy), weights(amortised()))


@every
def test_a_number_trains_the_member_of_that_number(algorithm):
    policy = amortised()
    first = next(tune(algorithm, policy, alpha=0.5))
    assert first.objective == pytest.approx(first.reward - 0.5 * first.kl)


@every
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_it_trains_on_a_gpu(algorithm):
    policy = amortised(device="cuda")
    assert math.isfinite(run(tune(algorithm, policy, alpha=RANGE, n=32))[-1].objective)


@every
def test_a_range_needs_an_amortised_policy_and_whole_levels(algorithm):
    with pytest.raises(ValueError, match="expected an AmortisedPolicy for a range of alpha, got SteeredPolicy"):
        next(tune(algorithm, tunable(), alpha=RANGE))
    with pytest.raises(ValueError, match=f"multiple of {LEVELS}"):
        next(tune(algorithm, amortised(), alpha=RANGE, n=40))
    with pytest.raises(ValueError, match="alpha must be a finite number > 0"):
        next(tune(algorithm, amortised(), alpha=(-1.0, 1.0), n=32))


def test_what_needs_one_alpha_says_so():
    with pytest.raises(ValueError, match="one alpha"):
        next(tune(path_consistency, amortised(), alpha=RANGE, n=32, kind="vargrad"))
    with pytest.raises(ValueError, match="one alpha"):
        next(tune(reward_weighted_mle, amortised(), alpha=RANGE, n=32, online=False))


def training(n=64):
    policy = amortised()
    plan: dict[str, Any] = dict(alpha=RANGE, n=n, iterations=1, learning_rate=1e-3)
    return Training(policy, peak((1.0, 0.0)), generator=seeded(0), **plan)


def test_alphas_are_log_uniform_and_any_stretch_of_paths_has_them_all():
    (drawn,) = training(32 * LEVELS)
    assert RANGE[0] <= drawn.min() and drawn.max() <= RANGE[1]
    places = torch.log(drawn / RANGE[0]) / math.log(RANGE[1] / RANGE[0]) * LEVELS
    assert (places[:LEVELS].floor() == torch.arange(LEVELS)).all(), "one in each part of the range"
    assert (drawn.reshape(-1, LEVELS) == drawn[:LEVELS]).all()


def test_each_alpha_is_treated_by_itself():
    ready = training()
    (prices,) = ready
    x = torch.stack([prices, prices + torch.arange(64.0)])
    found = ready.each(lambda part: part - part.mean(-1, keepdim=True), x)
    assert (found[0].abs() < 1e-6).all()
    assert found[1].reshape(-1, LEVELS).mean(0).abs().max() < 1e-5


def slope(x):
    return x @ torch.tensor([1.0, 0.5])


LONGER: dict[str, dict[str, Any]] = {
    "soft_ppo": dict(iterations=40, n=256),
    "reward_backprop": dict(iterations=80, n=128),
    "reward_weighted_mle": dict(iterations=10, n=2048, updates=20, batch=3200),
    "path_consistency": dict(iterations=60, n=256, off_policy=0.25),
}


@every
def test_every_algorithm_comes_near_the_optimum_at_alphas_it_never_saw(algorithm):
    """One Gaussian and a linear reward, T = 20: J* is α log Z of the chain's own law of x_0, which is Gaussian."""
    pretrained = chain(GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.7])), 20)
    torch.manual_seed(0)
    policy, reward = AmortisedPolicy(pretrained, alphas=(0.5, 2.0)), slope
    options = LONGER[algorithm.__name__.rpartition(".")[2]]
    run(algorithm.fine_tune(policy, reward, alpha=policy.alphas, generator=seeded(0), **options))
    variance = rollout(pretrained, 200_000, generator=seeded(1)).x_0.var(0)
    for alpha in (0.6, 1.1, 1.8):
        gain = float((variance * torch.tensor([1.0, 0.25])).sum()) / (2 * alpha)
        member = evaluate(policy.at(alpha), reward, alpha=alpha, n=20_000, generator=seeded(2))
        before = evaluate(pretrained, reward, alpha=alpha, n=20_000, generator=seeded(2))
        assert member.objective - before.objective == pytest.approx(gain, rel=0.1), alpha


def gated():
    """A small image model with adapters whose gates depend on α."""
    return AmortisedAdapters(untrained(), alphas=RANGE, rank=3, generator=seeded(0))


def test_gated_adapters_begin_as_the_pretrained_policy_at_every_alpha():
    policy = gated()
    for alpha in (0.05, 0.7, torch.tensor([0.05, 5.0])):
        assert policy.at(alpha).shift(images(2), 3).abs().max() < 1e-5


def test_at_one_alpha_the_adapters_are_plain_weights_and_the_same_function():
    policy, x = stirred(gated()), images(6)
    shifts = []
    for alpha in (0.05, 0.5, 5.0):
        plain, by_path = policy.at(alpha), policy.at(torch.full((6,), alpha))
        torch.testing.assert_close(plain.mean(x, 2), by_path.mean(x, 2), atol=1e-5, rtol=0)
        assert not adapters(plain.denoiser) and not any(p.requires_grad for p in plain.parameters())
        shifts.append(plain.shift(x, 2).norm())
    assert shifts[0] > 2 * shifts[2], "the gates shut as α grows"


def test_every_path_is_drawn_with_the_adapters_of_its_alpha():
    policy, alphas = stirred(gated()), torch.tensor([0.1, 1.0, 4.0])
    path = rollout(policy.at(alphas), 3, generator=seeded(2))
    x, t, _ = path.steps()
    by_step = policy.at(alphas).mean(x, t).unflatten(0, (path.T, 3))
    for i, alpha in enumerate(alphas.tolist()):
        for s in range(1, path.T + 1):
            alone = policy.at(alpha).mean(path.x[s, i : i + 1], s)[0]
            torch.testing.assert_close(by_step[s - 1, i], alone, atol=1e-5, rtol=0)


def test_gradients_reach_the_adapters_and_nothing_else():
    policy = stirred(gated())
    policy.at(torch.tensor([0.1, 4.0])).mean(images(2), 2).sum().backward()
    own = adapters(policy.control.network)
    assert {name.rpartition(".")[2] for name in own} == set("ABC")
    assert all(p.grad is not None and p.grad.abs().max() > 0 for name, p in own.items() if "label" not in name)
    assert sum(p.requires_grad for p in policy.parameters()) == len(own)


def test_gated_adapters_refuse_an_alpha_outside_their_range():
    for alpha in (0.01, torch.tensor([1.0, 9.0])):
        with pytest.raises(ValueError, match=r"expected alpha in \[0\.05, 5\]"):
            gated().at(alpha)
    with pytest.raises(ValueError, match="rows for 3 paths, one α each, got 4"):
        gated().at(torch.ones(3)).mean(images(4), 1)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (reward_backprop, dict(iterations=2, checkpointed=True)),
        (soft_ppo, dict(iterations=2, baseline=False)),
        (reward_weighted_mle, dict(iterations=2, updates=2, batch=32)),
    ],
)
def test_gated_adapters_train_over_a_range(algorithm, options):
    policy = gated()
    before = {name: p.detach().clone() for name, p in adapters(policy.control.network).items()}
    history = run(algorithm.fine_tune(policy, ink, alpha=RANGE, n=32, generator=seeded(0), **options))
    assert history[-1].kl > 0 and math.isfinite(history[-1].objective)
    assert not any(torch.equal(before[k], p) for k, p in adapters(policy.control.network).items() if k[-1] == "B")
