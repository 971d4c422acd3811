"""The still figures of the notebook on diffusion models: what each artist shows, and in which colour."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb, to_rgba

from tutorial_lib import plots
from tutorial_lib.notebooks.s01_1_diffusion_models import figures, study

from ..oracles import seeded

DENSITY = torch.rand(study.CELLS, study.CELLS, generator=seeded(0))


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def title(ax):
    return ax.get_title() + ax.get_title(loc="left")


def is_backdrop(ax, density):
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), density.T)
    assert image.get_extent() == [-study.EXTENT, study.EXTENT] * 2
    np.testing.assert_allclose(image.cmap(1.0), plots.shades(plots.PRETRAINED)(1.0))


def has_color(artist, color):
    return tuple(artist.get_facecolor()[0][:3]) == pytest.approx(to_rgb(color))


def test_clouds_stand_on_their_density_the_first_blue_the_second_orange(ax):
    first, second = torch.randn(2, 400, 2, generator=seeded(1))
    figures.show_cloud(ax, DENSITY, first, second, title="$t = 3$")
    is_backdrop(ax, DENSITY)
    for points, x, color in zip(ax.collections, (first, second), (plots.TUNED, plots.TARGET), strict=True):
        np.testing.assert_array_equal(points.get_offsets(), x[: figures.POINTS])
        assert has_color(points, color)
    assert title(ax) == "$t = 3$"


def test_standardised_differences_wander_over_their_band(ax):
    z = torch.randn(7, 3, generator=seeded(0))
    figures.show_within(ax, z, ("a", "b", "c"), band=4, title="Well?")
    assert [line.get_label() for line in ax.lines] == ["a", "b", "c"]
    for line, values in zip(ax.lines, z.T, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), range(1, 8))
        np.testing.assert_array_equal(line.get_ydata(), values)
    (band,) = ax.patches
    assert sorted(band.get_corners()[:, 1].tolist()) == [-4, -4, 4, 4]
    assert ax.get_ylim() == (-6, 6) and title(ax) == "Well?"
    assert ax.get_legend() is not None and ax.get_xlabel() == "$t$"


def test_a_posterior_has_its_point_in_black_and_its_mean_in_orange(ax):
    found = study.Posterior(torch.tensor([0.9, 0.5]), DENSITY, torch.tensor([-1.0, 2.0]))
    figures.show_posterior(ax, found, title="p")
    is_backdrop(ax, DENSITY)
    cross, dot = ax.lines
    assert [cross.get_marker(), dot.get_marker()] == ["x", "o"]
    np.testing.assert_allclose(cross.get_xydata(), [[0.9, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(dot.get_xydata(), [[-1, 2]])
    assert (cross.get_color(), dot.get_color()) == ("black", plots.TARGET)
    (arrow,) = ax.texts
    assert arrow.xy == (-1, 2) and arrow.xyann == pytest.approx((0.9, 0.5))


def panels() -> Any:
    return plt.gcf().axes


def test_training_shows_the_loss_its_running_mean_the_floor_and_the_score_missed():
    losses = (2 + torch.rand(120, generator=seeded(0))).tolist()
    missed = {1: torch.tensor([0.5, 0.7]), 30: torch.tensor([0.2, 0.4]), 120: torch.tensor([0.05, 0.07])}
    figures.show_training(losses, 1.8, missed)
    left, right = panels()
    loss, running, floor = left.lines
    np.testing.assert_allclose(loss.get_xydata(), [[i, losses[i]] for i in range(0, 120, 5)])
    means = [[i, np.mean(losses[i - 50 : i])] for i in range(50, 121)]
    np.testing.assert_allclose(running.get_xydata(), means, rtol=1e-5)
    assert list(floor.get_ydata()) == [1.8, 1.8]
    np.testing.assert_allclose([to_rgba(line.get_color()) for line in left.lines], [
        plots.shades(plots.TUNED)(0.25), to_rgba(plots.TUNED), to_rgba(plots.TARGET)])  # fmt: skip
    assert left.texts[0].get_text() == "the exact denoiser's loss" and left.texts[0].get_position()[1] < 1.8
    assert (title(left), title(right)) == ("Loss, and its running mean", "Error of the score")
    (curve,) = right.lines
    np.testing.assert_allclose(curve.get_xydata(), [[1, 0.6], [30, 0.3], [120, 0.06]], rtol=1e-6)
    assert curve.get_color() == plots.TUNED and (right.get_xscale(), right.get_yscale()) == ("log", "log")
    assert [tick.get_text() for tick in right.get_yticklabels()] == ["2%", "5%", "10%", "20%", "50%"]
    plt.close()


def test_two_fields_are_drawn_to_one_scale_the_exact_one_broad_the_learned_one_thin(ax):
    points, exact, learned = torch.randn(3, 9, 2, generator=seeded(0))
    figures.show_fields(ax, DENSITY, points, exact, learned, title="f")
    is_backdrop(ax, DENSITY)
    broad, thin = ax.collections
    for arrows, field, color in ((broad, exact, plots.TARGET), (thin, learned, plots.TUNED)):
        np.testing.assert_array_equal(np.stack([arrows.U, arrows.V], 1), field)
        np.testing.assert_array_equal(arrows.XY, points)
        assert has_color(arrows, color)
        assert arrows.scale == pytest.approx(exact.norm(dim=1).max().item() / 0.6)
    assert broad.width > thin.width and broad.headlength == 0 < thin.headlength


def test_the_share_missed_has_a_curve_for_each_number_of_steps(ax):
    missed = {n: torch.rand(8, generator=seeded(n)) for n in (20, 200, 2000)}
    figures.show_missed(ax, missed, limit=0.05, title="m")
    *curves, limit = ax.lines
    assert [line.get_label() for line in curves] == ["after 20 steps", "after 200 steps", "after 2000 steps"]
    for line, (n, error) in zip(curves, missed.items(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), range(1, 9))
        np.testing.assert_array_equal(line.get_ydata(), missed[n])
        assert error is missed[n]
    assert [to_rgba(line.get_color()) for line in curves] == [
        to_rgba(plots.PRETRAINED), plots.shades(plots.TUNED)(0.25), to_rgba(plots.TUNED)]  # fmt: skip
    assert list(limit.get_ydata()) == [0.05, 0.05] and limit.get_color() == plots.TARGET
    assert ax.texts[0].get_text() == "5%" and ax.texts[0].get_position() == pytest.approx((8, 0.06))
    assert ax.get_yscale() == "log" and title(ax) == "m"


def test_paths_run_from_grey_each_in_a_colour_of_its_own(ax):
    paths = torch.randn(6, 5, 2, generator=seeded(0))  # [T+1, P, 2]
    figures.show_paths(ax, DENSITY, paths, title="w")
    is_backdrop(ax, DENSITY)
    colors = [plots.TUNED, *plots.OTHERS]
    assert len(ax.lines) == len(set(colors)) == 5
    for k, (line, color) in enumerate(zip(ax.lines, colors, strict=True)):
        np.testing.assert_array_equal(line.get_xydata(), paths[:, k])
        assert line.get_color() == color
    starts, ends = ax.collections
    np.testing.assert_array_equal(starts.get_offsets(), paths[5])
    np.testing.assert_array_equal(ends.get_offsets(), paths[0])
    assert has_color(starts, plots.PRETRAINED)
    np.testing.assert_allclose(ends.get_facecolor(), [to_rgba(color) for color in colors])
    assert title(ax) == "w"


def test_distances_fall_towards_the_band_of_exact_samples(ax):
    distances = {"SDE": {5: 0.1, 50: 0.02}, "ODE": {5: 0.2, 50: 0.03}, "SDE to ODE": {5: 0.05, 50: 0.01}}
    figures.show_convergence(ax, distances, torch.tensor([0.011, 0.009, 0.014]), title="c")
    for line, (name, curve) in zip(ax.lines, distances.items(), strict=True):
        assert line.get_label() == name
        np.testing.assert_allclose(line.get_xydata(), list(curve.items()))
    assert [line.get_color() for line in ax.lines] == [plots.TUNED, *plots.OTHERS[:2]]
    assert ax.get_ylim() == (0.007, 0.15)  # that of every panel, so that they can be compared
    (band,) = ax.patches
    assert sorted(set(band.get_corners()[:, 1].tolist())) == pytest.approx([0.009, 0.014])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["5", "50"]
    assert (ax.get_xscale(), ax.get_yscale(), title(ax)) == ("log", "log", "c")
