"""The figures of the notebook on reward-weighted MLE: every artist against the numbers that it was made from."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from tutorial_lib import plots
from tutorial_lib.notebooks.s06_1_reward_weighted_mle import figures, study, view

from ..oracles import seeded


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def title(ax):
    return ax.get_title("left") or ax.get_title()


def assert_line(line, x, y, color):
    np.testing.assert_allclose(line.get_xdata(), x)
    np.testing.assert_allclose(line.get_ydata(), y, rtol=1e-6)
    assert to_hex(line.get_color()) == color


def test_an_area_grows_with_the_weight_up_to_a_bound():
    weights = torch.tensor([0.0, 0.01, 0.1, 0.9])
    np.testing.assert_allclose(view.areas(weights), [1, 16, 151, 500])


def test_the_rounds_stand_beside_the_weighted_samples():
    x_0, weights = torch.randn(4, 2, generator=seeded(0)), torch.tensor([0.0, 0.01, 0.1, 0.89])
    clouds = {"after round 1": torch.randn(20, 2, generator=seeded(1)), "after round 3": torch.randn(9, 2)}
    target = torch.rand(9, 9, generator=seeded(3))
    axes = figures.show_learned(x_0, weights, clouds, target, 5.0).axes
    assert [title(ax) for ax in axes] == ["the first samples", "after round 1", "after round 3"]
    for ax, x, color in zip(axes, (x_0, *clouds.values()), (plots.PRETRAINED, plots.TUNED, plots.TUNED), strict=True):
        (image,), (points,) = ax.images, ax.collections
        np.testing.assert_array_equal(image.get_array(), target.numpy().T)
        np.testing.assert_array_equal(image.cmap(range(256)), plots.shades(plots.TARGET)(range(256)))
        assert list(image.get_extent()) == [-5, 5, -5, 5] and ax.get_xlim() == ax.get_ylim() == (-3.7, 3.7)
        np.testing.assert_allclose(np.asarray(points.get_offsets()), x)
        assert to_hex(np.asarray(points.get_facecolor())[0]) == color
    np.testing.assert_allclose(axes[0].collections[0].get_sizes(), [1, 16, 151, 500])  # type: ignore[attr-defined]


def test_the_contest_shows_both_samples_and_every_regret(monkeypatch):
    rows = [
        study.Row(3.0, 140.0, {"offline": 0.05, "online": 0.08, "endless samples": 0.03}),
        study.Row(0.5, 24.0, {"offline": 0.02, "online": 0.01, "endless samples": 0.004}),
    ]
    monkeypatch.setattr(figures, "exact_share", lambda tilted, alpha: tilted * alpha)
    tilted: Any = 0.1
    left, right = figures.show_contest(rows, tilted, 512).axes
    fine = np.geomspace(0.5, 3.0, 41)
    assert_line(left.lines[0], fine, 512 * 0.1 * fine, plots.TARGET)
    assert_line(left.lines[1], [3.0, 0.5], [140, 24], plots.PRETRAINED)
    assert_line(left.lines[2], [0, 1], [1, 1], plots.PRETRAINED)
    assert title(left) == "Effective samples of 512: foretold, and drawn" and left.get_xlabel() == "α"
    assert left.get_xscale() == left.get_yscale() == right.get_xscale() == right.get_yscale() == "log"
    expected = [
        ("offline", [0.05, 0.02], plots.PRETRAINED, "-"),
        ("online", [0.08, 0.01], plots.TUNED, "-"),
        ("endless samples", [0.03, 0.004], plots.TARGET, ":"),
    ]
    for line, (name, regrets, color, style) in zip(right.lines, expected, strict=True):
        assert_line(line, [3.0, 0.5], regrets, color)
        assert line.get_label() == name and line.get_linestyle() == style
    assert (legend := right.get_legend()) is not None
    assert [text.get_text() for text in legend.get_texts()] == [name for name, *_ in expected]
    assert right.get_xlabel() == "α" and right.get_ylabel() == "regret"


@pytest.mark.parametrize("start", [-7.0, -3.0])
def test_progress_leaves_the_first_round_to_the_title(start):
    objectives, effective = [start + i for i in (1, 2, 3, 4)], [0.2, 0.4, 0.6, 0.8]
    left, right = figures.show_progress(objectives, effective, {"$J^*$": -1.2, "$J_G^*$": -1.3}).axes
    assert_line(left.lines[0], [2, 3, 4], [start + 2, start + 3, start + 4], plots.TUNED)
    for line, text, (name, height) in zip(
        left.lines[1:], left.texts, (("$J^*$", -1.2), ("$J_G^*$", -1.3)), strict=True
    ):
        assert_line(line, [0, 0.86], [height, height], plots.TARGET)
        assert text.get_text() == name and text.get_position() == (4.5, height)
    assert title(left) == f"The first round does most of it (from J = −{abs(start + 1):.1f})"
    assert_line(right.lines[0], [1, 2, 3, 4], [0.2, 0.4, 0.6, 0.8], plots.TUNED)
    assert (left.get_ylabel(), right.get_ylabel()) == ("J of its samples", "ESS / n")
    assert left.get_xlabel() == right.get_xlabel() == "round" and right.get_ylim() == (0, 1)


def test_fits_stand_over_the_target():
    x = torch.linspace(-5, 5, 11)
    target, fits = (-x.square()).exp(), {"covers": x.square() / 25, "picks": (-(x - 2).square()).exp()}
    axes = figures.show_fits(x, target, fits).axes
    for ax, (name, density) in zip(axes, fits.items(), strict=True):
        assert_line(ax.lines[0], x, density, plots.TUNED)
        (area,) = ax.collections
        assert to_hex(np.asarray(area.get_facecolor())[0]) == plots.TARGET and title(ax) == name
        outline = area.get_paths()[0].vertices
        for point in zip(x.tolist(), target.tolist(), strict=True):
            assert np.abs(np.asarray(outline) - point).max(1).min() < 1e-6
        assert ax.get_xlim() == (-5, 5) and ax.get_xlabel() == "$x_0$"
