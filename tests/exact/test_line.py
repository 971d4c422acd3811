"""A chain on a line: its laws and values against unrolled sums, and its optima against the plane's exact answers."""

import math

import pytest
import torch

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import GaussianOptimum, LineChain

from ..oracles import chain

ALPHA = 0.3
CENTRES, WIDTH = torch.tensor([-1.0, 1.2]), 0.4


def line(T=8, n=201):
    return LineChain(
        chain(GaussianMixture(torch.tensor([0.3, 0.7]), CENTRES[:, None], stds=WIDTH * torch.ones(2)), T), extent=4, n=n
    )


def bump(x):
    return (-2 * (x - 1).square()).exp()


def test_a_kernel_is_the_step_at_the_points():
    found = line()
    pretrained = chain(GaussianMixture(torch.tensor([0.3, 0.7]), CENTRES[:, None], stds=WIDTH * torch.ones(2)), 8)
    for t in (1, 4, 8):
        with torch.no_grad():
            mean = pretrained.mean(torch.tensor([[0.4]]), t).double()
        density = torch.distributions.Normal(mean, pretrained.schedule.sigma[t].double()).log_prob(found.axis).exp()
        row = found.kernels[t][110]
        assert float(found.axis[110]) == pytest.approx(0.4) and found.spacing == pytest.approx(0.04)
        assert torch.allclose(row, density[0] * found.spacing, atol=1e-5)
    assert torch.allclose(found.kernels.sum(2), torch.ones(9, 201, dtype=torch.float64))


def test_values_are_unrolled_expectations():
    found = line()
    r, ahead = bump(found.axis), torch.eye(201, dtype=torch.float64)
    v = found.soft_values(r, ALPHA)
    for t in range(9):
        ahead = found.kernels[t] @ ahead
        assert torch.allclose(v[t], ALPHA * (ahead @ (r / ALPHA).exp()).log(), atol=1e-12)
    laws = found.forward(found.start, found.kernels)
    assert torch.allclose(laws[0], found.start @ ahead) and torch.equal(laws[8], found.start)


def test_the_optimal_kernels_end_in_the_tilted_law():
    found = line()
    r = bump(found.axis)
    v = found.soft_values(r, ALPHA)
    kernels = found.optimal_kernels(v, ALPHA)
    assert torch.allclose(kernels[1:].sum(2), torch.ones(8, 201, dtype=torch.float64))
    start = found.start * (v[-1] / ALPHA).exp()
    before, after = found.forward(found.start, found.kernels)[0], found.forward(start / start.sum(), kernels)[0]
    target = before * (r / ALPHA).exp()
    assert torch.allclose(after, target / target.sum(), atol=1e-14)


def test_the_best_gaussian_steps_are_the_best_of_a_fine_search():
    found = line()
    V, means = found.gaussian_values(bump(found.axis), ALPHA)
    for t, i in ((1, 60), (3, 100), (8, 140)):
        y = found.means[t, i] + float(found.sigma[t]) * torch.linspace(-4, 4, 2001, dtype=torch.float64)
        density = torch.distributions.Normal(y[:, None], found.sigma[t]).log_prob(found.axis).exp() * found.spacing
        heights = density @ V[t - 1] - ALPHA / 2 * ((y - found.means[t, i]) / found.sigma[t]).square()
        assert float(V[t, i]) == pytest.approx(float(heights.max()), abs=2e-4)
        assert float(means[t, i]) == pytest.approx(float(y[heights.argmax()]), abs=0.02)


def test_its_optima_are_those_of_a_plane_whose_other_axis_earns_nothing():
    centres = torch.stack([CENTRES, torch.zeros(2)], 1)
    plane = chain(GaussianMixture(torch.tensor([0.3, 0.7]), centres, stds=WIDTH * torch.ones(2)), 8)
    best = GaussianOptimum(plane, lambda x: bump(x[:, 0]), alpha=ALPHA, extent=6.0, grid=81)
    found = line()
    r = bump(found.axis)
    v, V = found.soft_values(r, ALPHA), found.gaussian_values(r, ALPHA)[0]
    gain = best.soft.optimum - best.soft.pretrained_objective
    assert float(found.start @ V[-1]) == pytest.approx(best.optimum, abs=1e-3 * gain)
    assert float(found.start @ v[-1]) == pytest.approx(best.soft.optimum, abs=1e-3 * gain)
    log_z = math.log(float(found.start @ (v[-1] / ALPHA).exp()))
    assert ALPHA * log_z == pytest.approx(best.soft.tilted_optimum, abs=1e-3 * gain)


def test_what_does_not_fit_is_refused():
    plane = chain(GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.ones(1)), 8)
    with pytest.raises(ValueError, match=r"data of shape \[1\], got \[2\]"):
        LineChain(plane, extent=4.0)
    with pytest.raises(ValueError, match="too wide for σ_1"):
        line(n=21)


def test_what_lies_ahead_is_the_law_of_x_0_given_x_t():
    """Ahead of the law of x_t lies that of x_0, and no step further lies x_t itself; E[x_0|x_t] by hand."""
    found = line()
    laws = found.forward(found.start, found.kernels)
    for t in (0, 1, found.T):
        torch.testing.assert_close(laws[t] @ found.ahead(t), laws[0])
    assert torch.equal(found.ahead(0), torch.eye(len(found.axis)).double())
    mean = (found.kernels[2] @ (found.kernels[1] @ found.axis)).clamp(found.axis[0], found.axis[-1])
    torch.testing.assert_close(found.at_expected(3 * found.axis - 1, 2), 3 * mean - 1)
