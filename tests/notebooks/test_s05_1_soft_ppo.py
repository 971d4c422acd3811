"""The pictures of soft PPO: the pure functions over every setting, with runs that are shorter than the notebook's."""

import itertools
import math
import random

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import run, soft_ppo
from tutorial_lib.notebooks.s05_1_soft_ppo import view
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy

from ..oracles import seeded


@pytest.fixture(scope="module")
def scene():
    """Six iterations a run in place of twenty-four."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view, "ITERATIONS", 6)
        yield view.scene.__wrapped__()


SETTINGS = list(itertools.product((0, 3, 6), view.ALPHAS, view.CLIPS, view.BATCHES))


def test_every_setting_has_its_run_from_one_start(scene):
    assert len(scene.runs) == len(view.ALPHAS) * len(view.CLIPS) * len(view.BATCHES)
    starts = [found.x_0[0] for found in scene.runs.values()]
    assert all(torch.equal(start, starts[0]) for start in starts), "one noise, one network"
    for (alpha, _, _), found in scene.runs.items():
        assert found.kl[0] == 0 and found.clipped[0] == 0
        assert found.objective[-1] > found.objective[0] and scene.goals[alpha].optimum > found.objective.max()


def test_a_small_clip_is_slower_and_clips_more(scene):
    small, large = (scene.runs[0.5, clip, 64] for clip in (0.01, 1.0))
    assert small.kl[-1] < large.kl.max() and small.clipped[1:].mean() > large.clipped[1:].mean()


@pytest.mark.parametrize(("iteration", "alpha", "clip", "batch"), SETTINGS)
def test_an_answer_is_a_moment_of_its_run(scene, iteration, alpha, clip, batch):
    found = view.answer(scene, iteration, alpha, clip, batch)
    J, goal = float(found.run.objective[iteration // 3]), scene.goals[alpha]
    assert found.regret == pytest.approx((goal.optimum - J) / (goal.optimum - goal.pretrained), rel=1e-5)
    text = view.in_words(found, iteration, batch)
    assert "nan" not in text and f"{iteration * batch:,} queries" in text


@pytest.mark.parametrize("wrong", [(1, 0.5, 0.1, 64), (9, 0.5, 0.1, 64), (3, 0.4, 0.1, 64), (3, 0.5, 0.1, 65)])
def test_a_setting_that_was_not_trained_is_told_so(scene, wrong):
    with pytest.raises(ValueError, match=r"expected α in .* iterations 0, 3, … 6, got"):
        view.answer(scene, *wrong)


def test_100_random_settings_draw_and_the_last_differs_from_the_first(scene):
    settings, drawn = random.Random(0), view.TrainingView(scene)
    first = view.answer(scene, 0, 0.5, 0.1, 64)
    drawn.draw(first)
    frames = [drawn.picture.frame()]
    for i in range(100):
        drawn.draw(view.answer(scene, *settings.choice(SETTINGS)))
        if i % 10 == 0:
            assert drawn.picture.frame()
    drawn.draw(view.answer(scene, 6, 0.5, 0.1, 64))
    frames.append(drawn.picture.frame())
    drawn.draw(first)
    assert frames[0] != frames[1] and drawn.picture.frame() == frames[0]
    for line in drawn.lines:
        low, high = line.axes.get_ylim()
        y = np.asarray(line.get_ydata())
        assert (low <= y).all() and (y <= high + 1e-6).all()


def test_the_widget_answers_its_controls(scene, monkeypatch):
    monkeypatch.setattr(view, "scene", lambda: scene)
    monkeypatch.setattr(view, "FIRST", (3, 0.5, 0.1, 64))
    view.training_view.cache_clear()
    box = view.training()
    image, text = box.children[1:]
    for control, value in zip(
        (child for column in box.children[0].children for child in column.children), (6, 2.0, 1.0, 16), strict=True
    ):
        before = image.value, text.value
        control.value = value
        assert image.value != before[0] and text.value != before[1]
    assert view.first_training().data
    view.training_view.cache_clear()


def test_a_look_at_the_pretrained_policy_sees_no_kl():
    world = worlds.ring(6)
    seen = view.look(SteeredPolicy(world.pretrained), world.reward, alpha=0.5, n=500)
    torch.testing.assert_close(seen.sampled, world.reward(seen.x_0) / 0.5)
    torch.testing.assert_close(seen.averaged, seen.sampled)
    assert torch.equal(seen.x_0, view.look(SteeredPolicy(world.pretrained), world.reward, alpha=0.5, n=500).x_0)


def test_both_returns_of_a_look_have_the_same_mean():
    """A constant shift, where Σ log-ratio is Gaussian with mean Σ KL_t and variance twice that."""

    class Constant(torch.nn.Module):
        def forward(self, x, t):
            return torch.full_like(x, 0.3)

    world = worlds.ring(6)
    seen = view.look(SteeredPolicy(world.pretrained, Constant()), lambda x: 0 * x[:, 0], alpha=1.0, n=4000)
    kl = 6 * 0.3**2  # ½‖u‖² in two dimensions, six times
    torch.testing.assert_close(seen.averaged, torch.full((4000,), -kl))
    assert abs(seen.sampled.mean() + kl) < 4 * math.sqrt(2 * kl / 4000)
    assert seen.sampled.var().item() == pytest.approx(2 * kl, rel=0.1)


def test_the_entropy_of_cell_masses_is_that_of_the_density():
    axis = torch.linspace(-5, 5, 101, dtype=torch.float64)
    density = (-(axis[:, None].square() + axis.square()) / 2).exp()
    assert view.mass_entropy(density / density.sum(), extent=5.0) == pytest.approx(math.log(2 * math.pi * math.e), 1e-3)


def test_the_figures_have_a_panel_for_each_thing_shown():
    world = worlds.ring(6)
    policy = SteeredPolicy(world.pretrained, width=16)
    steps = soft_ppo.fine_tune(policy, world.reward, alpha=0.5, generator=seeded(0), iterations=3, n=16)
    history, looks = run(steps), {i: view.look(policy, world.reward, alpha=0.5, n=50) for i in (0, 3)}
    policies: dict[str, DenoisingPolicy | SteeredPolicy] = {"before": world.pretrained, "after": policy}
    figures = [
        (view.approach(looks, torch.rand(9, 9), extent=5.0), 2),
        (view.curves(history, looks, optimum=-1.0, target_entropy=0.7), 5),
        (view.pitfall(history, history, [0.0] * 18), 2),
        (view.beside(world, 0.5, policies), 2),
    ]
    for figure, panels in figures:
        assert len(figure.axes) == panels and all(ax.get_title() or ax.get_title("left") for ax in figure.axes)
        figure.canvas.draw()
    believed = figures[2][0].axes[0].lines[-1]
    assert not np.asarray(believed.get_ydata()).any() and np.asarray(believed.get_xdata())[-1] == 3
    plt.close("all")
