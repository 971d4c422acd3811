"""The exact answers where a few numbers can be worked out on paper: two samples, two cells, one Gaussian step."""

import math

import pytest
import torch

from tutorial_lib.exact import Frontier, GaussianOptimum, MomentMatched, SoftValues, TiltedDensity
from tutorial_lib.exact.chain import law_of_x_0
from tutorial_lib.grids import Grid
from tutorial_lib.policies import SteeredPolicy

from ..algorithms.contract import Constant
from ..oracles import ring, seeded

T, ALPHA = 8, 0.5
B = torch.tensor([0.6, -0.4])


def slanted(x):
    return x @ B.to(x)


@pytest.fixture(scope="module")
def best():
    return GaussianOptimum(ring(T), slanted, alpha=ALPHA, extent=6.0, grid=81)


def test_the_frontier_of_two_samples():
    """Rewards 0 and 1, α = ½: weights 1 and e² over 1 + e²; J* = ½ log((1 + e²)/2)."""
    point, z = Frontier(torch.tensor([0.0, 1.0])).at(0.5), 1 + math.exp(2)
    reward, J = math.exp(2) / z, 0.5 * math.log(z / 2)
    assert (point.reward, point.objective, point.kl) == pytest.approx((reward, J, 2 * (reward - J)))
    assert point.size == pytest.approx(z**2 / (1 + math.exp(4)))
    kl = sum(w * math.log(2 * w) for w in (1 / z, reward))
    assert point.kl == pytest.approx(kl), "KL from even weights, by definition"


def test_the_frontier_of_two_cells_counts_their_masses():
    """Masses ¾ and ¼, rewards 0 and 1, α = ½."""
    frontier = Frontier(torch.tensor([0.0, 1.0]), torch.tensor([0.75, 0.25]))
    point, z = frontier.at(0.5), 0.75 + 0.25 * math.exp(2)
    assert frontier.weights(0.5).tolist() == pytest.approx([0.75 / z, 0.25 * math.exp(2) / z], rel=1e-6)
    assert point.objective == pytest.approx(0.5 * math.log(z), rel=1e-6)
    assert frontier.mean(torch.tensor([3.0, 7.0]), 0.5)[0] == pytest.approx(3 + 4 * point.reward, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_at_its_own_kl_a_point_is_found_again(alpha):
    frontier = Frontier(torch.randn(500, generator=seeded(0)))
    point = frontier.at(alpha)
    found = frontier.at_kl(point.kl)
    assert (found.alpha, found.reward) == pytest.approx((alpha, point.reward), rel=1e-4)
    assert frontier.best_reward(point.kl) == pytest.approx(point.reward, rel=1e-4)


def test_with_few_effective_samples_a_point_is_not_trusted():
    frontier = Frontier(torch.linspace(0, 1, 150))
    assert frontier.at(100.0).size == pytest.approx(150, rel=1e-3) and frontier.at(100.0).trusted
    assert not frontier.at(0.01).trusted


def test_the_law_of_a_constant_push_has_the_chains_own_moments():
    """Every step of u = (0.3, −0.1) moves the mean that 20 000 rollouts have; mass is kept."""
    grid, policy = Grid(6.0, 121), SteeredPolicy(ring(T), Constant())
    mass = law_of_x_0(policy, grid)
    x = torch.randn(20_000, 2, generator=seeded(0))
    with torch.no_grad():
        for t in range(T, 0, -1):
            sigma = policy.schedule.sigma[t]
            push, z = torch.tensor([0.3, -0.1]), torch.randn(x.shape, generator=seeded(t))
            x = ring(T).mean(x, t) + sigma * (push + z)
    assert float(mass.sum()) == pytest.approx(1) and mass.min() >= 0
    for axis in (0, 1):
        line = mass.sum(1 - axis)
        mean = float(line @ grid.axis)
        variance = float(line @ (grid.axis - mean) ** 2)
        assert abs(mean - x[:, axis].mean().item()) <= 4 * x[:, axis].std().item() / 20_000**0.5
        assert variance == pytest.approx(x[:, axis].var().item(), rel=0.05)


def test_the_tilt_is_the_masses_times_exp_r_over_alpha():
    found = TiltedDensity(ring(T), slanted, extent=6.0, grid=61)
    points = torch.cartesian_prod(found.grid.axis, found.grid.axis)
    weighed = found.pretrained.reshape(-1) * (slanted(points) / ALPHA).exp()
    tilt, z = found.at(ALPHA), float(weighed.sum())
    assert torch.allclose(tilt.mass.reshape(-1), weighed / z, rtol=1e-5, atol=1e-12)
    kl = float(torch.special.xlogy(tilt.mass, tilt.mass / found.pretrained.clamp_min(1e-300)).sum())
    assert tilt.objective == pytest.approx(ALPHA * math.log(z), rel=1e-5)
    assert tilt.kl == pytest.approx(kl, rel=1e-4)
    assert tilt.objective == pytest.approx(tilt.reward - ALPHA * tilt.kl)


def test_the_soft_values_obey_bellman_one_step_at_a_time(best):
    """v_t(x) = α log E exp(v_{t−1}(ρ + σ_t z)/α) by 40 000 antithetic draws, at three points of every t."""
    soft, z = best.soft, torch.randn(20_000, 2, generator=seeded(1))
    z = torch.cat([z, -z])
    for t in range(1, T + 1):
        x = torch.tensor([[1.5, 0.4], [-1.0, 0.7], [0.4, -1.3]])
        ahead = ring(T).mean(x, t)[:, None] + ring(T).sigma(t) * z
        weight = (soft(ahead.reshape(-1, 2), t - 1).reshape(3, -1).double() / ALPHA).exp()
        error = ALPHA * weight.std(1) / weight.mean(1) / 200
        assert ((soft(x, t) - ALPHA * weight.mean(1).log()).abs() <= 4 * error + 2e-3).all()


def test_j_star_is_the_mean_of_v_T_over_standard_normal_x_T(best):
    v = best.soft(torch.randn(40_000, 2, generator=seeded(2)), T).double()
    assert abs(best.soft.optimum - v.mean().item()) <= 4 * v.std().item() / 200 + 1e-3
    tilted = ALPHA * float((v / ALPHA).exp().mean().log())
    assert best.soft.tilted_optimum == pytest.approx(tilted, abs=0.02) and tilted > best.soft.optimum


def test_regret_is_measured_from_the_optimum_in_units_of_the_gain(best):
    class Attained:
        objective = best.soft.optimum - 0.25 * (best.soft.optimum - best.soft.pretrained_objective)

    gain = best.soft.optimum - best.soft.pretrained_objective
    assert best.soft.regret(Attained()) == pytest.approx(0.25)
    assert best.learning_gap(Attained()) == pytest.approx(0.25 - best.family_gap)
    assert best.family_gap == pytest.approx((best.soft.optimum - best.optimum) / gain) and best.family_gap > 0


def test_no_constant_added_to_the_best_shift_makes_it_better(best):
    """J_G* is a maximum: E[B(ρ + σu)] − α‖u‖²/2 by 40 000 draws of the last step, at u* and around it."""
    x, z = torch.tensor([[0.3, -0.8]]), torch.randn(20_000, 2, generator=seeded(3))
    z = torch.cat([z, -z])
    rho, sigma, u = ring(T).mean(x, 1), ring(T).sigma(1), best.shift(x, 1)

    def earned(u):
        return float(slanted(rho + sigma * (u + z)).mean()) - ALPHA * float(u.square().sum()) / 2

    assert torch.allclose(u[0], sigma * B / ALPHA, atol=1e-3), "a linear reward pulls with σ b/α"
    for step in torch.tensor([[0.1, 0.0], [-0.1, 0.0], [0.0, 0.1], [0.0, -0.1]]):
        assert earned(u + step) < earned(u)


def test_moment_matching_goes_up_the_slope_of_the_blurred_value(best):
    """At t = 1 the value ahead is r itself, linear, and its blur has the same slope: u = σ b/α."""
    x = torch.randn(20, 2, generator=seeded(4))
    found = MomentMatched(best.soft).shift(x, 1)
    assert torch.allclose(found, (ring(T).sigma(1) * B / ALPHA).expand(20, 2), atol=1e-3)
    y, h = ring(T).mean(x, 5), 1e-2
    blurred = best.soft.blurred(5)
    steps = h * torch.eye(2)
    slope = torch.stack([blurred(y + e) - blurred(y - e) for e in steps], 1) / (2 * h)
    assert torch.allclose(MomentMatched(best.soft).shift(x, 5), ring(T).sigma(5) / ALPHA * slope, atol=5e-3)


def test_soft_values_without_a_reward_are_zero():
    soft = SoftValues(ring(T), lambda x: torch.zeros(len(x)), alpha=ALPHA, extent=6.0, grid=32)
    assert (soft.optimum, soft.tilted_optimum) == pytest.approx((0, 0), abs=1e-5)
