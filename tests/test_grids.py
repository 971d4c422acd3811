"""Splines, blurs and dealing on a grid against closed forms, autograd and scipy."""

import math

import pytest
import torch
from scipy import stats

from tutorial_lib.grids import Grid, Spline, soft_blur_of, soft_mean

from .oracles import seeded

GRID = Grid(2.0, 41)


def quadratic(x):
    return 0.3 - 0.7 * x[..., 0] + 1.1 * x[..., 1] ** 2 - 0.4 * x[..., 0] * x[..., 1] + 0.2 * x[..., 0] ** 2


def wave(x):
    return (1.5 * x[..., 0]).sin() * (0.8 * x[..., 1]).cos()


def on_grid(f, grid=GRID):
    x = torch.cartesian_prod(grid.axis, grid.axis)
    return f(x).reshape(grid.n, grid.n)


def inside(n, seed=0, edge=2.0):
    return edge * (2 * torch.rand(n, 2, generator=seeded(seed), dtype=torch.float64) - 1)


def test_the_points_are_the_axis_twice():
    assert GRID.points.shape == (41**2, 2) and GRID.axis[0] == -2 and GRID.axis[-1] == 2
    assert torch.allclose(GRID.axis.diff(), torch.tensor(GRID.spacing, dtype=torch.float64))
    assert torch.allclose(GRID.points.double().reshape(41, 41, 2)[3, 5], torch.stack([GRID.axis[3], GRID.axis[5]]))


def test_mass_sums_to_one_and_keeps_ratios():
    log_density = on_grid(lambda x: -x.square().sum(-1) / 2)
    mass = GRID.mass(log_density + 1000)
    assert mass.sum().item() == pytest.approx(1)
    assert torch.allclose((mass / mass[0, 0]).log(), log_density - log_density[0, 0])


def test_a_spline_is_exact_for_quadratics_up_to_the_border():
    x = torch.cat([inside(500), torch.tensor([[-2.0, 2.0], [2.0, 0.13], [1.97, -1.99]], dtype=torch.float64)])
    spline = Spline(on_grid(quadratic), GRID)
    assert (spline(x) - quadratic(x)).abs().max() <= 1e-12
    x.requires_grad_()
    exact = torch.autograd.grad(quadratic(x).sum(), x)[0]
    away = (x.detach().abs() < 2).all(1)
    assert (spline.grad(x.detach()) - exact)[away].abs().max() <= 1e-11


def test_a_spline_reads_the_grids_own_values_and_converges_at_fourth_order():
    errors = []
    for n in (21, 41, 81):
        grid = Grid(2.0, n)
        spline = Spline(on_grid(wave, grid), grid)
        assert (
            spline(torch.cartesian_prod(grid.axis, grid.axis)) - on_grid(wave, grid).reshape(-1)
        ).abs().max() < 1e-12
        x = inside(2000, edge=1.5)
        errors.append((spline(x) - wave(x)).abs().max().item())
    assert errors[0] < 1e-4 and errors[0] / errors[1] > 12 and errors[1] / errors[2] > 12


def test_a_splines_gradient_is_its_slope():
    spline = Spline(on_grid(wave), GRID)
    x = inside(200, 1, 1.99).requires_grad_()
    by_autograd = torch.autograd.grad(spline(x).sum(), x)[0]
    assert torch.allclose(spline.grad(x.detach()), by_autograd, atol=1e-12)
    h = 1e-5
    for axis in range(2):
        step = h * torch.eye(2, dtype=torch.float64)[axis]
        difference = (spline(x.detach() + step) - spline(x.detach() - step)) / (2 * h)
        assert torch.allclose(spline.grad(x.detach())[:, axis], difference, atol=1e-7)


def test_the_slope_matrix_is_the_splines_slope_at_its_own_points():
    values, points = on_grid(wave), torch.cartesian_prod(GRID.axis, GRID.axis)
    slope, exact = GRID.slope_matrix(), Spline(values, GRID).grad(points)
    assert torch.allclose((slope @ values).reshape(-1), exact[:, 0], atol=1e-12)
    assert torch.allclose((values @ slope.mT).reshape(-1), exact[:, 1], atol=1e-12)


def test_outside_the_grid_a_spline_keeps_its_border_value():
    spline = Spline(on_grid(wave), GRID)
    out, border = torch.tensor([[3.0, 0.5], [-9.0, 7.0]]), torch.tensor([[2.0, 0.5], [-2.0, 2.0]])
    assert torch.equal(spline(out), spline(border))
    slope = spline.grad(out)
    assert slope[0, 0] == 0 and slope[0, 1] != 0 and not slope[1].any()
    assert spline(out).dtype == slope.dtype == torch.float32


def test_a_spline_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match=r"expected values \[41, 41\] for this grid, got \[40, 41\]"):
        Spline(torch.zeros(40, 41), GRID)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_the_soft_blur_of_a_quadratic_is_closed_form(sigma, alpha):
    """r = b·x − ½k‖x‖²: α log E exp(r(x + σz)/α) is again quadratic, with precision k/α + 1/σ²."""
    b, k = torch.tensor([0.4, -0.3], dtype=torch.float64), 0.8
    f = on_grid(lambda x: x @ b - k * x.square().sum(-1) / 2)
    shrink = 1 + k * sigma**2 / alpha

    def exact(x):
        return (
            x @ b - k * x.square().sum(-1) / 2 + sigma**2 * (b - k * x).square().sum(-1) / (2 * alpha * shrink)
        ) - alpha * math.log(shrink)

    middle = slice(20, 21) if sigma > 0.2 else slice(12, 29)  # where five σ stay on the grid
    blurred = Grid.soft_blur(f, GRID.hermite(sigma, 9), alpha)
    assert (blurred - on_grid(exact))[middle, middle].abs().max() <= 2e-6


@pytest.mark.parametrize("sigma", [0.03, 0.2])
def test_the_plain_blur_is_the_mean(sigma):
    """α = ∞. For a wave, E sin(ax + aσz) = exp(−a²σ²/2) sin(ax)."""
    blurred = Grid.soft_blur(on_grid(wave), GRID.hermite(sigma, 9), math.inf)
    exact = math.exp(-(1.5**2 + 0.8**2) * sigma**2 / 2) * on_grid(wave)
    assert (blurred - exact)[12:29, 12:29].abs().max() <= 1e-5


def test_soft_mean_lies_between_the_mean_and_the_maximum():
    values = torch.randn(7, 5, generator=seeded(0), dtype=torch.float64)
    weights = torch.rand(5, generator=seeded(1), dtype=torch.float64)
    weights /= weights.sum()
    by_hand = 0.7 * (weights * (values / 0.7).exp()).sum(1).log()
    assert torch.allclose(soft_mean(values, weights, 0.7, 1), by_hand)
    assert torch.allclose(soft_mean(values, weights, 1e6, 1), values @ weights, atol=1e-5)
    assert torch.allclose(soft_mean(values, weights, 1e-4, 1), values.max(1).values, atol=1e-3)
    assert torch.allclose(soft_mean(values, weights, math.inf, 1), values @ weights)


@pytest.mark.parametrize("edge", [0.0, 0.5, 0.537, -0.9813])
@pytest.mark.parametrize("sigma", [0.08, 0.15, 0.3])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_blur_of_a_step_is_the_normal_distribution_function(edge, sigma, axis):
    """r = 1 beyond a line: E exp(r/α) = 1 + (e^{1/α} − 1) Φ((x − edge)/σ), wherever the line falls in a cell."""
    alpha = 0.2
    blurred = soft_blur_of(lambda x: (x[:, axis] > edge).to(x), sigma, alpha, GRID, jump=alpha / 4)
    exact = alpha * torch.log1p(
        math.expm1(1 / alpha) * torch.from_numpy(stats.norm.cdf((GRID.axis.numpy() - edge) / sigma))
    )
    row = blurred if axis == 1 else blurred.mT
    assert (row - exact).abs().max() <= 0.01  # of a jump of one
    share = ((row / alpha).exp() - 1) / math.expm1(1 / alpha)
    displaced = 1 / 48 * stats.norm.pdf(0)  # the place of the jump is known to half of σ/24
    assert (share - ((exact / alpha).exp() - 1) / math.expm1(1 / alpha)).abs().max() <= 1.1 * displaced
    assert (row - row[:1]).abs().max() <= 1e-5


def test_a_slanted_step_is_blurred_as_an_upright_one():
    alpha, sigma, normal = 0.5, 0.08, torch.tensor([math.cos(0.4), math.sin(0.4)])
    blurred = soft_blur_of(lambda x: (x @ normal > 0.2).to(x), sigma, alpha, GRID, jump=alpha / 4)
    distance = on_grid(lambda x: x @ normal.double() - 0.2)
    share = torch.from_numpy(stats.norm.cdf(distance.numpy() / sigma))
    got = ((blurred / alpha).exp() - 1) / math.expm1(1 / alpha)
    assert (got - share).abs().max() <= 0.01


def test_a_smooth_reward_is_blurred_exactly_even_beyond_the_grid():
    """A callable is asked outside the grid too, so that its border is as right as its middle."""
    sigma, alpha, k = 0.1, 0.5, 0.6
    blurred = soft_blur_of(lambda x: -k * x.square().sum(-1) / 2, sigma, alpha, GRID, jump=alpha / 4)
    shrink = 1 + k * sigma**2 / alpha
    exact = on_grid(lambda x: -k * x.square().sum(-1) / (2 * shrink) - alpha * math.log(shrink))
    assert (blurred - exact).abs().max() <= 1e-4


def test_dealing_is_the_transpose_of_reading():
    """⟨deal(m at x), f⟩ = Σ m f(x) for any values f on the grid."""
    x, mass = inside(300, 2), torch.rand(300, generator=seeded(3), dtype=torch.float64)
    values = torch.randn(41, 41, generator=seeded(4), dtype=torch.float64)
    dealt = GRID.deal(mass, *GRID.taps(x))
    assert dealt.shape == (41, 41)
    assert float((dealt * values).sum()) == pytest.approx(float((mass * Spline(values, GRID)(x)).sum()), rel=1e-10)


def test_dealt_mass_keeps_its_sum_its_mean_and_its_spread():
    """Because a spline is exact for 1, x and x²."""
    x, mass = inside(300, 5), torch.full((300,), 1 / 300, dtype=torch.float64)
    dealt = GRID.deal(mass, *GRID.taps(x))
    assert dealt.sum().item() == pytest.approx(1)
    for axis in range(2):
        line = dealt.sum(1 - axis)
        assert (line @ GRID.axis).item() == pytest.approx(x[:, axis].mean().item(), abs=1e-12)
        assert (line @ GRID.axis**2).item() == pytest.approx(x[:, axis].square().mean().item(), abs=1e-12)


def test_inverse_cdf_samples_the_masses():
    """Two narrow Gaussians with correlated coordinates: moments within 4 standard errors, plus the cells' own width."""
    grid, n = Grid(4.0, 201), 200_000
    precision = torch.linalg.inv(torch.tensor([[0.5, 0.3], [0.3, 0.4]], dtype=torch.float64))
    mass = grid.mass(on_grid(lambda x: -((x - 0.5) @ precision * (x - 0.5)).sum(-1) / 2, grid))
    x = grid.inverse_cdf(mass, torch.rand(n, 2, generator=seeded(0))).double()
    assert x.shape == (n, 2)
    assert ((x.mean(0) - 0.5).abs() <= 4 * x.std(0) / n**0.5).all()
    cell = grid.spacing**2 / 12
    products = ((x - 0.5).unsqueeze(-1) * (x - 0.5).unsqueeze(-2)).reshape(n, 4)
    exact = torch.tensor([0.5 + cell, 0.3, 0.3, 0.4 + cell], dtype=torch.float64)
    assert ((products.mean(0) - exact).abs() <= 4 * products.std(0) / n**0.5).all()


def test_inverse_cdf_leaves_empty_cells_empty():
    mass = torch.zeros(41, 41, dtype=torch.float64)
    mass[10, 3], mass[30, 35] = 0.25, 0.75
    n = 40_000
    x = GRID.inverse_cdf(mass, torch.rand(n, 2, generator=seeded(0))).double()
    first = (x - torch.stack([GRID.axis[10], GRID.axis[3]])).abs().amax(1) <= GRID.spacing / 2 + 1e-6
    second = (x - torch.stack([GRID.axis[30], GRID.axis[35]])).abs().amax(1) <= GRID.spacing / 2 + 1e-6
    assert (first ^ second).all()
    assert abs(first.double().mean().item() - 0.25) <= 4 * (0.25 * 0.75 / n) ** 0.5
