"""The still pictures of the theory: their mathematics against closed forms, and every artist against its data."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from tutorial_lib import plots
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import FrontierPoint, SoftValues
from tutorial_lib.metrics import Compared
from tutorial_lib.notebooks.s04_1_theory import figures, figures_study
from tutorial_lib.policies import rollout

from ..oracles import RING_EXTENT, chain, gaussian_chain, ring, seeded, wave
from ..plots.artists import points, title
from .s04_pictures import panel, rgb

AXIS = torch.linspace(-5, 5, 121, dtype=torch.float64)
MASSES = torch.rand(4, 31, 31, generator=seeded(1), dtype=torch.float64)
CLOUD = torch.randn(11, 40, 2, generator=seeded(2))


pytestmark = pytest.mark.usefixtures("house_style")


def test_a_gaussians_marginals_are_closed_form():
    mean, covariance = torch.tensor([0.4, -0.2]).double(), torch.tensor([[0.5, 0.2], [0.2, 0.4]]).double()
    mixture = GaussianMixture(torch.ones(1), mean.float().unsqueeze(0), covariance.float().unsqueeze(0))
    pretrained = chain(mixture, 12)
    masses = figures_study.pretrained_marginals(pretrained, AXIS)
    assert masses.shape == (13, 121, 121) and torch.allclose(masses.sum((1, 2)), torch.ones(13, dtype=torch.float64))
    m, C = gaussian_chain(mean, covariance, pretrained.schedule)
    points, mass = torch.cartesian_prod(AXIS, AXIS), masses[0].reshape(-1)
    centre = mass @ points
    assert torch.allclose(centre, m, atol=1e-6)
    assert torch.allclose((points - centre).T @ ((points - centre) * mass[:, None]), C, atol=1e-6)


@pytest.mark.parametrize("t", [0, 1, 5, 12])
def test_marginals_hold_the_chains_paths(t):
    x = rollout(ring(12), 50_000, generator=seeded(0)).x[t].double()
    mass, points = figures_study.pretrained_marginals(ring(12), AXIS)[t].reshape(-1), torch.cartesian_prod(AXIS, AXIS)
    for f in (lambda x: x, lambda x: x**2, lambda x: (2 * x).cos()):
        assert ((f(x).mean(0) - mass @ f(points)).abs() <= 4 * f(x).std(0) / 50_000**0.5).all()


def test_ranks_are_the_distribution_function():
    centre, x = torch.tensor([[0.3], [-1.0]], dtype=torch.float64), torch.tensor([[0.81, 0.0], [-1.7, 0.4]])
    points = torch.cartesian_prod(AXIS, AXIS)
    weights = (-(points[:, 0] - centre).square() / 2 - points[:, 1].square()).softmax(1)
    expected = torch.special.ndtr(x[:, 0].double() - centre[:, 0])
    assert torch.allclose(figures_study.ranks(weights, x, AXIS), expected, atol=1e-3)
    off = torch.tensor([[-9.0, 0.0], [9.0, 0.0]])
    assert torch.allclose(figures_study.ranks(weights, off, AXIS).clamp(0, 1), torch.tensor([0.0, 1.0]).double())


def test_a_kernel_is_the_step_tilted_by_the_value():
    """At t = 1 the value is the reward itself: N(z; 0, I) exp(r(ρ + σ_1 z)/α) on the grid of z."""
    soft, x = SoftValues(ring(10), wave, alpha=0.2, extent=RING_EXTENT, grid=121), torch.tensor([[-0.7, -1.5]])
    found = figures_study.kernel(soft, x, 1, extent=3.0)
    with torch.no_grad():
        rho, sigma = ring(10).mean(x, 1).double(), float(ring(10).schedule.sigma[1])
    z = torch.linspace(-3, 3, 121, dtype=torch.float64)
    pairs = torch.cartesian_prod(z, z)
    mass = (wave(rho + sigma * pairs) / 0.2 - pairs.square().sum(1) / 2).softmax(0)
    assert torch.allclose(found.mass, mass.reshape(121, 121), atol=0.01 * float(mass.max())) and found.extent == 3
    assert torch.allclose(found.mean, mass @ pairs, atol=1e-3)
    assert (found.mean[0] - found.mean[1]).abs() > 0.1, "or a swapped axis would pass"


def pairs(x, y):
    return np.stack([np.asarray(x), np.asarray(y)], 1)


def assert_backdrop(ax, mass, cloud, extent, shown=3.4):
    """The root of the masses in orange under the points in blue."""
    (image,), (dots,) = ax.images, ax.collections
    assert np.allclose(image.get_array(), mass.sqrt().numpy().T) and image.origin == "lower"
    assert image.get_clim() == (0, 2 * image.get_array().max()) and image.cmap.N == 40
    assert image.cmap(20)[:3] == pytest.approx(to_rgb(plots.TARGET), abs=0.05)
    assert list(image.get_extent()) == [-extent, extent, -extent, extent]
    assert np.allclose(dots.get_offsets(), cloud) and tuple(dots.get_facecolor()[0][:3]) == rgb(plots.TUNED)
    assert ax.get_xlim() == ax.get_ylim() == (-shown, shown)


def test_the_gallery_has_a_row_for_each_reward_and_a_column_for_each_alpha():
    cases = [(name, alpha) for name in ("peak", "disc") for alpha in (0.2, 2.0)]
    figures.show_gallery({case: (MASSES[i], CLOUD[i]) for i, case in enumerate(cases)}, 5.0)
    axes = plt.gcf().axes
    for i, ax in enumerate(axes):
        assert_backdrop(ax, MASSES[i], CLOUD[i], 5.0)
    assert [title(ax) for ax in axes] == ["α = 0.2", "α = 2.0", "", ""]
    assert [ax.get_ylabel() for ax in axes] == ["peak", "", "disc", ""]
    rows, columns = ([getattr(ax.get_subplotspec(), way).start for ax in axes] for way in ("rowspan", "colspan"))
    assert (rows, columns) == ([0, 0, 1, 1], [0, 1, 0, 1])


def test_the_marginals_show_the_points_of_their_own_t():
    figures.show_marginals(CLOUD, {10: MASSES[0], 3: MASSES[1], 0: MASSES[2]}, {0: 1.2, 3: 0.51, 10: -1e-9}, 5.0)
    for ax, t, mass, kl in zip(plt.gcf().axes, (10, 3, 0), MASSES, ("0.00", "0.51", "1.20"), strict=False):
        assert_backdrop(ax, mass, CLOUD[t], 5.0, shown=4.5)
        assert title(ax) == f"t = {t}, KL {kl}"


def test_dots_on_white_are_counted():
    mass = torch.zeros(11, 11, dtype=torch.float64)
    mass[5, 5], mass[5, 6], mass[0, 10] = 0.9, 0.098, 0.002
    x = torch.tensor([[0.0, 0.0], [0.1, 1.1], [-5.0, 5.0], [-4.6, 4.9], [3.0, 3.0]])
    expected, came = figures_study.on_white(mass, x, 5.0)
    assert expected == pytest.approx(0.01) and came == 3
    assert figures_study.on_white(mass, x, 5.0, shades=30) == (0, 1)


def test_a_kernel_is_drawn_over_the_two_gaussians():
    ax = panel()
    kernel = figures_study.Kernel(MASSES[0], torch.tensor([0.5, -1.25], dtype=torch.float64), 4.0)
    figures.show_kernel(ax, kernel, title="cut")
    (image,) = ax.images
    assert np.allclose(image.get_array(), MASSES[0].numpy().T) and image.get_clim() == (0, 2 * float(MASSES[0].max()))
    assert image.cmap(0.5)[:3] == rgb(plots.TARGET) and list(image.get_extent()) == [-4, 4, -4, 4]
    circles = [(circle.center, circle.radius, circle.get_linestyle()) for circle in ax.patches]
    before, after = (0.0, 0.0), (0.5, -1.25)
    assert circles == [(before, 1, "-"), (before, 2, "-"), (after, 1, "--"), (after, 2, "--")]
    for circle, color in zip(ax.patches, 2 * [plots.PRETRAINED] + 2 * [plots.TUNED], strict=True):
        assert circle.get_edgecolor()[:3] == rgb(color) and not circle.get_fill()
    assert title(ax) == "cut" and ax.get_xlim() == ax.get_ylim() == (-4, 4)


def test_ranks_are_counted_in_twenty_bars_on_their_band():
    ax, u = panel(), torch.rand(500, generator=seeded(3), dtype=torch.float64) ** 2
    figures.show_ranks(ax, u, color=plots.TARGET, title="bent")
    bars, (band,) = ax.patches[:-1], ax.patches[-1:]
    counts = [int(((u >= i / 20) & (u < (i + 1) / 20)).sum()) for i in range(20)]
    assert [bar.get_height() for bar in bars] == pytest.approx([20 * count / 500 for count in counts])
    assert [bar.get_x() for bar in bars] == pytest.approx([i / 20 for i in range(20)], abs=1e-9)
    assert bars[0].get_facecolor()[:3] == rgb(plots.TARGET) and band.get_facecolor()[:3] == rgb(plots.PRETRAINED)
    error = 3 * (0.05 * 0.95 / 500) ** 0.5 / 0.05  # of a share of 1/20, as a density
    low, high = band.get_extents().transformed(ax.transData.inverted()).intervaly
    assert (low, high) == pytest.approx((1 - error, 1 + error))
    assert title(ax) == "bent" and ax.get_xlabel() == "rank"


def test_three_ways_to_a_value_are_line_crosses_and_dots():
    ax, along = panel(), torch.linspace(-1, 1, 11)
    first, second = [(along + k, along + k + 0.1, along + k + 0.2, 0.1 * along.abs()) for k in (1, 5)]
    figures.show_three_ways(ax, along, {"v": first, "w": second})
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    few = along[[0, 5, 10]]
    for i, (closed, grid, sampled, error) in enumerate((first, second)):
        assert np.allclose(points(lines[i]), pairs(along, closed)) and lines[i].get_color() == plots.TARGET
        assert np.allclose(points(crosses[i]), pairs(few, grid[[0, 5, 10]])) and crosses[i].get_color() == "black"
        dots, _, (part,) = ax.containers[i]
        assert np.allclose(points(dots), pairs(few, sampled[[0, 5, 10]])) and dots.get_color() == plots.TUNED
        ends = [pairs(2 * [x], (y - 4 * e, y + 4 * e)) for x, y, e in zip(few, sampled[::5], error[::5], strict=True)]
        assert np.allclose(part.get_segments(), ends, atol=1e-6)
    assert [(text.get_text(), *text.xy) for text in ax.texts] == [("v", -1, 0), ("w", -1, 4)]


def test_the_three_shades_are_the_targets_from_light_to_dark():
    light, middle, dark = (np.array(to_rgb(shade)) for shade in figures.SHADES)
    assert figures.SHADES[1] == plots.TARGET and (light > middle + 0.02).sum() >= 2 and (dark < middle).sum() >= 2


def test_agreement_is_a_diagonal():
    ax, line = panel(), torch.linspace(0, 1, 7)
    figures.show_agreement(ax, {3: (line, 2 * line), 8: (line + 1, line)})
    first, second, diagonal = ax.lines
    assert np.allclose(points(first), pairs(line, 2 * line)) and first.get_label() == "t = 3"
    assert np.allclose(points(second), pairs(line + 1, line)) and second.get_label() == "t = 8"
    assert (diagonal.get_xy1(), diagonal.get_slope(), diagonal.get_color()) == ((0, 0), 1, plots.PRETRAINED)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$v_t$ by quadrature", "by Monte Carlo, one step")


def test_distances_stand_on_their_floor():
    """A control inside the band is hollow: floor + 4 s.d. is 0.18 and 0.19."""
    exact = [Compared(0.12, 0.01, 0.1, 0.02), Compared(0.13, 0.01, 0.15, 0.01)]
    gaussian = [Compared(0.17, 0.01, 0.7, 0.3), Compared(0.6, 0.01, 0.8, 0.3)]
    ax = panel()
    figures.show_distances(ax, ["peak", "disc"], exact, gaussian, title="at the floor")
    _, _, (part,) = ax.containers[0]
    told, missed, dots = ax.lines
    assert np.allclose(part.get_segments(), [[(0.02, 0), (0.18, 0)], [(0.11, 1), (0.19, 1)]])
    assert tuple(part.get_edgecolor()[0][:3]) == rgb(plots.PRETRAINED)
    looks = [(line.get_marker(), line.get_color(), line.get_label()) for line in (told, missed, dots)]
    names = ["Gaussian steps, told", "Gaussian steps, not told", "exact kernels"]
    assert looks == list(zip("ddo", (plots.TUNED, plots.TUNED, plots.TARGET), names, strict=True))
    assert (told.get_markerfacecolor(), missed.get_markerfacecolor()) == (plots.TUNED, "white")
    assert points(told).tolist() == [[0.6, 1]] and points(missed).tolist() == [[0.17, 0]]
    assert points(dots).tolist() == [[0.12, 0], [0.13, 1]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["peak", "disc"] and ax.yaxis_inverted()
    assert title(ax) == "at the floor" and ax.get_xlim()[0] == 0


def test_ratios_stand_on_a_line_of_slope_one():
    panels = plt.figure().subplots(1, 2)
    exponent, mass = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.1, 0.5, 0.4])
    starts = {"tilted": (exponent - 2, mass), "plain": (torch.tensor([-1.0, 0.5, 4.0]), mass.flip(0))}
    figures.show_ratios(panels, exponent, starts)
    for ax, (name, (ratio, sizes)) in zip(panels, starts.items(), strict=True):
        (dots,), (line,) = ax.collections, ax.lines
        assert np.allclose(points(dots), pairs(exponent, ratio)) and title(ax) == name
        assert np.allclose(dots.get_sizes(), 1 + 80 * sizes)
        assert (line.get_slope(), line.get_xy1()) == (1, (0, float(ratio[0])))
        assert ax.get_ylim() == pytest.approx((-2.3, 4.3)) and ax.get_xlabel() == "r/α"


def test_slopes_stand_on_the_kl_of_their_own_reward():
    alphas, names = [0.1, 1.0, 10.0], "abc"
    kl, exact = torch.tensor([3.0, 2.0, 1.0]), (float("inf"), 0.0, 0.0, 0.0)
    slopes = {name: (-kl - i, kl + 0.1 + i) for i, name in enumerate(names)}
    curves = {name: [FrontierPoint(a, i + 1 / a, i - a, i, *exact) for a in alphas] for i, name in enumerate(names)}
    figures.show_slopes(alphas, slopes, curves)
    left, right = plt.gcf().axes
    for i, (name, shade) in enumerate(zip(names, figures.SHADES, strict=True)):
        line, dots = right.lines[2 * i], right.lines[2 * i + 1]
        assert np.allclose(points(line), pairs(alphas, slopes[name][1])) and line.get_color() == shade
        assert np.allclose(points(dots), pairs(alphas, -slopes[name][0])) and dots.get_color() == plots.TUNED
        assert (line.get_marker(), dots.get_marker()) == ("None", "o")
        curve = [(point.kl, point.reward - curves[name][-1].reward) for point in curves[name]]
        assert np.allclose(points(left.lines[i]), curve)
        assert (left.lines[i].get_label(), left.lines[i].get_color()) == (name, shade)
    assert (right.get_xscale(), right.get_yscale(), right.get_xlabel()) == ("log", "log", "α")
    assert left.get_xlabel() == "KL* (nats)" and left.get_ylabel() == "E*[r], above its value at α = 10"
