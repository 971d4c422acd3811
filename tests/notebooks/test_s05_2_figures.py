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


def test_truncation_keeps_the_trained_and_the_best_apart(ax):
    trained, least = {1: 0.9, 5: 0.7, 50: 0.02}, {1: 0.8, 5: 0.6, 50: 0.0}
    figures.show_truncation(ax, trained, least, 0.05)
    assert_line(ax.lines[0], [1, 5, 50], [0.8, 0.6, 0.0], plots.TARGET)
    assert_line(ax.lines[1], [1, 5, 50], [0.9, 0.7, 0.02], plots.TUNED)
    assert_line(ax.lines[2], [0, 1], [0.05, 0.05], plots.TUNED)
    assert notes(ax) == {
        "best that steers these K steps alone": ((5, 0.6), plots.TARGET),
        "trained, last K": ((5, 0.7), plots.TUNED),
        "trained, random K": ((1, 0.05), plots.TUNED),
    }
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "5", "50"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("K", "regret") and ax.get_ylim() == (0, 1.08)


def test_tails_run_from_the_noise_to_the_data(ax):
    shares = {"cold": (torch.linspace(0.1, 1, 20), plots.TUNED), "ring": (torch.linspace(0, 0.3, 20), plots.PRETRAINED)}
    figures.show_tails(ax, shares)
    for line, (share, color) in zip(ax.lines, shares.values(), strict=False):
        assert_line(line, np.arange(1, 21), share, color)
    assert_line(ax.lines[2], [0, 1], [0.01, 0.01], plots.PRETRAINED)
    expected = {name: ((15, float(share[14])), color) for name, (share, color) in shares.items()}
    assert notes(ax) == expected and ax.get_xlim() == (20, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("t", "share of energy")
