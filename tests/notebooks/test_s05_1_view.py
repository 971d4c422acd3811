"""The widget of the notebook on soft PPO: every artist and every word against the numbers of its run."""

import dataclasses
import itertools
import random
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from tutorial_lib import plots
from tutorial_lib.notebooks.s05_1_soft_ppo import study, view

from ..oracles import seeded

MOMENTS = tuple(range(0, 19, 3))
SETTINGS: list[dict[str, Any]] = [
    dict(zip(("iteration", "alpha", "clip", "batch"), values, strict=True))
    for values in itertools.product(MOMENTS, study.ALPHAS, study.CLIPS, study.BATCHES)
]


UNKNOWN: dict[str, Any] = dict(epsilon=0.1)


def made_up() -> study.Scene:
    """Goals and runs of random numbers, no two alike; what a panel can hold, and a little beyond."""
    g, F = seeded(0), len(MOMENTS)
    goals = {a: study.Goal(torch.rand(9, 9, generator=g), -a, -10 - a) for a in study.ALPHAS}
    runs = {
        key: study.Run(
            torch.randn(F, 20, 2, generator=g),
            -12 * torch.rand(F, generator=g),
            10 * torch.rand(F, generator=g),
            torch.rand(F, generator=g),
        )
        for key in itertools.product(study.ALPHAS, study.CLIPS, study.BATCHES)
    }
    return study.Scene(5.0, goals, runs)


@pytest.fixture
def scene(monkeypatch):
    made = made_up()
    monkeypatch.setattr(study, "scene", lambda: made)
    view.training_view.cache_clear()
    yield made
    view.training_view.cache_clear()


def assert_shows(drawn, scene, *, iteration, alpha, clip, batch):
    """Every artist of the four panels, against the run's own numbers."""
    run, goal, frame = scene.runs[alpha, clip, batch], scene.goals[alpha], iteration // 3
    samples, regret, kl, clipped = drawn.picture.figure.axes
    np.testing.assert_array_equal(drawn.target.get_array(), goal.target.numpy().T)
    assert drawn.target.get_clim() == pytest.approx((0, 2 * float(goal.target.max())))
    np.testing.assert_array_equal(np.asarray(drawn.points.get_offsets()), run.x_0[frame].numpy())
    assert drawn.target.axes is drawn.points.axes is samples
    shares = [(goal.optimum - float(J)) / (goal.optimum - goal.pretrained) for J in run.objective]
    for ax, line, dot, values in zip(
        (regret, kl, clipped),
        drawn.lines,
        drawn.dots,
        (np.clip(shares, 5e-3, 3), run.kl.numpy().clip(max=8), run.clipped.numpy()),
        strict=True,
    ):
        assert line.axes is dot.axes is ax
        np.testing.assert_array_equal(line.get_xdata(), MOMENTS)
        np.testing.assert_allclose(line.get_ydata(), values, rtol=1e-5)
        np.testing.assert_array_equal(dot.get_xdata(), [iteration])
        np.testing.assert_allclose(dot.get_ydata(), values[[frame]], rtol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS[::5], ids=str)
def test_an_answer_is_a_moment_of_its_run(scene, setting):
    iteration, alpha, clip, batch = setting.values()
    found, run, goal = study.answer(scene, **setting), scene.runs[alpha, clip, batch], scene.goals[alpha]
    frame = iteration // 3
    J, kl = float(run.objective[frame]), run.kl.tolist()
    regret = (goal.optimum - J) / (goal.optimum - goal.pretrained)
    assert found.run is run and found.goal is goal and found.frame == frame
    assert found.regret == pytest.approx(regret, rel=1e-5)
    said = (
        f"<b>After {iteration} iterations</b>, {iteration * batch:,} queries of the reward: J = {J:.2f} where "
        f"J* = {goal.optimum:.2f}, <b>regret {regret:.1%}</b>.<br>Path KL {kl[frame]:.2f} nats, at its largest "
        f"{max(kl[: frame + 1]):.1f} so far; {float(run.clipped[frame]):.0%} of the ratios were outside 1 ± clip."
    )
    assert view.in_words(found, iteration, batch) == said.replace("-", "−")


@pytest.mark.parametrize("wrong", [(1, 0.5, 0.1, 64), (21, 0.5, 0.1, 64), (3, 0.4, 0.1, 64), (3, 0.5, 0.1, 65)])
def test_a_setting_that_was_not_trained_is_told_so(scene, wrong):
    setting = dict(zip(("iteration", "alpha", "clip", "batch"), wrong, strict=True))
    for call in (lambda: study.answer(scene, **setting), lambda: view.still(**setting)):
        with pytest.raises(ValueError, match=r"expected α in .* iterations 0, 3, … 18, got"):
            call()
    with pytest.raises(TypeError, match="epsilon"):
        view.still(**UNKNOWN)


def test_100_random_settings_and_every_artist_follows(scene):
    settings, drawn = random.Random(0), view.TrainingView(scene)
    for i in range(100):
        setting = settings.choice(SETTINGS)
        drawn.draw(study.answer(scene, **setting))
        assert_shows(drawn, scene, **setting)
        if i % 20 == 0:
            assert drawn.picture.frame()


def test_the_moving_artists_are_all_redrawn(scene):
    """A frame after many others is the frame of a fresh view."""
    drawn, fresh = view.TrainingView(scene), view.TrainingView(scene)
    for setting in (SETTINGS[5], SETTINGS[-1]):
        drawn.draw(study.answer(scene, **setting))
        drawn.picture.frame()
    fresh.draw(study.answer(scene, **SETTINGS[-1]))
    assert drawn.picture.frame() == fresh.picture.frame()


def test_what_is_off_a_panel_waits_at_its_edge(scene):
    drawn = view.TrainingView(scene)
    found = study.answer(scene, **SETTINGS[-1])
    run = dataclasses.replace(found.run, kl=torch.tensor([0.0, 30.0, 9.0, 1.0, 1.0, 1.0, 8.5]))
    drawn.draw(dataclasses.replace(found, run=run, regrets=torch.tensor([1.0, 20.0, 1e-4, 0.1, 0.1, 0.1, -0.1])))
    assert list(drawn.lines[0].get_ydata()) == pytest.approx([1, 3, 5e-3, 0.1, 0.1, 0.1, 5e-3])
    assert list(drawn.lines[1].get_ydata()) == pytest.approx([0, 8, 8, 1, 1, 1, 8])
    for line in drawn.lines:
        low, high = line.axes.get_ylim()
        values = np.asarray(line.get_ydata())
        assert (values >= low - 1e-6).all() and (values <= high + 1e-6).all()


def test_the_panels_are_named_and_coloured_for_what_they_show(scene):
    drawn = view.TrainingView(scene, "a title")
    assert drawn.picture.figure.get_suptitle() == "a title"
    axes = drawn.picture.figure.axes
    titles = ["Samples on the exact target", "Regret, pretrained: 100 %", "Path KL (nats)", "Ratios clipped"]
    assert [ax.get_title("left") or ax.get_title() for ax in axes] == titles
    colors = [plots.TUNED, plots.PRETRAINED, plots.OTHERS[0]]
    for artists in (drawn.lines, drawn.dots):
        assert [to_hex(artist.get_color()) for artist in artists] == colors
    assert to_hex(np.asarray(drawn.points.get_facecolor())[0]) == plots.TUNED
    np.testing.assert_array_equal(drawn.target.cmap(range(256)), plots.shades(plots.TARGET)(range(256)))
    assert axes[1].get_yscale() == "log" and all(ax.get_xlabel() == "iteration" for ax in axes[1:])
    assert [tick.get_text() for tick in axes[1].get_yticklabels()] == ["1 %", "10 %", "100 %"]
    assert [tick.get_text() for tick in axes[3].get_yticklabels()] == ["0 %", "50 %", "100 %"]


@pytest.mark.parametrize("setting", [{}, dict(iteration=6, alpha=2.0, clip=0.01, batch=16)], ids=["first", "other"])
def test_a_still_shows_its_settings(scene, monkeypatch, setting):
    made = []

    class Watched(view.TrainingView):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(view, "TrainingView", Watched)
    image, whole = view.still(**setting), {**view.FIRST, **setting}
    assert image.data == made[0].picture.still().data
    assert_shows(made[0], scene, **whole)
    title = made[0].picture.figure.get_suptitle()
    assert title == "Iteration {iteration}, α = {alpha:g}, clip ε = {clip:g}, batch {batch}".format(**whole)


def test_the_widget_answers_its_controls(scene):
    box = view.play()
    image, text = box.children[1:]
    setting, fresh = dict(view.FIRST), view.TrainingView(scene)
    controls = [child for column in box.children[0].children for child in column.children]
    for name, control, value in zip(setting, controls, (6, 2.0, 1.0, 16), strict=True):
        before = image.value, text.value
        control.value = setting[name] = value
        assert image.value != before[0] and text.value != before[1]
        found = study.answer(scene, **setting)
        fresh.draw(found)
        assert image.value == fresh.picture.frame()
        assert text.value == view.in_words(found, setting["iteration"], setting["batch"])
