"""Estimators of v_t against one Gaussian under a linear reward, where every v_t has a closed form."""

import pytest
import torch

from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.guidance import values
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy, sample
from tutorial_lib.guidance.values import LearnedValue, SampledTweedie, Tweedie
from tutorial_lib.policies import DenoisingPolicy, rollout
from tutorial_lib.rewards import QueryCounter, disc, peak
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import RING_REWARD, ring, seeded

T, ALPHA, STD = 10, 0.5, 0.6
MEAN, SLOPE = torch.tensor([0.5, -1.0]), torch.tensor([0.4, 0.3])
FITS = [values.monte_carlo, values.soft_q]
QUICK = dict(paths=256, iterations=5, batch=64)


def linear(x):
    return x @ SLOPE


def gaussian():
    mixture = GaussianMixture(torch.ones(1), MEAN.unsqueeze(0), stds=torch.tensor([STD]))
    schedule = NoiseSchedule.cosine(T)
    return DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule)


def closed_form(pretrained, x, t):
    """x_0 given x_t is Gaussian, its mean and variance carried down the chain's linear steps: v = E[r] + Var[r]/2α."""
    schedule, mean, variance = pretrained.schedule, x.double(), 0.0
    for s in range(t, 0, -1):
        level, signal, carry, sigma = (
            float(a[s]) for a in (schedule.alpha_bar, schedule.signal, schedule.carry, schedule.sigma)
        )
        gain = level**0.5 * STD**2 / (level * STD**2 + 1 - level)
        slope = signal * gain + carry
        mean = slope * mean + signal * (1 - gain * level**0.5) * MEAN.double()
        variance = slope**2 * variance + sigma**2
    return mean @ SLOPE.double() + variance * SLOPE.double().square().sum() / (2 * ALPHA)


@pytest.fixture(scope="module")
def fitted():
    make = {fit.__name__: fit(gaussian(), linear, alpha=ALPHA, generator=seeded(0), iterations=400) for fit in FITS}
    return {**make, "tweedie": Tweedie(gaussian(), linear), "sampled": sampled(gaussian(), linear)}


def sampled(pretrained, reward, **options):
    return SampledTweedie(pretrained, reward, **{"alpha": ALPHA, "pairs": 5, "generator": seeded(7), **options})


@pytest.mark.parametrize("name", ["monte_carlo", "soft_q"])
@pytest.mark.parametrize("t", [1, 3, 6, 10])
def test_a_fitted_value_is_the_closed_form(name, t, fitted):
    x = rollout(gaussian(), 500, generator=seeded(1)).x[t]
    error = (fitted[name](x, t) - closed_form(gaussian(), x, t)).square().mean().sqrt()
    assert error < 0.06


def test_tweedie_misses_what_the_spread_of_x_0_adds(fitted):
    x = rollout(gaussian(), 50, generator=seeded(1)).x[T]
    level = gaussian().schedule.alpha_bar[T]
    gain = level.sqrt() * STD**2 / (level * STD**2 + 1 - level)
    x_0 = MEAN + gain * (x - level.sqrt() * MEAN)
    torch.testing.assert_close(fitted["tweedie"](x, T), x_0 @ SLOPE)
    assert (fitted["tweedie"](x, T) < closed_form(gaussian(), x, T)).all()


@pytest.mark.parametrize("t", [1, 4, 9])
def test_many_samples_of_the_posterior_close_both_gaps(t):
    """For Gaussian data of the given std the samples follow p(x_0|x_t), and v = E[r] + Var[r]/2α in continuous time."""
    x, level = torch.randn(6, 2, generator=seeded(8)), float(gaussian().schedule.alpha_bar[t])
    total = level * STD**2 + 1 - level
    x_0 = MEAN + level**0.5 * STD**2 / total * (x - level**0.5 * MEAN)
    expected = x_0 @ SLOPE + STD**2 * (1 - level) / total * SLOPE.square().sum() / (2 * ALPHA)
    found = sampled(gaussian(), linear, pairs=20_000, std=STD)(x, t)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_a_large_alpha_is_the_plain_average_which_tweedie_has_for_a_linear_reward():
    x = torch.randn(6, 2, generator=seeded(8))
    plain = sampled(gaussian(), linear, alpha=1e4)(x, 7)
    torch.testing.assert_close(plain, Tweedie(gaussian(), linear)(x, 7), atol=1e-2, rtol=0)
    bent = sampled(gaussian(), peak((0.0, 0.0)), alpha=1e4, pairs=20_000)(x, 7)
    spread = 2 * float(gaussian().schedule.noise[7])  # of two coordinates, for data of std 1
    torch.testing.assert_close(bent, Tweedie(gaussian(), peak((0.0, 0.0)))(x, 7) - spread, atol=0.05, rtol=0)


def test_the_samples_are_drawn_once_and_by_the_generator_alone():
    x, other = torch.randn(4, 2, generator=seeded(3)), sampled(ring(6), RING_REWARD, generator=seeded(8))
    first, second = (sampled(ring(6), RING_REWARD) for _ in range(2))
    assert torch.equal(first(x, 4), first(x, 4)) and torch.equal(first(x, 4), second(x, 4))
    assert not torch.allclose(first(x, 4), other(x, 4), atol=1e-3)
    reward = QueryCounter(RING_REWARD)
    sampled(ring(6), reward, pairs=3)(x, 4)
    assert reward.queries == 2 * 3 * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(alpha=0.0), r"alpha must be a finite number > 0, got 0\.0"),
        (dict(pairs=0), "pairs must be a whole number ≥ 1, got 0"),
        (dict(std=-1.0), r"std must be a finite number > 0, got -1\.0"),
    ],
)
def test_bad_options_of_several_samples_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sampled(ring(6), linear, **options)


@pytest.mark.parametrize("name", ["monte_carlo", "soft_q", "tweedie", "sampled"])
@pytest.mark.parametrize("t", [1, 4, 10])
def test_the_slope_is_that_of_the_value(name, t, fitted):
    x, h = torch.randn(6, 2, generator=seeded(2)), 1e-2
    shifts = h * torch.eye(2)
    slope = torch.stack([fitted[name](x + e, t) - fitted[name](x - e, t) for e in shifts], -1) / (2 * h)
    assert torch.allclose(fitted[name].grad(x, t), slope.detach(), atol=5e-3)


@pytest.mark.parametrize("name", ["monte_carlo", "soft_q", "tweedie", "sampled"])
def test_many_times_at_once_are_the_same_one_by_one(name, fitted):
    x, t = torch.randn(4, 2, generator=seeded(3)), torch.tensor([0, 7, 1, 10])
    one_by_one = [fitted[name](row.unsqueeze(0), int(at)) for row, at in zip(x, t, strict=True)]
    assert torch.allclose(fitted[name](x, t), torch.cat(one_by_one), atol=1e-5)
    slopes = [fitted[name].grad(row.unsqueeze(0), int(at)) for row, at in zip(x, t, strict=True)]
    assert torch.allclose(fitted[name].grad(x, t), torch.cat(slopes), atol=1e-5)
    assert torch.allclose(fitted[name](x[:1], 0), linear(x[:1]))


def test_linex_is_least_at_the_log_of_the_mean_exponential():
    """A constant f against 2000 outcomes, by a scan; the steep end is straight and joins without a kink."""
    y = torch.randn(2000, generator=seeded(4), dtype=torch.float64)
    scan = torch.linspace(-1, 2, 3001, dtype=torch.float64)
    best = scan[torch.stack([values.linex(f.expand(2000), y) for f in scan]).argmin()]
    assert abs(best - y.exp().mean().log()) < 2e-3
    f, far = torch.zeros(3, dtype=torch.float64), values.STEEP + torch.tensor([-1e-6, 0.0, 1e-6], dtype=torch.float64)
    heights = torch.stack([values.linex(f[i : i + 1], far[i : i + 1]) for i in range(3)])
    assert torch.allclose(heights.diff()[:1], heights.diff()[1:], rtol=1e-3)
    assert torch.isfinite(values.linex(torch.zeros(1), torch.full((1,), 1e4)))


@pytest.mark.parametrize("fit", FITS)
def test_the_same_seed_gives_the_same_value_and_counts_its_queries(fit):
    reward, x = QueryCounter(peak((1.0, 0.0))), torch.randn(5, 2, generator=seeded(5))
    first, second = (fit(ring(6), reward, alpha=ALPHA, generator=seeded(0), **QUICK) for _ in range(2))
    assert torch.equal(first(x, 3), second(x, 3))
    other = fit(ring(6), reward, alpha=ALPHA, generator=seeded(1), **QUICK)
    assert not torch.equal(first(x, 3), other(x, 3))
    assert first.queries == 256 and reward.queries == 3 * 256


@pytest.mark.parametrize("fit", FITS)
def test_a_learned_value_has_a_slope_where_the_reward_has_none(fit):
    value = fit(ring(6), disc((-1.5, -1.5)), alpha=0.2, generator=seeded(0), **QUICK)
    policy = ValueWeightedPolicy(ring(6), value, alpha=0.2)
    assert torch.isfinite(policy.shift(torch.randn(4, 2, generator=seeded(6)), 1)).all()
    with pytest.raises(ValueError, match="expected a differentiable reward"):
        Tweedie(ring(6), lambda x: disc((-1.5, -1.5))(x.detach())).grad(torch.zeros(3, 2), 2)


def test_a_learned_value_is_no_part_of_what_it_came_from():
    value = values.soft_q(gaussian(), linear, alpha=ALPHA, generator=seeded(0), **QUICK)
    assert isinstance(value, LearnedValue)
    assert not any(p.requires_grad for p in value.network.parameters())
    assert not value(torch.zeros(3, 2), 4).requires_grad


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(alpha=0.0), r"alpha must be a finite number > 0, got 0\.0"),
        (dict(paths=1), "paths must be a whole number ≥ 2, got 1"),
        (dict(iterations=0), "iterations must be a whole number ≥ 1, got 0"),
        (dict(batch=1.5), r"batch must be a whole number ≥ 1, got 1\.5"),
        (dict(learning_rate=-1.0), r"learning_rate must be a finite number > 0, got -1\.0"),
        (dict(follow=0.0), r"follow must lie in \(0, 1\], got 0\.0"),
    ],
)
def test_bad_options_are_refused(fit, options, message):
    with pytest.raises(ValueError, match=message):
        fit(ring(6), linear, **{"alpha": ALPHA, "generator": seeded(0), **QUICK, **options})


def test_a_copy_that_does_not_lag_runs_away():
    """Why soft Q follows slowly: v_t cannot exceed the best reward, 0."""
    x = rollout(ring(50), 100, generator=seeded(1)).x[30]
    options: dict = dict(alpha=ALPHA, generator=seeded(0), iterations=200, batch=512)
    slow, none = (values.soft_q(ring(50), RING_REWARD, follow=follow, **options)(x, 30).mean() for follow in (0.1, 1.0))
    assert slow < 0 and none > 1000


def test_a_slope_that_is_not_finite_is_not_followed():
    """r = √x on the right half plane, 0 on the left, by `where`: autograd makes 0·∞ on the left."""
    policy = ring(5)
    broken = Tweedie(policy, lambda x: torch.where(x[:, 0] > 0, x[:, 0].sqrt(), torch.zeros(len(x))))
    with pytest.raises(ValueError, match=r"value.grad must be finite, got NaN or infinity in \d+\.\d% of it"):
        sample(policy, broken, alpha=0.5, n=50, generator=seeded(0))
