"""The widget of what steps can reach: its answer by plain sums, every artist of each panel, words and glue."""

import itertools
from typing import Any

import ipywidgets as ui
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from tutorial_lib import plots, quiz
from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import GaussianOptimum
from tutorial_lib.notebooks.s04_2_what_steps_can_reach import bugs, exercise_study, play, still, study, view
from tutorial_lib.policies import DenoisingPolicy

from ..plots.artists import points, title
from .s04_pictures import every, numbers

REWARDS = tuple(study.REWARDS)
SETTINGS = [(10, 0.1, REWARDS[0]), (3, 0.3, REWARDS[1]), (20, 1e-4, REWARDS[2]), (10, 0.1, REWARDS[0])]
EVERYWHERE = list(itertools.product(study.STEPS, study.LEVELS, REWARDS))


pytestmark = pytest.mark.usefixtures("house_style")


@pytest.mark.parametrize(("T", "level", "reward"), [(10, 0.1, REWARDS[0]), (5, 0.3, REWARDS[2])])
def test_the_objectives_are_the_planes(T, level, reward):
    """A second axis that earns nothing changes no optimum."""
    centres = torch.tensor([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    mixture, schedule = GaussianMixture(torch.ones(3) / 3, centres, stds=torch.full((3,), 0.3)), study.cut_at(level, T)
    assert float(schedule.alpha_bar[-1]) == pytest.approx(level, rel=1e-3)
    plane = DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule)
    best = GaussianOptimum(plane, lambda x: study.REWARDS[reward](x[:, 0]), alpha=0.2, extent=6.0, grid=101)
    before, gaussian, fixed, tilted = study.answer(T=T, level=level, reward=reward).objectives
    gain = best.soft.tilted_optimum - best.soft.pretrained_objective
    expected = (best.soft.pretrained_objective, best.optimum, best.soft.optimum, best.soft.tilted_optimum)
    assert (before, gaussian, fixed, tilted) == pytest.approx(expected, abs=3e-3 * gain)


def test_the_laws_are_tilts_and_the_gap_is_a_kl_everywhere():
    for T, level, reward in EVERYWHERE:
        found, line = study.answer(T=T, level=level, reward=reward), study.chain(T, level)
        h, r = line.spacing, study.REWARDS[reward](line.axis)
        assert all(float(p.sum()) * h == pytest.approx(1) for p in found.starts + found.ends)
        before, target, *_ = found.ends
        tilted = before * (r / study.ALPHA).exp()
        assert torch.allclose(target, tilted / tilted.sum() / h, atol=1e-9)
        nats = float((found.starts[0] * (found.starts[0] / found.starts[1]).log()).sum()) * h
        assert found.start_nats == pytest.approx(nats, abs=1e-9)
        assert sum(found.shares) == pytest.approx(1) and min(found.shares) >= 0


def assert_picture(shown, found):
    """Every artist of the three panels and the line above."""
    axis = np.linspace(-3.6, 3.6, 241)
    before, target, exact, gaussian = found.ends
    curves = [*found.starts, before, exact, gaussian]
    for line, density in zip(shown.starts + shown.ends, curves, strict=True):
        assert np.allclose(points(line), np.stack([axis, density], 1), atol=1e-6)
        assert density.max() < line.axes.get_ylim()[1]
    (path,) = shown.target.get_paths()
    top = {round(float(x), 4): float(y) for x, y in path.vertices if y > 0}
    assert all(
        top[round(float(x), 4)] == pytest.approx(float(y), abs=1e-6)
        for x, y in zip(axis, target, strict=True)
        if y > 1e-9
    )
    shares = [100 * share for share in found.shares]
    assert [bar.get_width() for bar in shown.bars] == pytest.approx(shares) and max(shares) < 110
    assert [text.get_text() for text in shown.numbers] == [f"{share:.1f}" for share in shares]
    assert [text.get_position()[0] for text in shown.numbers] == pytest.approx([share + 2 for share in shares])
    assert shown.settings.get_text() == f"T = {found.T};  ᾱ_T = {found.level:g};  reward: {found.reward}"


def test_every_artist_follows_the_answer():
    shown = view.ReachView()
    for T, level, reward in SETTINGS + EVERYWHERE:
        found = study.answer(T=T, level=level, reward=reward)
        shown.draw(found)
        assert_picture(shown, found)


def test_what_stands_still_is_named():
    shown = view.ReachView()
    left, middle, right = shown.picture.figure.axes
    assert [title(ax) for ax in (left, middle, right)] == list(view.TITLES)
    assert (left.get_xlabel(), middle.get_xlabel(), right.get_xlabel()) == ("$x_T$", "$x_0$", "%")
    colors = [line.get_color() for line in shown.starts + shown.ends]
    assert colors == [plots.PRETRAINED, plots.TARGET, plots.PRETRAINED, "black", plots.TUNED]
    assert [line.axes for line in shown.starts + shown.ends] == 2 * [left] + 3 * [
        middle
    ] and shown.target.axes is middle
    bars = [plots.TUNED, plots.TARGET, plots.PRETRAINED]
    assert [bar.get_facecolor()[:3] for bar in shown.bars] == [pytest.approx(to_rgb(color)) for color in bars]
    names = [text for text in right.texts if text not in shown.numbers]
    assert [text.get_text() for text in names] == ["Gaussian steps reach", "family gap", "start gap"]
    assert [text.get_position()[1] for text in names] == pytest.approx([-0.24, 0.76, 1.76])
    moving = {shown.settings, shown.target, *shown.starts, *shown.ends, *shown.bars, *shown.numbers}
    assert moving == set(shown.picture.moving)


def test_the_words_say_the_numbers():
    for T, level, reward in SETTINGS[:3]:
        found = study.answer(T=T, level=level, reward=reward)
        sentence = (
            "α = #. J<sub>pre</sub> #, J<sub>G</sub>* #, J* #, α log Z #.<br>Of α log Z − J<sub>pre</sub> <b>Gaussian "
            "steps reach # %</b>; they miss # % that other steps could have, and the fixed start misses # %, which is "
            "# nats."
        )
        shares = [100 * share for share in found.shares]
        expected = [0.2, *found.objectives, *shares, found.start_nats]
        assert numbers(sentence, view.in_words(found)) == pytest.approx(expected, abs=0.051)
        assert numbers(sentence, view.in_words(found))[:5] == pytest.approx(expected[:5], abs=5.1e-4)


def test_a_still_is_the_picture_at_its_settings():
    for chosen in ({}, dict(T=3, level=0.3, reward=REWARDS[1])):
        settings: dict[str, Any] = dict(T=10, level=0.1, reward=REWARDS[0]) | chosen
        shown = view.ReachView()
        shown.draw(study.answer(**settings))
        assert still(**chosen).data == shown.picture.still().data


def test_the_widget_answers_each_of_its_controls():
    box = play()
    (image,), (T, level), (reward,) = (every(box, kind) for kind in (ui.Image, ui.SelectionSlider, ui.Dropdown))
    assert (T.description, level.description, reward.description) == ("steps T", "signal left ᾱ_T", "reward")
    assert (T.options, level.options, reward.options) == (study.STEPS, study.LEVELS, REWARDS)
    text = next(words for words in every(box, ui.HTML) if "Gaussian steps reach" in words.value)
    for control, value in ((None, 0), (T, 3), (level, 0.3), (reward, REWARDS[3])):
        if control:
            control.value = value
        found, shown = study.answer(T=T.value, level=level.value, reward=reward.value), view.ReachView()
        shown.draw(found)
        assert image.value == shown.picture.frame() and text.value == view.in_words(found)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(T=4), "T must be one of 3, 5, 10, 20, got 4"),
        (dict(level=0.5), "level must be one of 0.0001"),
        (dict(reward="gold"), "reward must be one of bump"),
    ],
)
def test_settings_that_do_not_exist_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        still(**settings)


def test_the_matched_means_are_those_of_sampled_paths_weighed_by_their_end():
    chain, n, g = study.chain(10, 0.1), 40_000, torch.Generator().manual_seed(0)
    r = study.REWARDS[REWARDS[1]](chain.axis)
    exact = exercise_study.matched_means(chain, r, 0.2, 4)
    for i in (60, 130, 180):
        place = chain.kernels[4][i].multinomial(n, replacement=True, generator=g)
        x = chain.axis[place]
        for t in (3, 2, 1):
            place = chain.kernels[t][place].multinomial(1, generator=g)[:, 0]
        weights = (r[place] / 0.2).exp()
        mean = (weights @ x) / weights.sum()
        error = (weights * (x - mean)).square().sum().sqrt() / weights.sum()
        assert abs(float(mean - exact[i])) <= 4 * float(error)
    assert all(quiz.distance(m, exact) > 0.03 for m in exercise_study.wrong_means(chain, r, 0.2, 4).values())


def test_the_planted_bug_is_the_only_one():
    """With σ_t in its place the function returns J_G*."""
    found, chain = study.answer(T=10, level=0.1, reward=REWARDS[1]), study.chain(10, 0.1)
    bug, settings = quiz.bug(bugs.gaussian_optimum), (chain.axis, chain.sigma, chain.means, chain.start)
    assert "cost" in bug.lines[bug.line - 1] and len(bug.lines) <= 25
    scope: dict = {"Tensor": torch.Tensor}
    exec("\n".join(bug.lines).replace("away.square()", "(away / sigma[t]).square()"), scope)
    r = study.REWARDS[REWARDS[1]](chain.axis)
    assert scope["gaussian_optimum"](*settings, r, 0.2) == pytest.approx(found.objectives[1], abs=3e-3)
    assert bugs.gaussian_optimum(*settings, r, 0.2) > found.objectives[2] + 0.1
