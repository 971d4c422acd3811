"""Diversity against closed forms: a Gaussian's entropy, a mixture's chi-square shares, the distance of two normals."""

import math

import pytest
import torch
from scipy import stats

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.metrics import (
    class_entropy,
    class_entropy_error,
    entropy,
    mean_distance,
    mean_distance_error,
    mode_shares,
    modes_covered,
)

from ..oracles import parameters, ring_mixture, seeded


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("D", range(1, 6))
def test_the_entropy_of_a_gaussian(D, seed):
    """H = ½ log det(2πe Σ), within 4 standard errors and the estimator's bias, which grows with D."""
    _, _, (covariance,) = parameters(seed, D, 1, condition=4.0)
    n, factor = 8000, torch.linalg.cholesky(covariance)
    x = torch.randn(n, D, generator=seeded(10 * D + seed), dtype=torch.float64) @ factor.mT
    truth = 0.5 * torch.logdet(2 * math.pi * math.e * covariance).item()
    assert entropy(x) == pytest.approx(truth, abs=0.04 + 0.02 * D)
    assert entropy(x, k=10) == pytest.approx(truth, abs=0.04 + 0.03 * D)


def test_the_entropy_of_a_square_and_of_its_half():
    x = torch.rand(20_000, 2, generator=seeded(0))
    assert entropy(x) == pytest.approx(0, abs=0.03)
    assert entropy(0.5 * x) - entropy(x) == pytest.approx(-2 * math.log(2), abs=1e-3)
    assert entropy(x + 7) == pytest.approx(entropy(x), abs=1e-3)


def test_a_sample_that_repeats_itself_has_no_entropy_left():
    assert entropy(torch.zeros(50, 2)) == -math.inf
    assert entropy(torch.randn(25, 2, generator=seeded(0)).repeat(4, 1)) == -math.inf
    twice = torch.randn(200, 2, generator=seeded(0)).repeat(2, 1)
    assert math.isfinite(entropy(twice)), "one copy each: the third neighbour is still another point"


def test_images_are_flattened():
    x = torch.randn(500, 1, 2, 2, generator=seeded(0))
    assert entropy(x) == entropy(x.flatten(1)) and mean_distance(x) == mean_distance(x.flatten(1))


@pytest.mark.parametrize("radius", [1.0, 2.0, 3.0])
def test_a_mode_holds_what_chi_square_says(radius):
    """Far apart, component k holds w_k P(χ²_D ≤ radius²), whatever its shape."""
    weights, means, covariances = parameters(3, 3, 4)
    mixture = GaussianMixture(weights, 40 * means, covariances)
    n = 40_000
    held = mode_shares(mixture.sample(n, generator=seeded(1)), mixture, radius=radius)
    expected = weights * stats.chi2.cdf(radius**2, 3)
    assert ((held - expected).abs() <= 4 * (expected * (1 - expected) / n).sqrt()).all()


def test_strays_and_lost_modes_are_not_counted():
    mixture, x = ring_mixture(), ring_mixture().sample(8000, generator=seeded(0))
    assert modes_covered(x, mixture) == 8
    assert modes_covered(x[x[:, 1] > 1], mixture) == 3
    assert modes_covered(torch.zeros(100, 2), mixture) == 0, "the middle of the ring belongs to no mode"
    stray = torch.cat([mixture.means[:1].repeat(99, 1), mixture.means[4:5]])
    assert modes_covered(stray, mixture) == 1 and modes_covered(stray, mixture, share=0.01) == 2


def test_weights_count_as_samples_do():
    mixture, x = ring_mixture(), ring_mixture().sample(300, generator=seeded(0))
    times = torch.randint(1, 4, (300,), generator=seeded(1))
    repeated = mode_shares(x.repeat_interleave(times, 0), mixture)
    assert torch.allclose(mode_shares(x, mixture, weights=times / times.sum()), repeated, atol=1e-6)


def test_the_mean_distance_of_two_normals():
    """‖x − x′‖ in the plane is Rayleigh with scale √2: its mean is √π."""
    x = torch.randn(4000, 2, generator=seeded(0))
    assert mean_distance(x) == pytest.approx(math.sqrt(math.pi), rel=0.02)
    assert mean_distance(torch.ones(5, 3)) == 0


def test_the_errors_of_variety_are_the_spread_over_samples():
    """400 samples of 150: normal points, and classes of uneven odds; each error within 15 % of the spread."""
    g, odds = seeded(3), torch.tensor([0.5, 0.3, 0.15, 0.05])
    points = [torch.randn(150, 3, generator=g) for _ in range(400)]
    labels = [torch.multinomial(odds, 150, replacement=True, generator=g) for _ in range(400)]
    for value, error, samples in (
        (mean_distance, mean_distance_error, points),
        (class_entropy, class_entropy_error, labels),
    ):
        spread = torch.tensor([value(sample) for sample in samples]).std().item()
        assert sum(map(error, samples)) / 400 == pytest.approx(spread, rel=0.15)
    assert class_entropy_error(torch.zeros(5).long()) == 0
    halves = torch.tensor([0, 0, 1]), torch.tensor([1.0, 1.0, 0.0])  # a class of no weight
    assert class_entropy(*halves) == class_entropy_error(*halves) == 0


def test_the_entropy_of_classes():
    """Of k even classes it is log k, of one class 0; a weight counts as so many samples."""
    assert class_entropy(torch.arange(6).repeat(5)) == pytest.approx(math.log(6))
    assert class_entropy(torch.full((9,), 3)) == 0
    labels, times = torch.tensor([0, 2, 7], dtype=torch.uint8), torch.tensor([1, 2, 5])
    assert class_entropy(labels, times) == pytest.approx(stats.entropy([1, 2, 5]))
    assert class_entropy(labels.repeat_interleave(times)) == pytest.approx(stats.entropy([1, 2, 5]))


@pytest.mark.parametrize("labels", [torch.tensor([]).long(), torch.tensor([0, -1]), torch.tensor([0.0, 1.0])])
def test_classes_are_whole_numbers(labels):
    with pytest.raises(ValueError, match=r"expected labels \[n\], whole numbers ≥ 0"):
        class_entropy(labels)


@pytest.mark.parametrize("weights", [[2.0, -1.0], [0.0, 0.0], [1.0, math.nan], [1.0, math.inf], [1.0]])
def test_weights_of_classes_are_weights(weights):
    with pytest.raises(ValueError, match=r"expected weights \[2\] ≥ 0, not all 0, got"):
        class_entropy(torch.tensor([0, 1]), torch.tensor(weights))
