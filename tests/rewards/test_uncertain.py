"""Rewards that say how sure they are: against formulas written out here, near labels and far from them."""

import math

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from tutorial_lib.rewards import peak
from tutorial_lib.rewards.uncertain import LARGEST_PROCESS, Features, Networks, Process

from ..oracles import seeded

TRUTH, NOISE = peak((2.0, 0.5)), 0.5
KINDS = {"networks": Networks, "features": Features, "process": Process}
FAR = torch.tensor([[3.0, 3.0], [4.0, -2.0]])
every = pytest.mark.parametrize("kind", KINDS)


def data(n=120, seed=0, dtype=torch.float32):
    """Noisy labels of points around (−1, −1)."""
    g = seeded(seed)
    x = (0.8 * torch.randn(n, 2, generator=g) - 1).to(dtype)
    return x, TRUTH(x) + NOISE * torch.randn(n, generator=g).to(dtype)


def made(kind, x, y, seed=1, **options):
    return KINDS[kind](x, y, generator=seeded(seed), **options)


@every
def test_near_the_labels_it_is_right_and_far_from_them_unsure(kind):
    learned = made(kind, *data())
    x, _ = data(500, seed=7)
    missed = learned(x) - TRUTH(x)
    assert missed.square().mean().sqrt() < NOISE and learned(x).dtype == torch.float32
    assert (missed.abs() < 2 * learned.std(x)).float().mean() > 0.6
    assert learned.std(FAR).min() > 4 * learned.std(x).median()


def test_one_network_is_as_unsure_everywhere():
    learned = made("networks", *data(), members=1)
    x, _ = data(500, seed=7)
    (error,) = learned.std(torch.cat([x, FAR])).unique()
    assert 0.5 * NOISE < error < 2 * NOISE


def test_features_are_bayesian_linear_regression():
    """ĝ = s √(φᵀ(ΦᵀΦ + λI)⁻¹φ), by a dense inverse."""
    x, y = data(dtype=torch.float64)
    learned = made("features", x, y, m=60)

    def phi(x):
        z = (x - x_mean) / x_scale
        return math.sqrt(2 / 60) * torch.cos(z @ learned.frequencies + learned.phases)

    x_mean, x_scale = x.mean(0), x.var(0).mean().sqrt()
    inverse = torch.linalg.inv(phi(x).mT @ phi(x) + learned.lam * torch.eye(60))
    w = inverse @ phi(x).mT @ ((y - y.mean()) / y.std())
    at = torch.cat([x[:5], FAR.double()])
    torch.testing.assert_close(learned(at), y.mean() + y.std() * phi(at) @ w, rtol=1e-5, atol=1e-5)
    expected = y.std() * learned.noise * torch.einsum("bi,ij,bj->b", phi(at), inverse, phi(at)).sqrt()
    torch.testing.assert_close(learned.std(at), expected, rtol=1e-5, atol=1e-5)


def test_a_process_is_what_scikit_learn_foretells():
    x, y = data(60, dtype=torch.float64)
    learned = made("process", x, y)
    kernel = ConstantKernel(learned.variance) * RBF(learned.length) + WhiteKernel(learned.noise)
    z = (x - x.mean(0)) / x.var(0).mean().sqrt()
    peer = GaussianProcessRegressor(kernel, optimizer=None).fit(z, (y - y.mean()) / y.std())
    at = torch.cat([x[:5], FAR.double()])
    mean, std = peer.predict(((at - x.mean(0)) / x.var(0).mean().sqrt()).numpy(), return_std=True)
    np.testing.assert_allclose(learned(at), float(y.mean()) + float(y.std()) * mean, rtol=1e-6)
    labels_too = np.sqrt((learned.std(at) / y.std()).numpy() ** 2 + learned.noise)  # what the peer's kernel adds
    np.testing.assert_allclose(labels_too, std, rtol=1e-6)


@pytest.mark.parametrize("kind", ["features", "process"])
def test_the_deviation_shrinks_as_labels_come(kind):
    at, _ = data(200, seed=7)
    widths = [made(kind, *data(n)).std(at).median().item() for n in (20, 80, 320)]
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]


def test_networks_tell_their_mean_and_spread_and_each_fits_by_itself():
    x, y = data()
    learned = made("networks", x, y, members=4)
    alone = learned._each(learned.inputs(x)) * learned.spread + learned.offset
    torch.testing.assert_close(learned(x), alone.mean(0))
    torch.testing.assert_close(learned.std(x), alone.std(0))
    assert ((alone - TRUTH(x)).square().mean(1).sqrt() < 1.5 * NOISE).all()
    assert not torch.equal(alone[0], alone[1])


@every
def test_slopes_are_finite_at_a_label_and_far_away_and_nothing_of_its_own_learns(kind):
    x, y = data()
    learned = made(kind, x, y)
    at = torch.cat([x[:3], FAR]).requires_grad_()
    mean, std = learned.predict(at)
    (slope,) = torch.autograd.grad((mean - std).sum(), at)
    step = 1e-2 * slope / slope.norm(dim=1, keepdim=True)
    with torch.no_grad():
        (up, up_std), (down, down_std) = learned.predict(at + step), learned.predict(at - step)
    measured = ((up - up_std) - (down - down_std)) / 0.02
    torch.testing.assert_close(measured, slope.norm(dim=1), rtol=0.1, atol=0.1)
    assert not any(p.requires_grad for p in learned.parameters())


@every
def test_images_too_and_the_generator_alone_decides(kind):
    g = seeded(3)
    x = torch.randn(40, 1, 4, 4, generator=g)
    y = x.mean((1, 2, 3))
    first, again, other = (made(kind, x, y, seed) for seed in (1, 1, 2))
    assert first(x).shape == (40,) and torch.equal(first(x), again(x)) and torch.equal(first.std(x), again.std(x))
    assert kind == "process" or not torch.equal(first(x), other(x))
    assert torch.corrcoef(torch.stack([first(x), y]))[0, 1] > 0.9


@every
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(1, 2), torch.zeros(1), "expected two labels or more, got 1"),
        (torch.randn(4, 2), torch.full((4,), 3.0), "expected labels that differ, got 4 times 3: there is nothing"),
        (torch.randn(4, 2), torch.tensor([0.0, 1, math.nan, 2]), "labels must be finite, got NaN or infinity in 25.0%"),
        (torch.randn(4, 2), torch.tensor([0.0, 1, -math.inf, 2]), "leave invalid samples out of the fit"),
        (torch.randn(4, 2), torch.randn(3), r"expected points \[N, …\] and labels \[N\], got \[4, 2\] and \[3\]"),
        (torch.randn(4, 2), torch.randn(4, 1), r"got \[4, 2\] and \[4, 1\]"),
        (torch.full((4, 2), math.nan), torch.randn(4), "points must be finite"),
        (torch.zeros(4, 2, dtype=torch.uint8), torch.randn(4), "floating type, got torch.uint8 and torch.float32"),
    ],
)
def test_bad_labels_are_refused(kind, x, y, message):
    with pytest.raises(ValueError, match=message):
        made(kind, x, y)


def test_a_process_of_too_many_labels_says_what_to_use():
    x = torch.randn(LARGEST_PROCESS + 1, 2)
    with pytest.raises(ValueError, match=r"at most 2,000 labels, got 2,001; use kind='features' or kind='ensemble'"):
        made("process", x, x.sum(1))


@every
def test_points_of_another_shape_are_refused(kind):
    with pytest.raises(ValueError, match=r"x must have shape \[B, 2\], got \[3, 3\]"):
        made(kind, *data())(torch.zeros(3, 3))
