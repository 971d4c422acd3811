"""The figures of the notebook on soft PPO: every artist against the arrays that it was made from."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.text import Annotation

from tutorial_lib import plots
from tutorial_lib.algorithms import Step
from tutorial_lib.notebooks.s05_1_soft_ppo import figures, study

from ..oracles import RING_REWARD, seeded


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def history(offset, n=5):
    """Steps whose every number says which it is."""
    return [
        Step(
            i, n, offset - 1 / i, offset - 2 / i, offset + 3 / i, 0.0, 10 * i, 0.1, {"clipped": 0.01 * offset + 0.1 / i}
        )
        for i in range(1, n + 1)
    ]


def cloud(seed, n=30):
    return torch.randn(n, 2, generator=seeded(seed))


def looks():
    return {i: study.Look(cloud(i), torch.zeros(3), torch.zeros(3), 2.0 - 0.1 * i) for i in (0, 2, 5)}


def title(ax):
    return ax.get_title("left") or ax.get_title()


def assert_density(ax, masses, color, extent):
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), masses.numpy().T)
    np.testing.assert_array_equal(image.cmap(range(256)), plots.shades(color)(range(256)))
    assert list(image.get_extent()) == [-extent, extent, -extent, extent]


def assert_line(line, x, y, color):
    np.testing.assert_allclose(line.get_xdata(), x)
    np.testing.assert_allclose(line.get_ydata(), y)
    assert to_hex(line.get_color()) == color


def test_approach_has_a_panel_for_each_iteration():
    target, seen = torch.rand(9, 9, generator=seeded(0)), looks()
    axes = figures.approach(seen, target, extent=5.0).axes
    assert [title(ax) for ax in axes] == ["pretrained", "after 2", "after 5"]
    for ax, each in zip(axes, seen.values(), strict=True):
        assert_density(ax, target, plots.TARGET, 5.0)
        (points,) = ax.collections
        np.testing.assert_allclose(np.asarray(points.get_offsets()), each.x_0)
        assert to_hex(np.asarray(points.get_facecolor())[0]) == plots.TUNED
        assert ax.get_xlim() == ax.get_ylim() == (-3.4, 3.4)


@pytest.mark.parametrize("offset", [1.0, 3.0])
def test_curves_show_each_number_in_its_panel(offset):
    steps, seen = history(offset), looks()
    axes = figures.curves(steps, seen, optimum=offset + 0.5, target_entropy=0.7).axes
    x = [1, 2, 3, 4, 5]
    expected = [
        ("Objective $J$", [offset - 1 / i for i in x], plots.TUNED),
        ("Reward", [offset - 2 / i for i in x], plots.REWARD),
        ("Path KL (nats)", [offset + 3 / i for i in x], plots.PRETRAINED),
        ("Share of ratios clipped", [0.01 * offset + 0.1 / i for i in x], plots.OTHERS[0]),
    ]
    for ax, (name, values, color) in zip(axes, expected, strict=False):
        assert title(ax) == name and ax.get_xlabel() == "iteration"
        assert_line(ax.lines[0], x, values, color)
    assert title(axes[4]) == "Entropy of $x_0$ (nats)" and axes[4].get_xlabel() == "iteration"
    assert_line(axes[4].lines[0], [0, 2, 5], [2.0, 1.8, 1.5], plots.TUNED)
    for ax, height, name in ((axes[0], offset + 0.5, "best of the family"), (axes[4], 0.7, "the target's")):
        assert_line(ax.lines[1], [0, 1], [height, height], plots.TARGET)
        (label,) = ax.texts
        assert isinstance(label, Annotation) and label.get_text() == name and label.xy == (1, height)
    assert [len(ax.lines) for ax in axes] == [2, 1, 1, 1, 2]


def test_pitfall_keeps_the_runs_and_the_belief_apart():
    levels = {"PPO": (1.0, plots.TUNED), "no clip": (8.0, plots.OTHERS[1]), "the slip": (20.0, plots.ALARM)}
    believed = np.linspace(0, 0.2, 11).tolist()
    left, right = figures.pitfall({name: history(level) for name, (level, _) in levels.items()}, believed).axes
    x = np.arange(1, 6)
    for line, kl, (level, color) in zip(left.lines[:3], right.lines, levels.values(), strict=True):
        assert_line(line, x, level / 100 + 0.1 / x, color)
        assert_line(kl, x[1:], level + 3 / x[1:], color)  # the first has no KL to take the logarithm of
    assert_line(left.lines[3], np.linspace(1, 5, 11), believed, plots.ALARM)
    assert left.lines[3].get_linestyle() == "--"
    names = [*levels, "the slip, as it believes"]
    assert (legend := left.get_legend()) is not None and [text.get_text() for text in legend.get_texts()] == names
    assert [line.get_label() for line in left.lines] == names
    assert right.get_yscale() == "log" and right.get_ylabel() == "nats" and "Path KL" in title(right)
    assert title(left) == "Share of ratios outside 1 ± ε"


def test_beside_draws_samples_target_and_contours_in_their_places():
    axis = torch.linspace(-5, 5, 101)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    samples = {"one": cloud(1), "other": cloud(2)}
    target = torch.rand(9, 9, generator=seeded(0))
    found = study.Beside(5.0, target, axis, RING_REWARD(points).reshape(101, 101), samples)
    axes = figures.beside(found).axes
    assert [title(ax) for ax in axes] == ["one", "other"]
    for ax, x_0 in zip(axes, samples.values(), strict=True):
        assert_density(ax, target, plots.TARGET, 5.0)
        (contours,) = (artist for artist in ax.collections if isinstance(artist, ContourSet))
        (scattered,) = (artist for artist in ax.collections if not isinstance(artist, ContourSet))
        np.testing.assert_allclose(np.asarray(scattered.get_offsets()), x_0)
        assert to_hex(np.asarray(scattered.get_facecolor())[0]) == plots.TUNED
        for level, curve in zip(contours.levels, contours.get_paths(), strict=True):
            there = RING_REWARD(torch.tensor(curve.vertices, dtype=torch.float32))
            np.testing.assert_allclose(there, level, atol=0.02)  # a level's curve is where the reward has it


def test_regrets_has_a_dot_a_seed_and_a_bar_at_their_mean():
    kinds = {"one": torch.tensor([0.02, 0.06, 0.01]), "other": torch.tensor([0.1, 0.3])}
    short, whole = study.Race(kinds, 0.01), study.Race({"third": torch.tensor([0.5])}, 0.01)
    figure = figures.regrets(short, whole)
    assert [title(ax) for ax in figure.axes] == ["A short training", "A whole one, at the defaults"]
    for ax, found in zip(figure.axes, (short, whole), strict=True):
        assert [label.get_text() for label in ax.get_yticklabels()] == list(found.regrets)
        assert len(ax.lines) == 2 * len(found.regrets) and ax.yaxis_inverted() and ax.get_xlim()[0] == 0
        for row, values in enumerate(found.regrets.values()):
            dots, bar = ax.lines[2 * row : 2 * row + 2]
            assert_line(dots, 100 * values, [row] * len(values), plots.TUNED)
            assert dots.get_marker() == "o"
            assert_line(bar, [100 * float(values.mean())] * 2, [row - 0.3, row + 0.3], plots.TUNED)


def test_judged_shows_both_guesses_at_every_step():
    found = study.Judged(torch.tensor([0.0, 3.0, 2.0, 1.0]), torch.tensor([0.0, 0.5, 1.5, 2.5]))
    (ax,) = figures.judged(found).axes
    critic, single = ax.lines
    assert_line(critic, [1, 2, 3], [3, 2, 1], plots.TUNED)
    assert_line(single, [1, 2, 3], [0.5, 1.5, 2.5], plots.PRETRAINED)
    assert [line.get_label() for line in ax.lines] == ["the critic at $x_t$", "the return that was drawn"]
    assert ax.get_xlim()[0] > ax.get_xlim()[1] and ax.get_ylim()[0] == 0 and ax.get_legend() is not None
