"""The figures of the notebook on reward-weighted MLE: every artist against the numbers that it was made from."""

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
    assert [title(ax) for ax in axes] == ["pretrained, weighted", "after round 1", "after round 3"]
    for ax, x, color in zip(axes, (x_0, *clouds.values()), (plots.PRETRAINED, plots.TUNED, plots.TUNED), strict=True):
        (image,), (points,) = ax.images, ax.collections
        np.testing.assert_array_equal(image.get_array(), target.numpy().T)
        np.testing.assert_array_equal(image.cmap(range(256)), plots.shades(plots.TARGET)(range(256)))
        assert list(image.get_extent()) == [-5, 5, -5, 5] and ax.get_xlim() == ax.get_ylim() == (-3.7, 3.7)
        np.testing.assert_allclose(np.asarray(points.get_offsets()), x)
        assert to_hex(np.asarray(points.get_facecolor())[0]) == color
    np.testing.assert_allclose(axes[0].collections[0].get_sizes(), [1, 16, 151, 500])  # type: ignore[attr-defined]


def rows(seeds=2):
    """Two seeds, two sizes, three α, every entry another number."""
    g, S, A = seeded(0), seeds, 3
    span, endless = torch.tensor([3.0, 20.0, 90.0]), torch.tensor([0.1, 0.2, 0.4])
    effective, offline = 1 + torch.rand(S, 2, A, generator=g), 1 + torch.rand(S, 2, A, generator=g)
    online = 0.5 + torch.rand(S, A, generator=g)
    return study.FewSamples((3.0, 0.5, 0.1), (64, 256), span, endless, effective, offline, online, budget=256)


def tenth(alpha):
    return alpha / 10


def labels(ax):
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_counts_stand_beside_what_was_foretold():
    few = rows()
    left, right = figures.show_counts(few, tenth).axes
    fine = np.geomspace(0.1, 3.0, 41)
    assert_line(left.lines[0], fine, 25.6 * fine, plots.TARGET)
    for line, counts in zip(left.lines[1:3], few.effective[:, 1], strict=True):
        assert_line(line, few.alphas, counts, plots.PRETRAINED)
    for i, line in enumerate(right.lines[:3]):
        np.testing.assert_allclose(line.get_xdata(), few.sizes)
        np.testing.assert_allclose(line.get_ydata(), few.effective[:, :, i].mean(0))
        assert right.texts[i].get_text() == f"α = {few.alphas[i]:g}" and right.texts[i].get_color() == line.get_color()
        assert right.texts[i].get_position()[1] == pytest.approx(float(few.effective[:, 1, i].mean()))
    for ax in (left, right):
        assert_line(ax.lines[-1], [0, 1], [1, 1], plots.PRETRAINED)
        assert ax.get_xscale() == ax.get_yscale() == "log"
    assert labels(left) == ["foretold", "five draws"]
    assert (title(left), title(right)) == ("n = 256: foretold, and drawn", "The same, against n (means)")
    assert (left.get_xlabel(), left.get_ylabel(), right.get_xlabel()) == ("α", "effective samples", "n")


def assert_band(ax, i, x, y, color):
    """A mean over seeds as a line, and least to largest as an area."""
    np.testing.assert_allclose(ax.lines[i].get_xdata(), x, rtol=1e-6)
    np.testing.assert_allclose(ax.lines[i].get_ydata(), y.mean(0), rtol=1e-6)
    area = ax.collections[i]
    assert to_hex(ax.lines[i].get_color()) == to_hex(area.get_facecolor()[0]) == color
    outline = area.get_paths()[0].vertices
    for point in [*zip(x, y.amin(0).tolist(), strict=True), *zip(x, y.amax(0).tolist(), strict=True)]:
        assert np.abs(outline - point).max(1).min() < 1e-5


def test_the_excess_is_that_over_endless_samples():
    few = rows()
    left, right = figures.show_excess(few, tenth).axes
    assert_band(left, 0, few.alphas, few.offline[:, 1] - few.endless, plots.PRETRAINED)
    assert_band(left, 1, few.alphas, few.online - few.endless, plots.TUNED)
    for i, n in enumerate(few.sizes):
        assert_band(right, i, [n * a / 10 for a in few.alphas], few.offline[:, i] - few.endless, plots.OTHERS[i])
    assert labels(left) == ["offline", "online"] and labels(right) == ["offline, n = 64", "offline, n = 256"]
    assert (title(left), title(right)) == ("256 samples, two forms", "Offline, three sizes")
    assert (left.get_xlabel(), left.get_ylabel()) == ("α", "nats beyond endless samples")
    assert right.get_xlabel() == "effective samples, foretold"


def test_the_kl_of_each_arm_stands_over_its_steps():
    names = (
        "control, the KL's weights",
        "control, uniform ε-weights",
        "LoRA, the KL's weights",
        "LoRA, uniform ε-weights",
    )
    arms = study.Arms(names, torch.rand(2, 4), torch.rand(2, 4), torch.rand(2, 4, 6, generator=seeded(1)) + 0.1)
    for ax, first, way in zip(figures.show_spending(arms).axes, (0, 2), ("control", "LoRA"), strict=True):
        for i, color in enumerate((plots.PRETRAINED, plots.TUNED)):
            assert_band(ax, i, [1, 2, 3, 4, 5], arms.kl[:, first + i, 1:], color)
        assert labels(ax) == ["the KL's weights", "uniform ε-weights"] and ax.get_xlim() == (5, 1)
        assert title(ax) == f"Where the KL is spent: {way}" and ax.get_yscale() == "log"


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
    assert title(left) == f"J of each round's samples (round 1: −{abs(start + 1):.1f})"
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
