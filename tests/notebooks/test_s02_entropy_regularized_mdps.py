"""The grid world's pictures: the widget's pure functions over their whole range, and at random settings."""

import inspect
import math
import random
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tutorial_lib import plots
from tutorial_lib.mdp import (
    gradient_ascent,
    grid_world,
    policy_value,
    soft_value_iteration,
    trajectories,
    visitation,
)
from tutorial_lib.notebooks.s02_entropy_regularized_mdps import bugs, figures, study, view


@pytest.mark.parametrize("slip", study.SLIPS)
def test_a_scene_lies_between_its_limits_and_falls(slip):
    scene = study.scene(slip)
    assert (scene.values.diff() < 0).all() and (scene.returns.diff() < 1e-12).all()
    assert (scene.values <= scene.returns).all()
    assert scene.reference < scene.values.min() and scene.values.max() < scene.hard
    assert -1.08 < scene.reference and scene.hard < 0.9  # inside the panel


@pytest.mark.parametrize("alpha", torch.logspace(-2, 1, 13).tolist())
@pytest.mark.parametrize("slip", [0.0, 0.1, 0.5])
def test_an_answer_adds_up(slip, alpha):
    world = study.scene(slip).world
    found = study.answer(world, alpha)
    assert found.value == pytest.approx(found.reward - alpha * found.kl, abs=1e-12)
    assert found.visits.sum().item() == pytest.approx(world.horizon)
    assert found.ends.sum().item() == pytest.approx(1)


def test_300_random_settings_give_a_picture_and_words():
    settings, picture = random.Random(0), view.WalkView(study.scene(0.1))
    for i in range(300):
        low, high = map(math.log10, study.ALPHAS)
        scene = study.scene(settings.choice(study.SLIPS))
        found = study.answer(scene.world, 10 ** settings.uniform(low, high))
        picture.draw(scene, found)
        text = view.in_words(scene, found)
        assert "nan" not in text and "−0%" not in text
        assert torch.allclose(found.solution.policy.sum(-1), torch.ones(1, dtype=torch.float64))
        if i % 10 == 0:
            assert picture.picture.frame()


def test_the_words_say_what_was_found():
    scene = study.scene(0.0)
    text = view.in_words(scene, study.answer(scene.world, 0.01))
    assert "Return 0.70" in text and "at the goal 100%" in text and "the habit's own −0.89" in text


def test_the_picture_follows_alpha_and_slip():
    picture, frames = view.WalkView(study.scene(0.1)), set()
    for slip, alpha in ((0.1, 0.2), (0.1, 0.21), (0.15, 0.2), (0.1, 0.2)):
        picture.draw(study.scene(slip), study.answer(study.scene(slip).world, alpha))
        frames.add(picture.picture.frame())
    assert len(frames) == 3, "three settings, and the first of them twice"


def solved(world, alpha):
    """(v_0 [S], π_0 [S, A], visits [S], law of s_T [S], return, KL) of the soft optimum, by loops written out."""
    policies: list[torch.Tensor] = []
    v = world.terminal_rewards
    for t in reversed(range(world.horizon)):
        q = world.rewards[t] + torch.einsum("sax,x->sa", world.transitions[t], v)
        v = alpha * (world.reference[t].log() + q / alpha).logsumexp(1)
        policies.insert(0, (world.reference[t].log() + (q - v[:, None]) / alpha).exp())
    law, visits, reward, kl = world.start, 0, 0.0, 0.0
    for t, policy in enumerate(policies):
        joint = law[:, None] * policy
        visits, reward = visits + law, reward + float((joint * world.rewards[t]).sum())
        kl += float((joint * (policy / world.reference[t]).log()).sum())
        law = torch.einsum("sa,sax->x", joint, world.transitions[t])
    return v, policies[0], visits, law, reward + float(law @ world.terminal_rewards), kl


@pytest.mark.parametrize(("alpha", "slip"), [(0.2, 0.1), (2.0, 0.35)])
def test_every_panel_shows_its_setting(alpha, slip):
    """The artists' data against the recursion written out; the view had another setting before."""
    scene, picture = study.scene(slip), view.WalkView(study.scene(0.0))
    picture.draw(study.scene(0.0), study.answer(study.scene(0.0).world, 0.05))
    picture.draw(scene, study.answer(scene.world, alpha))
    v, policy, visits, law, reward, kl = solved(scene.world, alpha)
    walking = [s for s in range(25) if s not in (5, 10, 15, 20)]
    for mesh, values in ((picture.cells, v), (picture.visits, visits)):
        shown: Any = mesh.get_array()
        assert [shown[s % 5, s // 5] for s in walking] == pytest.approx(values[walking].tolist(), abs=1e-9)
    lengths = np.hypot(np.asarray(picture.policy.U), np.asarray(picture.policy.V))
    assert lengths == pytest.approx(0.42 * policy[walking].sqrt().reshape(-1).numpy(), abs=1e-9)
    assert {s: text.get_text() for s, text in picture.endings.items()} == {
        s: f"{float(law[s]):.0%}" for s in (20, 5, 10, 15)
    }
    value = float(scene.world.start @ v)
    assert value == pytest.approx(reward - alpha * kl)
    for dot, height in ((picture.value, value), (picture.reward, reward)):
        assert np.asarray(dot.get_data()).reshape(-1).tolist() == pytest.approx([alpha, height])
    assert list(picture.gap.get_xdata()) == [alpha] * 2
    assert list(picture.gap.get_ydata()) == pytest.approx([value, reward])
    assert picture.value.axes.get_title() == f"α = {alpha:g}, slip {slip:g}: value trails return by α·KL"
    for k in (10, 40):
        at = float(picture.values.get_xdata()[k])
        curve = solved(scene.world, at)
        assert picture.values.get_ydata()[k] == pytest.approx(float(scene.world.start @ curve[0]))
        assert picture.returns.get_xdata()[k] == at and picture.returns.get_ydata()[k] == pytest.approx(curve[4])
    hard, habit = solved(scene.world, 1e-5), solved(scene.world, 1e6)
    heights = [float(scene.world.start @ hard[0]), habit[4]]
    assert [line.get_ydata()[0] for line in picture.limits] == pytest.approx(heights, abs=1e-3)
    assert [name.get_position()[1] for name in picture.names] == pytest.approx(heights, abs=1e-3)
    assert [name.get_text() for name in picture.names] == ["hard optimum", "habit alone"]
    words = view.in_words(scene, study.answer(scene.world, alpha))
    for said in (f"Return {reward:.2f}", f"{kl:.2f} nats", f"at the goal {float(law[20]):.0%}"):
        assert said.replace("-", "−") in words


def test_arrows_point_where_the_action_goes():
    """An action for each arrow of a cell, in the order of MOVES: up, right, down, left or as the world has them."""
    world = study.scene(0.0).world
    only = torch.zeros(25, 4, dtype=torch.float64)
    only[:, 1] = 1.0
    ax = plt.figure().subplots()
    drawn = figures.show_policy(ax, world, only)
    u, v = np.asarray(drawn.U).reshape(-1, 4), np.asarray(drawn.V).reshape(-1, 4)
    dx, dy = figures.DIRECTIONS[1].tolist()
    assert (u[:, 1] == 0.42 * dx).all() and (v[:, 1] == 0.42 * dy).all() and not u[:, [0, 2, 3]].any()
    plt.close()


def test_a_world_is_shown_with_its_first_values_and_policy():
    world, ax = study.scene(0.2).world, plt.figure().subplots()
    figures.show_world(ax, study.answer(world, 0.3), world, title="a title")
    v, policy, *_ = solved(world, 0.3)
    mesh, arrows = ax.collections
    shown: Any = mesh.get_array()  # type: ignore[assignment]
    assert shown[3, 1] == pytest.approx(float(v[8])) and ax.get_title() == "a title"
    assert np.hypot(arrows.U, arrows.V)[:4] == pytest.approx(0.42 * policy[0].sqrt().numpy())
    plt.close()


def test_a_still_is_the_widgets_picture_and_refuses_what_is_no_setting():
    assert view.still().data != view.still(alpha=0.1).data != view.still(alpha=0.1, slip=0.5).data
    with pytest.raises(TypeError, match="strength"):
        view.still(strength=1.0)


def test_the_panels_keep_their_size_when_nothing_is_drawn_yet():
    picture = view.WalkView(study.scene(0.0))
    assert all(ax.get_position().width > 0.2 for ax in picture.picture.figure.axes)


def test_arrows_are_as_long_as_the_root_of_their_chance():
    world = grid_world(3, habit=(0.25, 0.25, 0.5, 0.0), slip=0.5)
    drawn = figures.show_policy(plt.figure().subplots(), world, world.reference[0])
    along = np.stack([np.asarray(drawn.U), np.asarray(drawn.V)])
    assert along[0, :4].tolist() == pytest.approx([0.21, 0, -0.42 * 0.5**0.5, 0])
    assert along[1, :4].tolist() == pytest.approx([0, 0.21, 0, 0])
    assert along.shape[1] == 4 * (9 - 2)  # neither the goal nor the pit has arrows
    plt.close()


def test_a_cell_stands_where_its_state_says():
    world, ax = grid_world(4), plt.figure().subplots()
    values = torch.arange(16.0)
    mesh = figures.show_cells(ax, world, values, color=plots.TUNED, top=16)
    shown: Any = mesh.get_array()
    assert shown[3, 1] == 1 * 4 + 3  # row y, column x
    assert shown.mask[0, 3] and shown.mask[0, 1] and not shown.mask[0, 0]
    plt.close()


def test_without_luck_every_dot_is_on_the_line():
    world, ax = grid_world(3, horizon=5), plt.figure().subplots()
    before = trajectories(world, world.reference)
    after = trajectories(world, soft_value_iteration(world, 0.3).policy)
    figures.show_laws(ax, before.returns, before.probability, after.probability, 0.3)
    (line,), (dots,) = ax.lines, ax.collections
    x0, x1, y0, y1 = np.asarray(line.get_data(), dtype=float).flatten()
    x, y = np.asarray(dots.get_offsets()).T
    assert abs(y - (y0 + (x - x0) * (y1 - y0) / (x1 - x0))).max() < 1e-9
    plt.close()


def test_the_widget_answers_its_controls():
    box = view.play()
    alpha, slip = (column.children[0] for column in box.children[0].children)
    image, text = box.children[1:]
    before = image.value, text.value
    alpha.value = 0.05
    assert (image.value, text.value) != before
    before = image.value, text.value
    slip.value = 0.5
    assert image.value != before[0] and text.value != before[1]


def test_a_round_of_policy_iteration_is_a_step_of_the_natural_ascent():
    """One step of rate 1/α from the habit gives a policy, and the next the judge's, wherever a walk comes."""
    world = grid_world(4, slip=0.2, habit=(0.4, 0.3, 0.2, 0.1))
    first, second = (gradient_ascent(world, 0.3, steps=n, rate=1.0).policy for n in (1, 2))
    right, slips = study.next_round(world, first, 0.3)
    reachable = visitation(world, world.reference)[:-1] > 0
    assert (right - second)[reachable].abs().max() < 1e-12
    assert all((wrong - right).abs().max() > 1e-3 for wrong in slips.values())


def test_the_planted_bug_is_one_line_and_without_it_the_loop_climbs_to_the_optimum():
    world, remark = grid_world(5, habit=study.HABIT), "# planted"
    source = inspect.getsource(bugs.climb)
    (line,) = [line for line in source.splitlines() if remark in line]
    assert len(source.splitlines()) <= 25
    mended = source.replace(line.split(remark)[0].strip(), "kl = (log_pi[t].exp() * ratio).sum(1)")
    scope: dict[str, Any] = dict(vars(bugs))
    exec(mended, scope)
    best = float(soft_value_iteration(world, 0.1).values[0, 0])
    claimed, found = bugs.climb(world, 0.1)
    assert claimed < policy_value(world, found, 0.1) - 0.05 < best - 0.1
    assert scope["climb"](world, 0.1)[0] == pytest.approx(best, abs=0.02)
