"""The soft-optimal chain's exact kernels against quadrature, closed forms and accepted pretrained paths."""

import math

import pytest
import torch

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import GaussianOptimum, MomentMatched, SoftValues, sample_optimal
from tutorial_lib.exact.kernels import TiltedGaussian
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import rollout
from tutorial_lib.rewards import disc

from ..oracles import RING_EXTENT, RING_REWARD, chain, gaussian_chain, ring, seeded, wave

T, N = 10, 40_000
REWARDS = {"peak": (RING_REWARD, 0.5), "wave": (wave, 0.3), "disc": (disc((-1.5, -1.5), radius=0.8), 0.2)}


@pytest.fixture(scope="module")
def soft():
    pretrained = ring(T)
    return {name: SoftValues(pretrained, r, alpha=alpha, extent=RING_EXTENT) for name, (r, alpha) in REWARDS.items()}


def moments(x):
    x = x.double()
    return torch.cat([x, x.square(), x.prod(-1, keepdim=True)], -1)


def standard_scores(x, expected):
    """(mean moments of x − expected)/s.e."""
    found = moments(x)
    return (found.mean(0) - expected) / (found.std(0) / len(x) ** 0.5)


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize(("t", "std"), [(0, 0.15), (1, 0.3), (5, 0.5), (T, 1.0)])
@pytest.mark.parametrize("mean", [(1.2, 0.3), (-0.9, -1.2)])  # the second by the disc's rim
def test_a_kernels_draws_have_its_moments(name, t, std, mean, soft):
    """Moments of N(mean, std² I) exp(v_t/α) by a plain sum over ± 8 std."""
    z = torch.linspace(-8, 8, 801, dtype=torch.float64)
    y = torch.tensor(mean, dtype=torch.float64) + std * torch.cartesian_prod(z, z)
    log_density = -(y - torch.tensor(mean)).square().sum(1) / (2 * std**2) + soft[name](y, t) / soft[name].alpha
    expected = log_density.softmax(0) @ moments(y)
    drawn = TiltedGaussian(soft[name], t, std).draw(torch.tensor(mean).repeat(N, 1), generator=seeded(0))
    assert standard_scores(drawn, expected).abs().max() <= 4


def test_at_a_jump_the_share_inside_is_right(soft):
    """One kernel astride the disc's rim: odds inside are exp(1/α) times the Gaussian's own."""
    reward, alpha = REWARDS["disc"]
    mean = torch.tensor([-0.75, -1.5])
    drawn = TiltedGaussian(soft["disc"], 0, 0.2).draw(mean.repeat(N, 1), generator=seeded(1))
    z = torch.linspace(-6, 6, 2401, dtype=torch.float64)
    inside = float((-z.square() / 2).softmax(0) @ rim_share(mean[0] + 0.2 * z))
    odds = math.exp(1 / alpha) * inside / (1 - inside)
    share = odds / (1 + odds)
    assert abs(float(reward(drawn).mean()) - share) <= 4 * math.sqrt(share * (1 - share) / N)


def rim_share(first):
    """P(x in the disc | x₁) for x₂ ~ N(−1.5, 0.2²)."""
    half = (0.8**2 - (first + 1.5).square()).clamp_min(0).sqrt()
    return torch.special.erf(half / (0.2 * math.sqrt(2)))


@pytest.mark.parametrize("name", REWARDS)
def test_the_bound_holds(name, soft):
    """Over draws from random means, some off the grid: exceeded by fewer than 1 in 1000."""
    for t, std in ((0, 0.15), (1, 0.2), (4, 0.4), (T, 1.0)):
        kernel = TiltedGaussian(soft[name], t, std)
        y = kernel.draw(2 * torch.randn(N, 2, generator=seeded(2)), generator=seeded(3))
        cell = torch.bucketize(y.double(), kernel.edges) - 1
        on_grid = y.clamp(-RING_EXTENT, RING_EXTENT)
        excess = soft[name](on_grid, t).double() / soft[name].alpha - kernel.bound[cell[:, 0], cell[:, 1]]
        assert float((excess > 0).double().mean()) <= 1e-3


@pytest.mark.parametrize("name", REWARDS)
def test_its_paths_are_the_pretrained_ones_that_the_reward_accepts(name, soft):
    """Pretrained paths kept with probability exp((r − max r)/α) follow p*(τ) with a tilted x_T, by definition."""
    reward, alpha = REWARDS[name]
    bank = rollout(ring(T), 300_000, generator=seeded(4))
    r = reward(bank.x_0).double()
    kept = bank.x[:, torch.rand(len(r), generator=seeded(5)) < ((r - r.max()) / alpha).exp()]
    path = sample_optimal(soft[name], 20_000, generator=seeded(6))
    z = []
    for t in range(T + 1):
        ours, theirs = moments(path.x[t]), moments(kept[t])
        error = (ours.var(0) / len(ours) + theirs.var(0) / len(theirs)).sqrt()
        z.append((ours.mean(0) - theirs.mean(0)) / error)
        if t < T:  # and two neighbours together
            ours, theirs = ((x[t] * x[t + 1]).double() for x in (path.x, kept))
            error = (ours.var(0) / len(ours) + theirs.var(0) / len(theirs)).sqrt()
            z.append((ours.mean(0) - theirs.mean(0)) / error)
    assert torch.cat(z).abs().max() <= 4.5


def test_one_gaussian_and_a_linear_reward_are_closed_form():
    """x_0 ~ N(m, C) tilted by exp(b·x/α) is N(m + Cb/α, C); the kernels are Gaussian, so all three optima agree."""
    b, alpha = torch.tensor([0.5, -0.3]), 0.7
    mean, covariance = torch.tensor([0.4, -0.2]).double(), torch.tensor([[0.5, 0.2], [0.2, 0.4]]).double()
    mixture = GaussianMixture(torch.ones(1), mean.float().unsqueeze(0), covariance.float().unsqueeze(0))
    pretrained = chain(mixture, T)
    best = GaussianOptimum(pretrained, lambda x: x @ b, alpha=alpha, extent=6.0)
    m, C = gaussian_chain(mean, covariance, pretrained.schedule)
    m = m + C @ b.double() / alpha
    second = C + torch.outer(m, m)
    expected = torch.stack([*m, second[0, 0], second[1, 1], second[0, 1]])
    x_0 = sample_optimal(best.soft, N, generator=seeded(7)).x_0
    assert standard_scores(x_0, expected).abs().max() <= 4
    matched = MomentMatched(best.soft)
    x = torch.randn(50, 2, generator=seeded(8))
    for t in (1, 4, T):
        assert torch.allclose(matched.shift(x, t), best.shift(x, t), atol=2e-3)


@pytest.mark.parametrize("name", REWARDS)
def test_the_start_is_tilted_or_not(name, soft):
    free = sample_optimal(soft[name], 20_000, generator=seeded(9), tilted_start=False)
    assert free.x.shape == (T + 1, 20_000, 2) and free.x.dtype == torch.float32
    normal = torch.tensor([0.0, 0, 1, 1, 0], dtype=torch.float64)
    assert standard_scores(free.x[T], normal).abs().max() <= 4
    again = sample_optimal(soft[name], 20_000, generator=seeded(9), tilted_start=False)
    assert torch.equal(free.x, again.x)


@pytest.mark.parametrize("alpha", [0.05, 5.0])
def test_at_extreme_alpha_it_ends_and_stays_finite(alpha):
    for reward, _ in REWARDS.values():
        soft = SoftValues(ring(T), reward, alpha=alpha, extent=RING_EXTENT)
        assert torch.isfinite(sample_optimal(soft, 2000, generator=seeded(10)).x).all()


@pytest.mark.parametrize("name", ["wave", "disc"])
def test_moment_matching_has_the_exact_kernels_mean(name):
    """E[z] under N(z; 0, I) exp(v_{t−1}(ρ + σz)/α) by a plain sum."""
    z = torch.linspace(-6, 6, 301, dtype=torch.float64)
    z, (reward, alpha), pretrained = torch.cartesian_prod(z, z), REWARDS[name], ring(20)
    soft = SoftValues(pretrained, reward, alpha=alpha, extent=RING_EXTENT)
    policy, paths = MomentMatched(soft), rollout(pretrained, 6, generator=seeded(11)).x
    for t in (1, 2, 5, 12, 20):
        for x in paths[t].unsqueeze(1):
            y = pretrained.mean(x, t).double() + float(pretrained.sigma(t)) * z
            log_weight = -z.square().sum(1) / 2 + soft(y, t - 1).double() / alpha
            assert torch.allclose(policy.shift(x, t)[0].double(), log_weight.softmax(0) @ z, atol=0.02)


def test_moment_matching_is_a_little_worse_than_the_best(soft):
    best = GaussianOptimum(ring(T), RING_REWARD, alpha=0.5, extent=RING_EXTENT, grid=121)
    report = evaluate(MomentMatched(best.soft), RING_REWARD, alpha=0.5, n=40_000, generator=seeded(12))
    assert -4 * report.objective_se <= best.optimum - report.objective <= 0.01 * (best.optimum + 8.43)


@pytest.mark.parametrize("name", REWARDS)
def test_the_blurred_value_at_the_mean_is_the_value(name, soft):
    x = rollout(ring(T), 200, generator=seeded(13)).x
    for t in (1, 2, 6, T):
        at_mean = soft[name].blurred(t)(ring(T).mean(x[t], t))
        assert torch.allclose(at_mean, soft[name](x[t], t), atol=5e-3)
