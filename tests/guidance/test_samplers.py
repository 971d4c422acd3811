"""One contract for all samplers that leave the model as it is, and what each derivative-free one aims at."""

import functools
import math
from collections.abc import Callable

import pytest
import torch

from tutorial_lib.denoisers import MLPDenoiser
from tutorial_lib.exact import SoftValues
from tutorial_lib.guidance import classifier_free, sequential_monte_carlo, value_weighted
from tutorial_lib.guidance.sequential_monte_carlo import Particles, systematic
from tutorial_lib.policies import DenoisingPolicy, Trajectory, rollout
from tutorial_lib.rewards import disc, peak
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import RING_REWARD, ring, seeded

T, ALPHA = 6, 0.5


class Bowl:
    """v = −‖x‖² at every t."""

    def __call__(self, x, t):
        return -x.square().sum(1)

    def grad(self, x, t):
        return -2 * x


class Flat:
    """No number for each particle, and no slope for each coordinate."""

    def __call__(self, x, t):
        return torch.zeros(len(x), 1)

    def grad(self, x, t):
        return torch.zeros(len(x))


def learned(seed=0):
    """A chain around a random network, so that there are weights to leave alone."""
    torch.manual_seed(seed)
    schedule = NoiseSchedule.cosine(T)
    return DenoisingPolicy(MLPDenoiser(schedule), schedule)


BY_VALUE: dict[str, Callable] = {
    "value_weighted": value_weighted.sample,
    "sequential_monte_carlo": sequential_monte_carlo.sample,
    "svdd": functools.partial(sequential_monte_carlo.svdd, candidates=3),
}
SAMPLERS: dict[str, Callable] = {
    **{name: functools.partial(sample, value=Bowl(), alpha=ALPHA) for name, sample in BY_VALUE.items()},
    "classifier_free": functools.partial(classifier_free.sample, conditional=learned(1)),
}
every = pytest.mark.parametrize("sample", SAMPLERS.values(), ids=SAMPLERS.keys())
by_value = pytest.mark.parametrize("sample", BY_VALUE.values(), ids=BY_VALUE.keys())


@every
def test_the_same_seed_gives_the_same_samples(sample):
    first, second, other = (sample(learned(), n=9, generator=seeded(seed)).x for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)


@every
def test_a_trajectory_of_finite_points_comes_back(sample):
    for n in (1, 2, 9):
        path = sample(learned(), n=n, generator=seeded(0))
        assert isinstance(path, Trajectory) and path.x.shape == (T + 1, n, 2)
        assert torch.isfinite(path.x).all() and not path.x.requires_grad


@every
def test_the_pretrained_model_is_left_alone(sample):
    pretrained = learned()
    before = [p.detach().clone() for p in pretrained.parameters()]
    sample(pretrained, n=5, generator=seeded(0))
    assert all(torch.equal(a, b) for a, b in zip(before, pretrained.parameters(), strict=True))
    assert all(p.grad is None for p in pretrained.parameters())


@every
@pytest.mark.parametrize("n", [0, -3, 1.5, math.nan])
def test_a_bad_n_is_refused(sample, n):
    with pytest.raises(ValueError, match=rf"n must be a whole number ≥ 1, got {n}"):
        sample(learned(), n=n, generator=seeded(0))


@by_value
@pytest.mark.parametrize("alpha", [0, -0.5, math.nan, math.inf])
def test_a_bad_alpha_is_refused(sample, alpha):
    with pytest.raises(ValueError, match=rf"alpha must be a finite number > 0, got {alpha}"):
        sample(learned(), Bowl(), alpha=alpha, n=3, generator=seeded(0))


@by_value
def test_a_value_of_another_shape_is_refused(sample):
    with pytest.raises(ValueError, match=r"value(\.grad)? must return .*, got (shape )?\[\d+(, 1)?\]"):
        sample(learned(), Flat(), alpha=ALPHA, n=3, generator=seeded(0))


@by_value
def test_a_constant_added_to_v_t_changes_nothing(sample):
    class Raised(Bowl):
        def __call__(self, x, t):
            return super().__call__(x, t) + 0.25 * t

    plain, raised = (sample(learned(), v, alpha=ALPHA, n=40, generator=seeded(0)).x_0 for v in (Bowl(), Raised()))
    assert torch.allclose(plain, raised, atol=1e-4)


@pytest.mark.parametrize("candidates", [0, 2.5, -1])
def test_a_bad_number_of_candidates_is_refused(candidates):
    with pytest.raises(ValueError, match=rf"candidates must be a whole number ≥ 1, got {candidates}"):
        BY_VALUE["svdd"](learned(), Bowl(), alpha=ALPHA, n=3, candidates=candidates, generator=seeded(0))


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, math.nan])
def test_a_bad_threshold_is_refused(share):
    with pytest.raises(ValueError, match=rf"resample_below must lie in \(0, 1\], got {share}"):
        sequential_monte_carlo.sample(learned(), Bowl(), alpha=ALPHA, n=3, resample_below=share, generator=seeded(0))


@pytest.mark.parametrize("sample", [BY_VALUE["sequential_monte_carlo"], BY_VALUE["svdd"]])
def test_a_nan_value_is_refused(sample):
    with pytest.raises(ValueError, match=r"finite numbers .* with NaN or infinity"):
        sample(learned(), lambda x, t: torch.full((len(x),), math.nan), alpha=ALPHA, n=3, generator=seeded(0))


# what they aim at


@functools.cache
def soft(reward_name="peak"):
    reward = {"peak": RING_REWARD, "disc": disc((-1.5, -1.5), radius=0.8)}[reward_name]
    return SoftValues(ring(T), reward, alpha=ALPHA, extent=7.0, grid=121)


def value_of(name, reward_name):
    found = soft(reward_name)
    values: dict[str, Callable] = {
        "exact": found,
        "none": lambda x, t: torch.zeros(len(x)) if t else found.reward(x),
        "wrong": lambda x, t: 0.2 * x[:, 1] if t else found.reward(x),
    }
    return values[name]


@pytest.mark.parametrize("reward_name", ["peak", "disc"])
@pytest.mark.parametrize("name", ["exact", "none", "wrong"])
@pytest.mark.parametrize("n", [1, 16])
def test_the_mean_weight_is_unbiased_whatever_the_value(n, name, reward_name):
    """E[Ẑ] = E_pre[exp(r/α)], which quadrature knows."""
    path = sequential_monte_carlo.sample(
        ring(T), value_of(name, reward_name), alpha=ALPHA, n=n, clouds=16_000 // n, generator=seeded(1)
    )
    z = path.log_z.double().exp()
    assert abs(z.mean() - math.exp(soft(reward_name).tilted_optimum / ALPHA)) < 4 * z.std() / len(z) ** 0.5


@pytest.mark.parametrize("name", ["exact", "none", "wrong"])
def test_the_cloud_has_the_moments_of_the_tilted_chain(name):
    """Against pretrained paths weighted by exp(r/α), many more of them."""
    x = rollout(ring(T), 400_000, generator=seeded(2)).x_0.double()
    weights = (RING_REWARD(x) / ALPHA).softmax(0)
    mean = weights @ x
    cloud = sequential_monte_carlo.sample(
        ring(T), value_of(name, "peak"), alpha=ALPHA, n=500, clouds=40, generator=seeded(3)
    )
    means = cloud.x_0.double().reshape(40, 500, 2).mean(1)
    assert ((means.mean(0) - mean).abs() < 4 * means.std(0) / 40**0.5 + 0.01).all()


def test_clouds_keep_to_themselves_and_paths_are_whole():
    """A survivor's x_{t−1} lies within 6σ_t of ρ(x_t), which a neighbour's does not; no ancestor serves two clouds."""
    path = sequential_monte_carlo.sample(ring(T), soft(), alpha=ALPHA, n=50, clouds=8, generator=seeded(4))
    for t in range(1, T + 1):
        z = (path.x[t - 1] - ring(T).mean(path.x[t], t)) / ring(T).sigma(t)
        assert z.abs().max() < 6
    clouds = path.x[-1].reshape(8, 50, 2)
    assert sum(len(cloud.unique(dim=0)) for cloud in clouds) == len(path.x[-1].unique(dim=0)) < 400
    assert isinstance(path, Particles) and path.effective.shape == (T + 1, 8)
    assert ((path.effective > 0) & (path.effective <= 1 + 1e-5)).all()


def test_a_value_of_zero_resamples_nothing_but_at_the_end():
    path = sequential_monte_carlo.sample(ring(T), value_of("none", "peak"), alpha=ALPHA, n=300, generator=seeded(5))
    assert torch.allclose(path.effective[1:], torch.ones(T, 1)) and path.effective[0] < 0.5
    weights = (RING_REWARD(rollout(ring(T), 10**5, generator=seeded(6)).x_0).double() / ALPHA).softmax(0)
    assert float(path.effective[0]) == pytest.approx(float(1 / weights.square().sum()) / 10**5, rel=0.4)


def test_systematic_resampling_gives_each_its_due():
    weights = torch.rand(5, 12, generator=seeded(7)).square()
    weights = weights / weights.sum(1, keepdim=True)
    chosen = systematic(weights, seeded(8))
    counts = torch.stack([row.bincount(minlength=12) for row in chosen])
    assert ((counts - 12 * weights).abs() < 1 + 1e-4).all()
    even = torch.full((3, 7), 1 / 7)
    assert torch.equal(systematic(even, seeded(9)), torch.arange(7).expand(3, 7))


def test_svdd_with_one_candidate_is_the_pretrained_model():
    x = BY_VALUE["svdd"](ring(T), Bowl(), alpha=ALPHA, n=20_000, candidates=1, generator=seeded(10)).x_0
    same = rollout(ring(T), 20_000, generator=seeded(11)).x_0
    assert (x.mean(0) - same.mean(0)).abs().max() < 0.06 and (x.T.cov() - same.T.cov()).abs().max() < 0.1


def test_svdd_draws_its_candidates_by_their_values():
    """One step of one chain from one point: the mean of r over draws, against Gauss–Hermite's tilted kernel."""
    reward, t = peak((0.5, 0.0)), 1
    pretrained = ring(2)
    x = sequential_monte_carlo.svdd(
        pretrained,
        lambda x, t: reward(x) if t == 0 else 0 * x[:, 0],
        alpha=ALPHA,
        n=4000,
        candidates=400,
        generator=seeded(12),
    )
    rho, sigma = pretrained.mean(x.x[t], t), float(pretrained.sigma(t))
    precision = 2 / ALPHA + 1 / sigma**2  # a Gaussian kernel times exp(−‖x − c‖²/α)
    expected = (rho / sigma**2 + 2 / ALPHA * torch.tensor([0.5, 0.0])) / precision
    z = (x.x_0 - expected) * precision**0.5
    assert z.mean(0).abs().max() < 4 / 4000**0.5 + 0.02
    assert (z.square().mean(0) - 1).abs().max() < 0.12
