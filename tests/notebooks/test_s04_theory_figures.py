"""The still pictures of the theory: their mathematics against closed forms, and that each draws."""

import matplotlib.pyplot as plt
import pytest
import torch

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import Frontier, SoftValues, TiltedDensity
from tutorial_lib.metrics import Compared
from tutorial_lib.notebooks.s04_theory import figures as theory_figures
from tutorial_lib.policies import rollout
from tutorial_lib.rewards import disc

from ..oracles import RING_EXTENT, RING_REWARD, chain, gaussian_chain, ring, seeded

AXIS = torch.linspace(-5, 5, 121, dtype=torch.float64)


def test_a_gaussians_marginals_are_closed_form():
    mean, covariance = torch.tensor([0.4, -0.2]).double(), torch.tensor([[0.5, 0.2], [0.2, 0.4]]).double()
    mixture = GaussianMixture(torch.ones(1), mean.float().unsqueeze(0), covariance.float().unsqueeze(0))
    pretrained = chain(mixture, 12)
    masses = theory_figures.pretrained_marginals(pretrained, AXIS)
    assert masses.shape == (13, 121, 121) and torch.allclose(masses.sum((1, 2)), torch.ones(13, dtype=torch.float64))
    m, C = gaussian_chain(mean, covariance, pretrained.schedule)
    points, mass = torch.cartesian_prod(AXIS, AXIS), masses[0].reshape(-1)
    centre = mass @ points
    assert torch.allclose(centre, m, atol=1e-6)
    assert torch.allclose((points - centre).T @ ((points - centre) * mass[:, None]), C, atol=1e-6)


@pytest.mark.parametrize("t", [0, 1, 5, 12])
def test_marginals_hold_the_chains_paths(t):
    x = rollout(ring(12), 50_000, generator=seeded(0)).x[t].double()
    mass, points = theory_figures.pretrained_marginals(ring(12), AXIS)[t].reshape(-1), torch.cartesian_prod(AXIS, AXIS)
    for f in (lambda x: x, lambda x: x**2, lambda x: (2 * x).cos()):
        assert ((f(x).mean(0) - mass @ f(points)).abs() <= 4 * f(x).std(0) / 50_000**0.5).all()


def test_ranks_are_the_distribution_function():
    centre, x = torch.tensor([[0.3], [-1.0]], dtype=torch.float64), torch.tensor([[0.81, 0.0], [-1.7, 0.4]])
    points = torch.cartesian_prod(AXIS, AXIS)
    weights = (-(points[:, 0] - centre).square() / 2 - points[:, 1].square()).softmax(1)
    expected = torch.special.ndtr(x[:, 0].double() - centre[:, 0])
    assert torch.allclose(theory_figures.ranks(weights, x, AXIS), expected, atol=1e-3)
    off = torch.tensor([[-9.0, 0.0], [9.0, 0.0]])
    assert torch.allclose(theory_figures.ranks(weights, off, AXIS).clamp(0, 1), torch.tensor([0.0, 1.0]).double())


def test_every_picture_draws():
    tilted = TiltedDensity(ring(10), RING_REWARD, extent=RING_EXTENT, grid=61)
    soft = SoftValues(ring(10), disc((-1.5, -1.5), radius=0.8), alpha=0.2, extent=RING_EXTENT, grid=81)
    cloud = torch.randn(11, 40, 2, generator=seeded(1))
    theory_figures.show_gallery({("peak", a): (tilted.at(a).mass, cloud[0]) for a in (0.2, 2.0)}, RING_EXTENT)
    theory_figures.show_marginals(cloud, {t: tilted.at(1.0).mass for t in (10, 0)}, RING_EXTENT)
    _, axes = plt.subplots(1, 5)
    theory_figures.show_kernel(axes[0], soft, torch.tensor([[-0.7, -1.5]]), 1, title="cut")
    theory_figures.show_ranks(axes[1], torch.rand(50, generator=seeded(2)), color="red", title="ranks")
    line = torch.linspace(0, 1, 11)
    theory_figures.show_three_ways(axes[2], line, {"v": (line, line, line, 0.1 * line)})
    theory_figures.show_split(axes[3], {"best": (0.1, -0.001, 0.002)}, title="split")
    theory_figures.show_lines(axes[4], [1, 2], {"a": [1.0, 2.0]}, title="lines", xlabel="T")
    _, axes = plt.subplots(1, 3)
    theory_figures.show_agreement(axes[0], {3: (line, line)})
    found = [Compared(0.2, 0.01, 0.1, 0.02)]
    theory_figures.show_distances(axes[1], ["peak"], found, found)
    theory_figures.show_losses(axes[2], {"best": torch.rand(10, generator=seeded(3))}, title="lost")
    rewards = {name: Frontier(torch.rand(9, generator=seeded(4))).curve(1 + line) for name in "abc"}
    theory_figures.show_slopes((1 + line).tolist(), {name: (-1 - line, 1 + line) for name in "abc"}, rewards)
    for figure in map(plt.figure, plt.get_fignums()):
        figure.canvas.draw()
        assert figure.axes and all(ax.has_data() for ax in figure.axes)
        plt.close(figure)
