"""The grid world's pictures: the widget's pure functions over their whole range, and at random settings."""

import math
import random
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tutorial_lib import plots
from tutorial_lib.mdp import grid_world, soft_value_iteration, trajectories
from tutorial_lib.notebooks.s02_entropy_regularized_mdps import view as grid_walk


@pytest.mark.parametrize("slip", grid_walk.SLIPS)
def test_a_scene_lies_between_its_limits_and_falls(slip):
    scene = grid_walk.scene(slip)
    assert (scene.values.diff() < 0).all() and (scene.returns.diff() < 1e-12).all()
    assert (scene.values <= scene.returns).all()
    assert scene.reference < scene.values.min() and scene.values.max() < scene.hard
    assert -1.08 < scene.reference and scene.hard < 0.9  # inside the panel


@pytest.mark.parametrize("alpha", torch.logspace(-2, 1, 13).tolist())
@pytest.mark.parametrize("slip", [0.0, 0.1, 0.5])
def test_an_answer_adds_up(slip, alpha):
    world = grid_walk.scene(slip).world
    found = grid_walk.answer(world, alpha)
    assert found.value == pytest.approx(found.reward - alpha * found.kl, abs=1e-12)
    assert found.visits.sum().item() == pytest.approx(world.horizon)
    assert found.ends.sum().item() == pytest.approx(1)


def test_300_random_settings_give_a_picture_and_words():
    settings, view = random.Random(0), grid_walk.WalkView(grid_walk.scene(0.1))
    for i in range(300):
        low, high = map(math.log10, grid_walk.ALPHAS)
        scene = grid_walk.scene(settings.choice(grid_walk.SLIPS))
        found = grid_walk.answer(scene.world, 10 ** settings.uniform(low, high))
        view.draw(scene, found)
        text = grid_walk.in_words(scene, found)
        assert "nan" not in text and "−0%" not in text
        assert torch.allclose(found.solution.policy.sum(-1), torch.ones(1, dtype=torch.float64))
        if i % 10 == 0:
            assert view.picture.frame()


def test_the_words_say_what_was_found():
    scene = grid_walk.scene(0.0)
    text = grid_walk.in_words(scene, grid_walk.answer(scene.world, 0.01))
    assert "Return 0.70" in text and "at the goal 100%" in text and "the habit's own −0.89" in text


def test_the_picture_follows_alpha_and_slip():
    view, frames = grid_walk.WalkView(grid_walk.scene(0.1)), set()
    for slip, alpha in ((0.1, 0.2), (0.1, 0.21), (0.15, 0.2), (0.1, 0.2)):
        view.draw(grid_walk.scene(slip), grid_walk.answer(grid_walk.scene(slip).world, alpha))
        frames.add(view.picture.frame())
    assert len(frames) == 3, "three settings, and the first of them twice"


def test_the_panels_keep_their_size_when_nothing_is_drawn_yet():
    view = grid_walk.WalkView(grid_walk.scene(0.0))
    assert all(ax.get_position().width > 0.2 for ax in view.picture.figure.axes)


def test_arrows_are_as_long_as_the_root_of_their_chance():
    world = grid_world(3, habit=(0.25, 0.25, 0.5, 0.0), slip=0.5)
    drawn = grid_walk.show_policy(plt.figure().subplots(), world, world.reference[0])
    along = np.stack([np.asarray(drawn.U), np.asarray(drawn.V)])
    assert along[0, :4].tolist() == pytest.approx([0.21, 0, -0.42 * 0.5**0.5, 0])
    assert along[1, :4].tolist() == pytest.approx([0, 0.21, 0, 0])
    assert along.shape[1] == 4 * (9 - 2)  # neither the goal nor the pit has arrows
    plt.close()


def test_a_cell_stands_where_its_state_says():
    world, ax = grid_world(4), plt.figure().subplots()
    values = torch.arange(16.0)
    mesh = grid_walk.show_cells(ax, world, values, color=plots.TUNED, top=16)
    shown: Any = mesh.get_array()
    assert shown[3, 1] == 1 * 4 + 3  # row y, column x
    assert shown.mask[0, 3] and shown.mask[0, 1] and not shown.mask[0, 0]
    plt.close()


def test_without_luck_every_dot_is_on_the_line():
    world, ax = grid_world(3, horizon=5), plt.figure().subplots()
    before = trajectories(world, world.reference)
    grid_walk.show_laws(ax, before, trajectories(world, soft_value_iteration(world, 0.3).policy), 0.3)
    (line,), (dots,) = ax.lines, ax.collections
    x0, x1, y0, y1 = np.asarray(line.get_data(), dtype=float).flatten()
    x, y = np.asarray(dots.get_offsets()).T
    assert abs(y - (y0 + (x - x0) * (y1 - y0) / (x1 - x0))).max() < 1e-9
    plt.close()


def test_the_widget_answers_its_controls():
    box = grid_walk.walk()
    alpha, slip = (column.children[0] for column in box.children[0].children)
    image, text = box.children[1:]
    before = image.value, text.value
    alpha.value = 0.05
    assert (image.value, text.value) != before
    before = image.value, text.value
    slip.value = 0.5
    assert image.value != before[0] and text.value != before[1]
