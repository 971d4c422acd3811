"""The exact answers against closed forms, Monte Carlo of the chain, and each other from two independent sides."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from tutorial_lib.denoisers import MLPDenoiser, initial_weights
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import Frontier, SoftValues, TiltedDensity
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy, sample
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import DenoisingPolicy, rollout
from tutorial_lib.rewards import disc
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import (
    RING_ALPHA,
    RING_EXTENT,
    RING_PEAK,
    RING_REWARD,
    chain,
    gaussian_chain,
    noised_law,
    parameters,
    ring,
    ring_mixture,
    seeded,
    wave,
)

DISC = disc((-1.5, -1.5), radius=0.8)
PROBLEMS = {"peak": (RING_REWARD, RING_ALPHA), "wave": (wave, 0.3), "disc": (DISC, 0.2)}
MEAN = torch.tensor([1.2, -0.6], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.3, -0.1], [-0.1, 0.2]], dtype=torch.float64)
B, A = torch.tensor([-1.0, 0.7], dtype=torch.float64), torch.tensor([[1.0, 0.4], [0.4, 0.8]], dtype=torch.float64)


def quadratic(x):
    return x @ B.to(x) - ((x @ A.to(x)) * x).sum(-1) / 2


def mean_of_quadratic(mean, covariance):
    return float(mean @ B - (A * (covariance + mean[:, None] * mean)).sum() / 2)


def gaussian(mean, covariance):
    return GaussianMixture(torch.ones(1, dtype=mean.dtype), mean[None], covariance[None])


def network_chain():
    schedule = NoiseSchedule.cosine(50)
    with initial_weights(0):
        return DenoisingPolicy(MLPDenoiser(schedule), schedule)


def gain(soft):
    return soft.optimum - soft.pretrained_objective


@pytest.fixture(scope="module")
def pretrained():
    return ring(50)


@pytest.fixture(scope="module")
def soft(pretrained):
    return {name: SoftValues(pretrained, r, alpha=a, extent=RING_EXTENT) for name, (r, a) in PROBLEMS.items()}


@pytest.fixture(scope="module")
def learned():
    """A network with random weights: (chain, its soft values for the peak)."""
    policy = network_chain()
    return policy, SoftValues(policy, RING_REWARD, alpha=RING_ALPHA, extent=7.0)


@pytest.fixture(scope="module")
def density(pretrained):
    return {name: TiltedDensity(pretrained, r, extent=RING_EXTENT, grid=161) for name, (r, _) in PROBLEMS.items()}


@pytest.mark.parametrize("T", [20, 200])
def test_a_gaussian_chains_optimum_is_closed_form(T):
    """One Gaussian's chain is linear, so x_0's law, J_pre and α log Z are known to the last digit: ≤ 0.002 %."""
    alpha, policy = 0.5, chain(gaussian(MEAN.float(), COVARIANCE.float()), T)
    soft = SoftValues(policy, quadratic, alpha=alpha, extent=5.0, grid=121)
    centre, spread = gaussian_chain(MEAN, COVARIANCE, policy.schedule)
    log_z = gaussian(centre, spread).tilt(B / alpha, A / alpha)[1]
    assert abs(soft.tilted_optimum - alpha * float(log_z)) <= 2e-5 * gain(soft)
    assert abs(soft.pretrained_objective - mean_of_quadratic(centre, spread)) <= 2e-5 * gain(soft)
    assert abs(soft.optimum - soft.tilted_optimum) <= 1e-4 * gain(soft)  # ᾱ_T is small: x_T says little about x_0


@pytest.mark.parametrize("name", PROBLEMS)
def test_j_star_is_the_same_forward_and_backward(name, soft, density):
    """α log E exp(r/α) from values pushed back in time and from the density pushed forward: ≤ 0.2 % of J* − J_pre."""
    _, alpha = PROBLEMS[name]
    forward = density[name].at(alpha)
    assert abs(forward.objective - soft[name].tilted_optimum) <= 2e-3 * gain(soft[name])
    before = float((density[name].pretrained * density[name].reward).sum())
    assert abs(before - soft[name].pretrained_objective) <= 2e-3 * gain(soft[name])


def test_a_networks_j_star_is_the_same_forward_and_backward(learned):
    policy, soft = learned
    forward = TiltedDensity(policy, RING_REWARD, extent=7.0, grid=161).at(RING_ALPHA)
    assert abs(forward.objective - soft.tilted_optimum) <= 1e-3 * gain(soft)


def test_at_T_200_the_ring_attains_alpha_log_z():
    """|J* − α log Z| ≤ 0.2 % of J* − J_pre, Z in closed form from the data's mixture."""
    c = torch.tensor(RING_PEAK)
    _, log_z = ring_mixture().tilt(2 * c / RING_ALPHA, 2 * torch.eye(2) / RING_ALPHA)
    exact = RING_ALPHA * float(log_z) - float(c @ c)
    soft = SoftValues(ring(200), RING_REWARD, alpha=RING_ALPHA, extent=RING_EXTENT, grid=121)
    assert abs(soft.optimum - exact) <= 2e-3 * gain(soft)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_random_anisotropic_mixtures_j_star_is_the_chains_own(seed):
    """At T = 200: the density pushed forward agrees to 0.05 % of J* − J_pre, and 60 000 paths within 4 standard errors.
    The data's α log Z differs by up to 1 %: components much narrower than `data_std` want smaller steps."""
    alpha, T = 0.5, 200
    weights, means, covariances = parameters(seed, 2, 1 + seed, condition=10.0)
    mixture = GaussianMixture(weights.float(), means.float().clamp(-2.2, 2.2), covariances.float() / 2)
    policy = chain(mixture, T)
    soft = SoftValues(policy, quadratic, alpha=alpha, extent=6.0, grid=121)
    forward = TiltedDensity(policy, quadratic, extent=6.0, grid=161).at(alpha).objective
    weight = (quadratic(rollout(policy, 60_000, generator=seeded(T)).x_0).double() / alpha).exp()
    estimate = alpha * float(weight.mean().log())
    error = alpha * float(weight.std() / weight.mean()) / 60_000**0.5
    exact = alpha * float(mixture.tilt(B / alpha, A / alpha)[1])
    assert error <= 0.01 * gain(soft)
    assert abs(soft.tilted_optimum - estimate) <= 4 * error
    assert abs(soft.tilted_optimum - forward) <= 5e-4 * gain(soft)
    assert abs(soft.optimum - exact) <= 0.01 * gain(soft)


@pytest.mark.parametrize("seed", range(4))
def test_on_random_mixtures_j_star_is_alpha_log_z(seed):
    """|J* − α log Z| ≤ 0.2 % of J* − J_pre at T = 200, for components of std 0.2 to 0.5."""
    g, K = seeded(seed), 3 + seed
    means, stds = 4 * torch.rand(K, 2, generator=g) - 2, 0.2 + 0.3 * torch.rand(K, generator=g)
    mixture = GaussianMixture(torch.full((K,), 1 / K), means, stds=stds)
    soft = SoftValues(chain(mixture, 200), quadratic, alpha=0.5, extent=6.0, grid=121)
    exact = 0.5 * float(mixture.tilt(B / 0.5, A / 0.5)[1])
    assert abs(soft.optimum - exact) <= 2e-3 * gain(soft)


def paths_from(policy, starts, t, n, generator):
    """n paths of the chain from each x_t: x_0 [starts, n, 2]."""
    x = starts.repeat_interleave(n, 0)
    with torch.no_grad():
        for s in range(t, 0, -1):
            x = policy.mean(x, s) + policy.sigma(s) * torch.randn(x.shape, generator=generator)
    return x.reshape(len(starts), n, 2)


def standard_scores(weight, value):
    """How many standard errors the mean of weights [points, n] is from values [points], where that can be said.

    A mean that fewer than 200 of the paths carry (effectively: (Σd)²/Σd², d from the median) has no known error.
    """
    d = (weight - weight.median(1, keepdim=True).values).abs()
    known = d.sum(1).square() >= 200 * d.square().sum(1)
    error = weight.std(1) / weight.shape[1] ** 0.5
    return ((weight.mean(1) - value) / error)[known & (error > 0)]


def test_v_t_is_the_chains_own_monte_carlo(pretrained, soft):
    """v_t at 28 points against 10⁶ paths in all, for a smooth, a many-peaked and a discontinuous reward.

    Each exp(v_t/α) within 4 standard errors (84 comparisons at most: 0.5 % of right answers would fail), and Σz² of
    each reward within 4 standard deviations of its mean.
    """
    n, per_t = 35_700, 4
    z: dict[str, list[torch.Tensor]] = {name: [] for name in PROBLEMS}
    for t in (1, 2, 5, 12, 25, 40, 50):
        starts = rollout(pretrained, per_t, generator=seeded(100 + t)).x[t]
        starts[0] = torch.tensor([-0.72, -1.53])  # by the rim of the disc
        x_0 = paths_from(pretrained, starts, t, n, seeded(t)).reshape(-1, 2)
        for name, (reward, alpha) in PROBLEMS.items():
            weight = (reward(x_0).double() / alpha).exp().reshape(per_t, n)
            z[name].append(standard_scores(weight, (soft[name](starts, t).double() / alpha).exp()))
    for name, parts in z.items():
        scores = torch.cat(parts)
        assert len(scores) >= 16, name
        assert scores.abs().max() <= 4, (name, scores)
        assert scores.square().sum() <= len(scores) + 4 * (2 * len(scores)) ** 0.5, (name, scores)


def test_a_networks_v_t_is_its_own_monte_carlo(learned):
    policy, soft = learned
    n, z = 8000, []
    for t in (1, 10, 30, 50):
        starts = rollout(policy, 3, generator=seeded(t)).x[t]
        x_0 = paths_from(policy, starts, t, n, seeded(t)).reshape(-1, 2)
        weight = (RING_REWARD(x_0).double() / 0.5).exp().reshape(3, n)
        z.append(standard_scores(weight, (soft(starts, t).double() / 0.5).exp()))
    assert len(torch.cat(z)) >= 6 and torch.cat(z).abs().max() <= 4


@pytest.mark.parametrize("name", PROBLEMS)
def test_j_pre_is_the_chains_mean_reward(name, pretrained, soft):
    reward = PROBLEMS[name][0]
    r = reward(rollout(pretrained, 100_000, generator=seeded(5)).x_0)
    assert abs(float(r.mean()) - soft[name].pretrained_objective) <= 4 * float(r.std()) / 100_000**0.5


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gradient_is_the_slope_of_the_value(name, soft):
    x = torch.randn(60, 2, generator=seeded(0), dtype=torch.float64) * 1.5
    x[0] = torch.tensor([4.9, -4.9])
    for t in (1, 2, 7, 25, 50):
        x.requires_grad_()
        exact = torch.autograd.grad(soft[name](x, t).sum(), x)[0]
        x = x.detach()
        assert torch.allclose(soft[name].grad(x, t), exact, rtol=1e-6, atol=1e-8)
        step = torch.tensor([1e-5, 0], dtype=torch.float64)
        slope = (soft[name](x + step, t) - soft[name](x - step, t)) / 2e-5
        assert torch.allclose(soft[name].grad(x, t)[:, 0], slope, rtol=1e-4, atol=1e-4)


def test_at_t_0_the_value_is_the_reward(soft):
    x = torch.randn(50, 2, generator=seeded(0))
    assert torch.equal(soft["disc"](x, 0), DISC(x)) and torch.equal(soft["peak"](x, 0), RING_REWARD(x))
    assert torch.allclose(soft["peak"].grad(x, 0), -2 * (x - torch.tensor(RING_PEAK)), atol=2e-3)
    rim = torch.tensor([[-0.7, -1.5]])  # the slope over ±σ_1 sees the jump, of which autograd knows nothing
    assert soft["disc"].grad(rim, 0)[0, 0] < -1 and soft["disc"].grad(rim, 0)[0, 1] == 0


def test_t_as_a_tensor_is_t_as_a_number(soft):
    x, t = torch.randn(40, 2, generator=seeded(0)), torch.randint(0, 51, (40,), generator=seeded(1))
    for look_up in (soft["peak"], soft["peak"].grad):
        rows = torch.cat([look_up(x[i : i + 1], int(t[i])) for i in range(40)])
        assert torch.allclose(look_up(x, t), rows, atol=1e-6)
        assert torch.equal(look_up(x, torch.tensor(7)), look_up(x, 7))


def test_value_weighted_sampling_comes_close_to_the_optimum(pretrained, soft):
    """Regret ≤ 0.8 % on Ring at T = 50, measured to ± 0.05 %."""
    policy = ValueWeightedPolicy(pretrained, soft["peak"], alpha=RING_ALPHA)
    report = evaluate(policy, RING_REWARD, alpha=RING_ALPHA, n=100_000, generator=seeded(0))
    assert report.objective_se / gain(soft["peak"]) <= 5e-4
    assert 0 <= soft["peak"].regret(report) <= 8e-3
    assert soft["peak"].regret(evaluate(pretrained, RING_REWARD, alpha=0.5, generator=seeded(0))) == pytest.approx(
        1, abs=0.02
    )


def test_value_weighted_sampling_works_with_a_network(learned):
    policy, soft = learned
    report = evaluate(
        ValueWeightedPolicy(policy, soft, alpha=0.5), RING_REWARD, alpha=0.5, n=20_000, generator=seeded(0)
    )
    assert abs(soft.regret(report)) <= 0.01 + 4 * report.objective_se / gain(soft)


def test_the_guided_rollout_is_the_policys(pretrained, soft):
    policy = ValueWeightedPolicy(pretrained, soft["peak"], alpha=0.5, strength=0.7)
    path = sample(pretrained, soft["peak"], alpha=0.5, n=50, strength=0.7, generator=seeded(0))
    assert torch.equal(path.x, rollout(policy, 50, generator=seeded(0)).x)
    x, t = path.x[9], 9
    rho, sigma = pretrained.mean(x, t), pretrained.schedule.sigma[t]
    steered = rho + 0.7 * sigma**2 / 0.5 * soft["peak"].grad(rho, t - 1)
    assert torch.allclose(policy.mean(x, t), steered, atol=1e-6)
    unguided = sample(pretrained, soft["peak"], alpha=0.5, n=50, strength=0.0, generator=seeded(0))
    assert torch.equal(unguided.x, rollout(pretrained, 50, generator=seeded(0)).x)


def test_a_grid_too_small_is_refused(pretrained):
    with pytest.raises(ValueError, match=r"\[−1, 1\]² is too small: \d+\.\d% of the pretrained paths .* extent ≥ \d"):
        SoftValues(pretrained, RING_REWARD, alpha=0.5, extent=1.0)
    with pytest.raises(ValueError, match=r"too small: .* of the pretrained paths .* extent ≥"):
        TiltedDensity(pretrained, RING_REWARD, extent=1.0)


def test_a_grid_too_small_for_the_optimum_is_refused(pretrained):
    """The reward pulls the optimal paths out of a grid that holds the pretrained ones."""
    with pytest.raises(ValueError, match=r"of the optimal paths leave it; pass extent ≥"):
        SoftValues(pretrained, lambda x: 20 * x[:, 0], alpha=0.2, extent=5.0)


def test_a_grid_too_coarse_is_refused():
    narrow = GaussianMixture(
        torch.tensor([0.5, 0.5]), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), stds=torch.full((2,), 0.01)
    )
    with pytest.raises(ValueError, match=r"too coarse for this chain \(σ_1 = .*halving it moves J\* by .*larger grid"):
        SoftValues(chain(narrow, 50), wave, alpha=0.05, extent=5.0, grid=16)


@pytest.mark.parametrize("name", PROBLEMS)
def test_masses_and_densities_have_unit_weight(name, density):
    alpha, found = PROBLEMS[name][1], density[name]
    assert float(found.pretrained.sum()) == pytest.approx(1)
    assert float(found.at(alpha).mass.sum()) == pytest.approx(1)
    densities, values = found.through_time(alpha)
    assert densities.shape == values.shape == (51, 161, 161)
    total = densities.sum((1, 2)) * found.grid.spacing**2
    assert torch.allclose(total, torch.ones_like(total), atol=1e-4)


def test_a_gaussians_marginals_and_values_are_closed_form():
    """x_0's law is known, so p*_t, v_t, E[r], KL and J* are too: densities and values ≤ 2e-3 of their scale."""
    alpha, policy = 0.4, chain(gaussian(MEAN.float(), COVARIANCE.float()), 30)
    found = TiltedDensity(policy, quadratic, extent=5.0, grid=161)
    law = gaussian(*gaussian_chain(MEAN, COVARIANCE, policy.schedule))
    target, log_z = law.tilt(B / alpha, A / alpha)
    points = torch.cartesian_prod(found.grid.axis, found.grid.axis)
    point = found.at(alpha)
    reward = mean_of_quadratic(target.mean, target.covariance)
    assert point.objective == pytest.approx(alpha * float(log_z), abs=2e-3)
    assert point.reward == pytest.approx(reward, abs=2e-3)
    assert point.kl == pytest.approx((reward - alpha * float(log_z)) / alpha, abs=1e-2)
    densities, values = found.through_time(alpha)
    for t in (0, 1, 5, 15, 30):
        level = float(policy.schedule.alpha_bar[t])
        exact = law.tilt(B / alpha, A / alpha)[0].noised(level)
        p = MultivariateNormal(exact.mean, exact.covariance).log_prob(points).exp().reshape(161, 161)
        assert (densities[t] - p).abs().max() <= 5e-3 * p.max()
        if t:
            inside = points.norm(dim=1) < 2
            posterior = law.posterior(points[inside], level)
            v = alpha * posterior.tilt(B / alpha, A / alpha)[1]
            assert (values[t].reshape(-1)[inside] - v).abs().max() <= 1e-2


@pytest.mark.parametrize("name", PROBLEMS)
def test_one_marginal_is_that_of_all_times(name, density):
    alpha, found = PROBLEMS[name][1], density[name]
    densities, values = found.through_time(alpha)
    for t in (0, 1, 7, 50):
        one = found.marginal(alpha, t)
        assert torch.allclose(one.density, densities[t], rtol=1e-9, atol=1e-12)
        assert torch.allclose(one.value, values[t], rtol=1e-9, atol=1e-9)
        assert float(one.pretrained.sum()) * found.grid.spacing**2 == pytest.approx(1, abs=1e-4)
    for outside in (-1, 51):
        with pytest.raises(ValueError, match=rf"t must be a whole number in 0\.\.50, got {outside}"):
            found.marginal(alpha, outside)


def test_the_rings_marginals_are_closed_form():
    """At T = 200 the chain's law is nearly the mixture's: densities within 2.5 % of their peaks, v within 0.005."""
    mixture, policy, c = ring_mixture(), ring(200), torch.tensor(RING_PEAK)
    found = TiltedDensity(policy, RING_REWARD, extent=RING_EXTENT, grid=161)
    points = found.grid.points
    for alpha in (0.1, 0.5, 2.0):
        b, A = 2 * c / alpha, 2 * torch.eye(2) / alpha  # r/α = b·x − ½ xᵀA x − ‖c‖²/α
        for t in (0, 1, 20, 100, 200):
            level, one = float(policy.schedule.alpha_bar[t]), found.marginal(alpha, t)
            target = mixture.tilt(b, A)[0].noised(level).log_prob(points).exp().reshape(161, 161)
            plain = noised_law(mixture.weights, mixture.means, mixture.covariances, level)
            pretrained = plain.log_prob(points.double()).exp().reshape(161, 161)
            assert (one.density - target).abs().max() <= 0.025 * target.max()
            assert (one.pretrained - pretrained).abs().max() <= 0.025 * pretrained.max()
            if t:
                v = alpha * mixture.posterior(points, level).tilt(b, A)[1].reshape(161, 161) - float(c @ c)
                assert float(((one.value - v).abs() * target).sum() * found.grid.spacing**2) <= 5e-3


def test_values_for_sliders_are_those_of_the_grid(density, soft):
    """GridValues looks up the same v_t; the chain's own v_t differs by its discretisation only, where paths go."""
    found = density["peak"]
    quick = found.values(RING_ALPHA)
    _, values = found.through_time(RING_ALPHA)
    points = torch.cartesian_prod(found.grid.axis, found.grid.axis).reshape(161, 161, 2)[60:100:8, 60:100:8]
    for t in (0, 5, 20, 50):
        at_points = quick(points.reshape(-1, 2), t)
        assert torch.allclose(at_points, values[t, 60:100:8, 60:100:8].reshape(-1), atol=1e-3)
    path = sample(ring(50), soft["peak"], alpha=RING_ALPHA, n=500, generator=seeded(0))
    for t in (5, 20, 40):
        gap = quick(path.x[t], t) - soft["peak"](path.x[t], t)
        assert float(gap.abs().mean()) <= 0.05 * float(soft["peak"](path.x[t], t).abs().mean())


def test_exact_draws_have_the_targets_moments(density):
    found, n = density["peak"], 100_000
    x = found.sample(RING_ALPHA, torch.rand(n, 2, generator=seeded(0))).double()
    mass, axis = found.at(RING_ALPHA).mass, found.grid.axis
    for side in (0, 1):
        line = mass.sum(1 - side)
        mean = float(line @ axis)
        variance = float(line @ (axis - mean) ** 2) + found.grid.spacing**2 / 12
        assert abs(float(x[:, side].mean()) - mean) <= 4 * (variance / n) ** 0.5
        assert float(x[:, side].var()) == pytest.approx(variance, rel=0.02)
    r = RING_REWARD(x)
    cell = found.grid.spacing**2 / 6  # within a cell −‖x − c‖² loses h²/12 an axis
    assert abs(float(r.mean()) + cell - found.at(RING_ALPHA).reward) <= 4 * float(r.std()) / n**0.5


def test_the_frontier_of_a_grid_is_the_tilted_density(density):
    found = density["wave"]
    frontier = Frontier(found.reward.reshape(-1), found.pretrained.reshape(-1))
    for point in frontier.curve(torch.logspace(-1, 1, 5)):
        exact = found.at(point.alpha)
        assert point.objective == pytest.approx(exact.objective, abs=1e-9)
        assert point.reward == pytest.approx(exact.reward, abs=1e-9) and point.kl == pytest.approx(exact.kl, abs=1e-8)
        assert point.trusted and point.size == math.inf and point.reward_se == 0


def test_the_frontier_of_samples_agrees_with_the_grid_and_says_when_it_does_not(pretrained, density):
    """40 banks of 4000 samples: E*[r] within 4 of its errors, the errors as large as the spread over the banks."""
    x_0 = rollout(pretrained, 160_000, generator=seeded(2)).x_0
    banks = [Frontier(r) for r in wave(x_0).split(4000)]
    for alpha in (0.3, 1.0):
        exact, points = density["wave"].at(alpha), [bank.at(alpha) for bank in banks]
        rewards = torch.tensor([point.reward for point in points])
        errors = torch.tensor([point.reward_se for point in points])
        assert all(point.trusted for point in points)
        assert float(errors.mean()) == pytest.approx(float(rewards.std()), rel=0.35)
        assert abs(float(rewards.mean()) - exact.reward) <= 4 * float(rewards.std()) / 40**0.5 + 2e-3
        objectives = torch.tensor([point.objective for point in points])
        assert points[0].objective_se == pytest.approx(float(objectives.std()), rel=0.35)
        kl = torch.tensor([point.kl for point in points])
        assert points[0].kl_se == pytest.approx(float(kl.std()), rel=0.35)
        assert abs(float(kl.mean()) - exact.kl) <= 4 * float(kl.std()) / 40**0.5 + 5e-3
    few = Frontier(wave(x_0[:300])).at(0.05)
    assert not few.trusted and few.size < 100
    weights = banks[0].weights(0.3)
    assert float(weights.sum()) == pytest.approx(1)
    assert banks[0].at(0.3).size == pytest.approx(float(weights.sum() ** 2 / weights.square().sum()))


def test_any_expectation_under_the_target_comes_with_its_error(pretrained, density):
    """E*[cos x] of each of 40 banks of 4000 samples, against the grid's, and E*[r] again by its own name."""
    found = density["wave"]
    x_0 = rollout(pretrained, 160_000, generator=seeded(6)).x_0
    banks = [(Frontier(wave(x)), x[:, 0].cos()) for x in x_0.split(4000)]
    means, errors = torch.tensor([bank.mean(f, 0.5) for bank, f in banks]).T
    grid = found.grid.axis.cos()[:, None].expand_as(found.reward).reshape(-1)
    frontier = Frontier(found.reward.reshape(-1), found.pretrained.reshape(-1))
    exact, none = frontier.mean(grid, 0.5)
    assert none == 0 and abs(float(means.mean()) - exact) <= 4 * float(means.std()) / 40**0.5 + 2e-3
    assert float(errors.mean()) == pytest.approx(float(means.std()), rel=0.35)
    point = banks[0][0].at(0.5)
    assert banks[0][0].mean(wave(x_0[:4000]), 0.5) == pytest.approx((point.reward, point.reward_se))
    with pytest.raises(ValueError, match=r"values must have shape \[4000\], got \[3\]"):
        banks[0][0].mean(torch.zeros(3), 0.5)


def test_the_best_reward_at_a_kl_lies_on_the_frontier(density):
    found = density["wave"]
    frontier = Frontier(found.reward.reshape(-1), found.pretrained.reshape(-1))
    for point in frontier.curve(torch.logspace(-1, 1, 5)):
        assert frontier.best_reward(point.kl) == pytest.approx(point.reward, abs=1e-6)
    assert frontier.best_reward(0.0) == pytest.approx(frontier.mean(found.reward.reshape(-1), 1e9)[0], abs=1e-4)
    with pytest.raises(ValueError, match=r"kl must lie in 0..*nats, got 99"):
        frontier.best_reward(99.0)
    with pytest.raises(ValueError, match=r"got -0.1"):
        frontier.best_reward(-0.1)


def test_the_error_of_the_reward_at_a_kl_is_the_spread_over_banks(pretrained):
    rewards = wave(rollout(pretrained, 160_000, generator=seeded(3)).x_0)
    points = [Frontier(part).at_kl(0.4) for part in rewards.split(4000)]
    spread = torch.tensor([point.reward for point in points]).std()
    claimed = torch.tensor([point.objective_se for point in points]).mean()
    assert claimed == pytest.approx(float(spread), rel=0.35)
    assert max(abs(point.kl - 0.4) for point in points) < 1e-6


def test_a_constant_reward_has_a_value_but_nothing_to_gain():
    soft = SoftValues(ring(10), lambda x: torch.full((len(x),), 1234.5), alpha=0.5, extent=5.0, grid=81)
    assert soft.optimum == pytest.approx(1234.5) and soft.pretrained_objective == pytest.approx(1234.5)
    with pytest.raises(ValueError, match="expected a reward that varies under p_pre"):
        soft.share(1.0)
