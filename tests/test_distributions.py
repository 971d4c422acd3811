"""GaussianMixture against torch.distributions, autograd in float64, Bayes' rule and quadrature."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from tutorial_lib.distributions import GaussianMixture

from .oracles import around, law, noised_law, parameters, score, seeded

cases = st.fixed_dictionaries(
    dict(
        seed=st.integers(0, 10**6),
        D=st.integers(1, 64),
        K=st.integers(1, 6),
        condition=st.sampled_from([1.0, 30.0, 1000.0]),
    )
)
levels = st.floats(1e-3, 1 - 1e-3)
steady = settings(max_examples=40, deadline=None, derandomize=True, database=None)
DTYPES = {torch.float64: 1e-9, torch.float32: 1e-5}


def off(value, exact):
    """The largest error of one array, relative to max(1, its size there)."""
    return ((value.double() - exact).abs() / exact.abs().clamp_min(1)).max().item()


def off_densities(value, exact):
    """`off` for log-densities; below e^−80 it is enough that both are (weights underflow there)."""
    return off(value.clamp_min(-80), exact.clamp_min(-80))


def off_rows(value, exact):
    """The same for vectors [B, D], by their norm."""
    return ((value.double() - exact).norm(dim=-1) / exact.norm(dim=-1).clamp_min(1)).max().item()


@pytest.mark.parametrize("dtype", DTYPES)
@steady
@given(case=cases)
def test_log_prob_and_score_are_those_of_the_mixture(dtype, case):
    weights, means, covariances = (a.to(dtype) for a in parameters(**case))
    truth = law(weights, means, covariances)
    x = around(truth, 20, case["seed"]).to(dtype)
    mixture = GaussianMixture(weights, means, covariances)
    assert mixture.log_prob(x).dtype == mixture.score(x).dtype == dtype
    assert off(mixture.log_prob(x), truth.log_prob(x.double())) <= DTYPES[dtype]
    assert off_rows(mixture.score(x), score(truth, x)) <= DTYPES[dtype]


@steady
@given(case=cases)
def test_float32_holds_far_from_every_component(case):
    weights, means, covariances = (a.float() for a in parameters(**case))
    truth = law(weights, means, covariances)
    x = around(truth, 20, case["seed"], spread=8.0).float()
    mixture = GaussianMixture(weights, means, covariances)
    assert off(mixture.log_prob(x), truth.log_prob(x.double())) <= 1e-5


def test_isotropic_components_are_full_ones_with_equal_eigenvalues():
    weights, means, _ = parameters(1, 5, 4)
    stds = torch.tensor([0.1, 0.5, 1.0, 3.0], dtype=torch.float64)
    truth = law(weights, means, stds.square()[:, None, None] * torch.eye(5, dtype=torch.float64))
    x = around(truth, 50, 2)
    mixture = GaussianMixture(weights, means, stds=stds)
    assert off(mixture.log_prob(x), truth.log_prob(x)) <= 1e-10
    assert off_rows(mixture.score(x), score(truth, x)) <= 1e-10
    assert torch.allclose(mixture.covariances[2], torch.eye(5, dtype=torch.float64))


@steady
@given(case=cases, level=levels)
def test_the_noised_law_has_the_moments_and_the_density_of_x_t(case, level):
    weights, means, covariances = parameters(**case)
    noised = GaussianMixture(weights, means, covariances).noised(level)
    truth = noised_law(weights, means, covariances, level)
    x_t = around(truth, 20, case["seed"])
    assert off(noised.log_prob(x_t), truth.log_prob(x_t)) <= 1e-9
    # moments of √ᾱ x_0 + √(1−ᾱ) ε from those of x_0
    centre = weights @ means
    second = torch.einsum("k,kij->ij", weights, covariances + means.unsqueeze(-1) * means.unsqueeze(-2))
    spread = level * (second - centre[:, None] * centre) + (1 - level) * torch.eye(case["D"], dtype=torch.float64)
    assert torch.allclose(noised.mean, math.sqrt(level) * centre, atol=1e-12)
    assert torch.allclose(noised.covariance, spread, atol=1e-11)


def test_no_noise_is_the_data_and_no_signal_is_a_standard_normal():
    weights, means, covariances = parameters(3, 4, 3)
    mixture = GaussianMixture(weights, means, covariances)
    x = around(law(weights, means, covariances), 30, 4)
    assert torch.equal(mixture.noised(1.0).log_prob(x), mixture.log_prob(x))
    assert off(mixture.noised(0.0).log_prob(x), torch.distributions.Normal(0, 1).log_prob(x).sum(-1)) <= 1e-12
    assert torch.allclose(mixture.denoise(x, 1.0), x)
    assert torch.allclose(mixture.denoise(x, 0.0), (weights @ means).expand(30, 4))


@steady
@given(case=cases, level=levels)
def test_the_posterior_is_bayes_rule_pointwise(case, level):
    weights, means, covariances = parameters(**case)
    prior, marginal = law(weights, means, covariances), noised_law(weights, means, covariances, level)
    x_t = around(marginal, 8, case["seed"])
    posterior = GaussianMixture(weights, means, covariances).posterior(x_t, level)
    x_0 = posterior.sample(1, generator=seeded(case["seed"]))[0]  # where to look
    likelihood = torch.distributions.Normal(math.sqrt(level) * x_0, math.sqrt(1 - level)).log_prob(x_t).sum(-1)
    bayes = prior.log_prob(x_0) + likelihood - marginal.log_prob(x_t)
    assert off_densities(posterior.log_prob(x_0), bayes) <= 1e-8


@pytest.mark.parametrize("dtype", DTYPES)
@steady
@given(case=cases, level=levels)
def test_denoise_is_the_posterior_mean_and_tweedies_formula(dtype, case, level):
    weights, means, covariances = (a.to(dtype) for a in parameters(**case))
    marginal = noised_law(weights, means, covariances, level)
    x_t = around(marginal, 8, case["seed"]).to(dtype)
    mixture = GaussianMixture(weights, means, covariances)
    tweedie = (x_t.double() + (1 - level) * score(marginal, x_t)) / math.sqrt(level)
    scale = 1 / math.sqrt(level)  # both terms of Tweedie are of that size, and cancel
    assert off_rows(mixture.denoise(x_t, level), tweedie) <= DTYPES[dtype] * scale
    assert off_rows(mixture.posterior(x_t, level).mean, tweedie) <= DTYPES[dtype] * scale


def tilt_terms(seed, D, covariances):
    """b and a symmetric A that may be indefinite, but less so than every Σ_k⁻¹."""
    g = seeded(seed + 1)
    b = torch.randn(D, generator=g, dtype=torch.float64)
    A = torch.randn(D, D, generator=g, dtype=torch.float64)
    A = (A + A.mT) / torch.linalg.matrix_norm(A + A.mT, 2)
    return b, 0.7 * A / torch.linalg.matrix_norm(covariances, 2).max().clamp_min(0.7)


@steady
@given(case=cases)
def test_the_tilt_is_the_tilted_density_pointwise(case):
    weights, means, covariances = parameters(**case)
    b, A = tilt_terms(case["seed"], case["D"], covariances)
    tilted, log_z = GaussianMixture(weights, means, covariances).tilt(b, A)
    x = torch.cat([tilted.sample(10, generator=seeded(0)), around(law(weights, means, covariances), 10, 1)])
    reward = x @ b - torch.einsum("bi,ij,bj->b", x, A, x) / 2
    exact = law(weights, means, covariances).log_prob(x) + reward - log_z
    assert off_densities(tilted.log_prob(x), exact) <= 1e-8


@steady
@given(case=cases)
def test_the_tilt_in_float32_is_that_in_float64_rounded(case):
    weights, means, covariances = (a.float() for a in parameters(**case))
    b, A = (a.float() for a in tilt_terms(case["seed"], case["D"], covariances.double()))
    tilted, log_z = GaussianMixture(weights, means, covariances).tilt(b, A)
    exact, exact_z = GaussianMixture(weights.double(), means.double(), covariances.double()).tilt(b, A)
    assert tilted.means.dtype == log_z.dtype == torch.float32
    assert off(log_z, exact_z) <= 1e-5
    assert off(tilted.means, exact.means) <= 1e-5 and off(tilted.covariances, exact.covariances) <= 1e-5
    assert off(tilted.weights, exact.weights) <= 1e-5 * max(1, exact_z.abs().item())


@pytest.mark.parametrize("seed", range(5))
def test_the_tilts_normaliser_is_the_integral_in_one_dimension(seed):
    weights, means, covariances = parameters(seed, 1, 4)
    b, A = tilt_terms(seed, 1, covariances)
    truth = law(weights, means, covariances)

    def integrand(x):
        log_p = truth.log_prob(torch.tensor([x], dtype=torch.float64)).item()
        return math.exp(log_p + b.item() * x - A.item() * x * x / 2)

    peaks = means.flatten().tolist()
    exact, error = integrate.quad(integrand, -30, 30, points=sorted(peaks), limit=2000, epsabs=0, epsrel=1e-10)
    _, log_z = GaussianMixture(weights, means, covariances).tilt(b, A)
    assert error < 1e-8 * exact
    assert abs(log_z.item() - math.log(exact)) <= 1e-8


@pytest.mark.parametrize("terms", ["linear", "quadratic", "both"])
def test_the_tilts_normaliser_is_the_integral_in_the_plane(terms):
    weights, means, covariances = parameters(7, 2, 5, condition=10.0)
    b, A = tilt_terms(7, 2, covariances)
    b, A = (b if terms != "quadratic" else None), (A if terms != "linear" else None)
    _, log_z = GaussianMixture(weights, means, covariances).tilt(b, A)
    axis = torch.linspace(-20, 20, 1601, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    exponent = law(weights, means, covariances).log_prob(x)
    exponent += 0 if b is None else x @ b
    exponent -= 0 if A is None else ((x @ A) * x).sum(-1) / 2
    exact = exponent.logsumexp(0) + 2 * math.log(40 / 1600)
    assert abs(float(log_z - exact)) <= 1e-8


def test_a_posteriors_tilt_is_integrated_row_by_row():
    weights, means, covariances = parameters(11, 1, 3)
    level, b, A = 0.4, torch.tensor([1.3], dtype=torch.float64), torch.tensor([[0.7]], dtype=torch.float64)
    x_t = torch.tensor([[-2.0], [0.3], [1.7]], dtype=torch.float64)
    _, log_z = GaussianMixture(weights, means, covariances).posterior(x_t, level).tilt(b, A)
    x_0 = torch.linspace(-15, 15, 200_001, dtype=torch.float64)
    likelihood = torch.distributions.Normal(math.sqrt(level) * x_0, math.sqrt(1 - level)).log_prob(x_t)  # [3, grid]
    joint = law(weights, means, covariances).log_prob(x_0[:, None]) + likelihood
    exact = (joint + 1.3 * x_0 - 0.35 * x_0**2).logsumexp(-1) - joint.logsumexp(-1)
    assert log_z.shape == (3,)
    assert torch.allclose(log_z, exact, atol=1e-9)


def test_tilting_by_nothing_changes_nothing():
    weights, means, covariances = parameters(5, 3, 2)
    tilted, log_z = GaussianMixture(weights, means, covariances).tilt()
    assert abs(log_z.item()) <= 1e-12
    assert torch.allclose(tilted.weights, weights) and torch.allclose(tilted.means, means)
    assert torch.allclose(tilted.covariances, covariances)


@pytest.mark.parametrize(("seed", "D", "K"), [(0, 1, 3), (1, 3, 4), (2, 12, 2)])
def test_samples_have_the_mixtures_moments(seed, D, K):
    """Mean, covariance and component shares within 4.5 standard errors (up to 90 numbers a case)."""
    n = 100_000
    weights, means, covariances = parameters(seed, D, K)
    mixture = GaussianMixture(weights, means, covariances)
    x = mixture.sample(n, generator=seeded(seed))
    centre = weights @ means
    spread = torch.einsum("k,kij->ij", weights, covariances + means.unsqueeze(-1) * means.unsqueeze(-2))
    spread -= centre[:, None] * centre
    products = (x - centre).unsqueeze(-1) * (x - centre).unsqueeze(-2)
    assert ((x.mean(0) - centre).abs() <= 4.5 * x.std(0) / n**0.5).all()
    assert ((products.mean(0) - spread).abs() <= 4.5 * products.std(0) / n**0.5).all()
    assert torch.equal(x, mixture.sample(n, generator=seeded(seed)))


def test_a_narrow_component_gets_its_share_of_the_samples():
    weights = torch.tensor([0.07, 0.93])
    mixture = GaussianMixture(weights, torch.tensor([[-5.0], [5.0]]), stds=torch.tensor([0.1, 1.0]))
    x = mixture.sample(100_000, generator=seeded(0))
    assert abs((x < 0).float().mean().item() - 0.07) <= 4 * math.sqrt(0.07 * 0.93 / 100_000)
    assert abs(x[x < 0].std().item() - 0.1) <= 4 * 0.1 / math.sqrt(2 * 7000)


def test_a_batch_of_mixtures_keeps_its_shapes():
    weights, means, covariances = parameters(13, 3, 4)
    mixture = GaussianMixture(weights, means, covariances)
    x_t = torch.randn(6, 3, generator=seeded(0), dtype=torch.float64)
    level = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    batch = mixture.posterior(x_t, level)
    tilted, log_z = batch.tilt(linear=torch.ones(3))
    assert batch.weights.shape == (6, 4) and batch.means.shape == (6, 4, 3)
    assert batch.covariances.shape == (6, 4, 3, 3) and batch.covariance.shape == (6, 3, 3)
    assert batch.log_prob(x_t).shape == log_z.shape == (6,)
    assert batch.score(x_t).shape == batch.mean.shape == tilted.mean.shape == (6, 3)
    draws = batch.sample(50_000, generator=seeded(1))
    assert draws.shape == (50_000, 6, 3)
    assert ((draws.mean(0) - batch.mean).abs() <= 4.5 * draws.std(0) / 50_000**0.5).all()
    for i in range(6):  # each row is the mixture for its own x_t and level
        alone = mixture.posterior(x_t[i : i + 1], level[i].item())
        assert torch.allclose(batch.means[i], alone.means[0]) and torch.allclose(batch.weights[i], alone.weights[0])
        assert torch.allclose(batch.covariances[i], alone.covariances.reshape(4, 3, 3))


def test_gradients_flow_through_every_argument():
    weights, means, covariances = parameters(17, 3, 2)
    root = torch.linalg.cholesky(covariances)
    x = torch.randn(4, 3, generator=seeded(0), dtype=torch.float64)
    inputs = [a.clone().requires_grad_() for a in (weights, means, root, x)]

    def numbers(weights, means, root, x):
        mixture = GaussianMixture(weights, means, root @ root.mT)
        linear, log_z = mixture.tilt(linear=torch.ones(3))
        both, log_y = mixture.tilt(linear=torch.ones(3), quadratic=torch.diag(torch.tensor([0.3, -0.2, 0.5])))
        tilts = linear.log_prob(x), log_z, both.log_prob(x), log_y
        return mixture.log_prob(x), mixture.score(x), mixture.denoise(x, 0.3), *tilts

    assert torch.autograd.gradcheck(numbers, inputs)


def test_gradients_flow_through_isotropic_components():
    weights, means, _ = parameters(17, 3, 2)
    x = torch.randn(4, 3, generator=seeded(0), dtype=torch.float64)
    stds = torch.tensor([0.4, 0.8], dtype=torch.float64, requires_grad=True)

    def numbers(stds):
        tilted, log_z = GaussianMixture(weights, means, stds=stds).tilt(linear=torch.ones(3))
        return tilted.log_prob(x), log_z

    assert torch.autograd.gradcheck(numbers, [stds])


@pytest.mark.parametrize("target", [torch.float32, torch.float64, "cpu", torch.device("cpu")])
def test_a_mixture_moves_to_another_dtype_or_device(target):
    weights, means, covariances = (a.float() for a in parameters(19, 4, 3))
    mixture = GaussianMixture(weights, means, covariances)
    moved = mixture.to(target)
    dtype = target if isinstance(target, torch.dtype) else torch.float32
    x = torch.randn(5, 4, generator=seeded(0)).to(dtype)
    assert moved.means.dtype == moved.log_prob(x).dtype == moved.sample(3, generator=seeded(0)).dtype == dtype
    assert off(moved.log_prob(x), law(weights, means, covariances).log_prob(x.double())) <= 1e-5


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_mixture_works_on_a_gpu():
    weights, means, covariances = (a.float() for a in parameters(19, 4, 3))
    mixture = GaussianMixture(weights, means, covariances).to("cuda")
    x = mixture.sample(5, generator=torch.Generator("cuda").manual_seed(0))
    here = law(weights, means, covariances).log_prob(x.double().cpu())
    assert off(mixture.log_prob(x).cpu(), here) <= 1e-5
    assert mixture.denoise(x, 0.5).device.type == "cuda"
    assert np.isfinite(mixture.tilt(linear=torch.ones(4))[1].item())
