"""The figures of the notebook on reward backpropagation: every artist against the numbers that it was made from."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.text import Annotation

from tutorial_lib import plots
from tutorial_lib.notebooks.s05_2_reward_backpropagation import figures

from ..oracles import seeded


@pytest.fixture
def ax():
    yield plt.figure().subplots()
    plt.close("all")


def assert_line(line, x, y, color):
    np.testing.assert_allclose(line.get_xdata(), x)
    np.testing.assert_allclose(line.get_ydata(), y)
    assert to_hex(line.get_color()) == color


def notes(ax):
    """Every annotation of a panel: its text → (the point that it marks, its colour)."""
    marks = [text for text in ax.texts if isinstance(text, Annotation)]
    return {text.get_text(): (pytest.approx(text.xy), to_hex(text.get_color())) for text in marks}


def test_training_has_a_panel_for_each_number_of_queries():
    target = torch.rand(9, 9, generator=seeded(0))
    clouds = {queries: torch.randn(20, 2, generator=seeded(queries)) for queries in (0, 32, 1920)}
    figures.show_training(target, 5.0, clouds)
    axes = plt.gcf().axes
    assert [ax.get_title("left") or ax.get_title() for ax in axes] == ["0 queries", "32 queries", "1,920 queries"]
    for ax, x in zip(axes, clouds.values(), strict=True):
        (image,), (points,) = ax.images, ax.collections
        np.testing.assert_array_equal(image.get_array(), target.numpy().T)
        np.testing.assert_array_equal(image.cmap(range(256)), plots.shades(plots.TARGET)(range(256)))
        assert list(image.get_extent()) == [-5, 5, -5, 5] and ax.get_xlim() == ax.get_ylim() == (-3.4, 3.4)
        np.testing.assert_allclose(np.asarray(points.get_offsets()), x)
        assert to_hex(np.asarray(points.get_facecolor())[0]) == plots.TUNED
    plt.close("all")


@pytest.mark.parametrize(("family", "good"), [(0.01, 0.02), (0.005, 0.1)])
def test_the_race_shows_each_runner_and_both_levels(ax, family, good):
    curves = {"a": ([10, 20], [0.5, 0.1], plots.TUNED), "b": ([30, 70], [0.4, 0.2], plots.OTHERS[0])}
    figures.show_race(ax, curves, family=family, good=good)
    for line, (name, (queries, regret, color)) in zip(ax.lines, curves.items(), strict=False):
        assert_line(line, queries, regret, color)
        assert line.get_label() == name
    assert_line(ax.lines[2], [0, 1], [good, good], plots.PRETRAINED)
    assert_line(ax.lines[3], [0, 1], [family, family], plots.PRETRAINED)
    places = {text.get_text().strip(): text.get_position() for text in ax.texts}
    assert places == {f"{good:.0%}": (1, good), "family gap": (1, family)}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("reward queries", "regret")
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_memory_is_drawn_against_T_and_named_at_its_end(ax):
    figures.show_memory(ax, [10, 20, 40], {"full": ([1, 2, 4], plots.TUNED), "last": ([0.5, 0.4, 0.3], plots.ALARM)})
    assert_line(ax.lines[0], [10, 20, 40], [1, 2, 4], plots.TUNED)
    assert_line(ax.lines[1], [10, 20, 40], [0.5, 0.4, 0.3], plots.ALARM)
    assert notes(ax) == {"full": ((40, 4), plots.TUNED), "last": ((40, 0.3), plots.ALARM)}
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["10", "20", "40"]
    assert ax.get_xscale() == ax.get_yscale() == "log" and "MiB" in ax.get_ylabel() and ax.get_xlabel() == "T"


def test_dimensions_have_a_panel_each_with_every_seed_and_the_mean():
    regrets = {
        "a": (torch.rand(2, 3, 5, generator=seeded(0)) + 0.1, plots.TUNED),
        "b": (torch.rand(2, 3, 5, generator=seeded(1)) + 0.1, plots.OTHERS[1]),
    }
    figure = figures.show_dimensions((2, 8), (10, 100, 1000), regrets, "which?")
    assert figure.get_suptitle() == "which?" and len(figure.axes) == 2
    for i, (ax, D) in enumerate(zip(figure.axes, (2, 8), strict=True)):
        assert (ax.get_title("left") or ax.get_title()) == f"D = {D}" and len(ax.lines) == 12
        for k, (name, (values, color)) in enumerate(regrets.items()):
            *seeds, mean = ax.lines[6 * k : 6 * k + 6]
            for seed, line in enumerate(seeds):
                assert_line(line, [10, 100, 1000], values[i, :, seed], color)
            assert_line(mean, [10, 100, 1000], values[i].mean(1), color)
            assert mean.get_label() == name
        assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_xlabel() == "reward queries"
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["a", "b"]
    plt.close("all")


def test_truncation_has_the_bound_and_a_dot_for_each_seed(ax):
    least = {1: 0.8, 5: 0.6, 50: 0.0}
    arms = {"alone": (torch.rand(3, 5, generator=seeded(0)), plots.TUNED), "free": (2 * torch.ones(3, 5), plots.ALARM)}
    figures.show_truncation(ax, least, arms)
    assert_line(ax.lines[0], [0, 1, 2], [0.8, 0.6, 0.0], plots.TARGET)
    for k, (shift, (name, (regrets, color))) in enumerate(zip((-0.12, 0.12), arms.items(), strict=True)):
        dots, means = ax.lines[1 + 2 * k : 3 + 2 * k]
        assert_line(dots, [place + shift for place in (0, 1, 2) for _ in range(5)], regrets.flatten(), color)
        assert_line(means, [place + shift for place in (0, 1, 2)], regrets.mean(1), color)
        assert means.get_label() == name
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "5", "50"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("K", "regret") and ax.get_ylim() == pytest.approx((0, 2.16))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["the bound", "alone", "free"]


def test_borders_are_dark_where_x_0_moves_furthest():
    x, stretch = torch.randn(40, 2, generator=seeded(0)), torch.rand(6, 40, generator=seeded(1)) + 0.01
    _, axes = plt.subplots(1, 2)
    figures.show_borders(axes, x, stretch, 3)
    (points,) = axes[0].collections
    order = stretch[3].argsort()  # the darkest are drawn last
    np.testing.assert_allclose(np.asarray(points.get_offsets()), x[order])
    np.testing.assert_allclose(np.asarray(points.get_array()), stretch[3].log10()[order], rtol=1e-6)
    assert points.get_clim() == (-1, 3) and (axes[0].get_title("left") or axes[0].get_title()) == "x$_t$ at t = 3"
    for line, share in zip(axes[1].lines, (0.5, 0.99, 1.0), strict=False):
        assert_line(line, range(6), stretch.quantile(share, dim=1), plots.TUNED)
    assert_line(axes[1].lines[3], [3, 3], [0, 1], plots.PRETRAINED)
    assert axes[1].get_xlim() == (5, 0) and axes[1].get_yscale() == "log" and axes[1].get_xlabel() == "t"
    marks = notes(axes[1])
    assert list(marks) == ["half of the paths below", "99 %", "the largest"]
    assert marks["the largest"] == ((3, float(stretch[3].max())), plots.TUNED)
    plt.close("all")


def test_batches_are_counted_around_the_mean(ax):
    means = {"a": (torch.randn(30, generator=seeded(0)), plots.TUNED), "b": (torch.ones(7), plots.OTHERS[1])}
    figures.show_batches(ax, means, 0.25)
    ends = float(means["a"][0].min()), max(1.0, float(means["a"][0].max()))
    for bars, (mean, color) in zip(ax.containers, means.values(), strict=True):
        expected, _ = np.histogram(mean.numpy(), bins=50, range=ends)
        assert [bar.get_height() for bar in bars] == expected.tolist()
        assert to_hex(bars[0].get_facecolor()) == color
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "mean of all batches"]
    assert_line(ax.lines[0], [0.25, 0.25], [0, 1], plots.TARGET)
    assert ax.get_ylabel() == "batches"


def test_arms_have_a_row_of_seeds_each(ax):
    regrets = {"one": (torch.tensor([0.1, 0.3]), plots.TUNED), "two": (torch.tensor([0.2, 0.4]), plots.OTHERS[1])}
    figures.show_arms(ax, regrets, 0.05)
    for i, (values, color) in enumerate(regrets.values()):
        assert_line(ax.lines[i], values, [i, i], color)
    assert_line(ax.lines[2], [0.05, 0.05], [0, 1], plots.PRETRAINED)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["one", "two"] and ax.get_xlim()[0] == 0


def test_tails_run_from_the_noise_to_the_data(ax):
    shares = {"cold": (torch.linspace(0.1, 1, 20), plots.TUNED), "ring": (torch.linspace(0, 0.3, 20), plots.PRETRAINED)}
    figures.show_tails(ax, shares)
    for line, (share, color) in zip(ax.lines, shares.values(), strict=False):
        assert_line(line, np.arange(1, 21), share, color)
    assert_line(ax.lines[2], [0, 1], [0.01, 0.01], plots.PRETRAINED)
    expected = {name: ((15, float(share[14])), color) for name, (share, color) in shares.items()}
    assert notes(ax) == expected and ax.get_xlim() == (20, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("t", "share of energy")
