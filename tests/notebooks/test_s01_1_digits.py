"""Digits from noise: the chain and its guesses by hand, and both walls at every time."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from tutorial_lib import plots, worlds
from tutorial_lib.notebooks.s01_1_diffusion_models import digits_study as study
from tutorial_lib.notebooks.s01_1_diffusion_models import digits_view as view

from ..oracles import seeded


@pytest.fixture(scope="module")
def images():
    return study.make_images(worlds.digits().pretrained, 12)


def wall(images):
    """Ink on paper, eight images a row, a white line after each: [2·9, 8·9], pixel by pixel."""
    paper = np.ones((18, 72))
    for i, image in enumerate(images[:, 0]):
        row, column = divmod(i, 8)
        paper[9 * row : 9 * row + 8, 9 * column : 9 * column + 8] = 1 - ((image + 1) / 2).clamp(0, 1).numpy()
    return paper


@torch.no_grad()
def test_a_guess_is_the_network_s_and_a_step_goes_towards_it(images):
    """x_{t−1} − σ_t z is the pretrained mean at x_t, for the noise that the generator holds."""
    pretrained, g = worlds.digits().pretrained, seeded(0)
    T = pretrained.schedule.T
    assert torch.equal(images.x[T], torch.randn(12, 1, 8, 8, generator=g))
    for t in range(T, 0, -1):
        guess = pretrained.denoiser(images.x[t], t)
        torch.testing.assert_close(images.guess[t], guess)
        z = torch.randn(12, 1, 8, 8, generator=g)
        mean = pretrained.schedule.signal[t] * guess + pretrained.schedule.carry[t] * images.x[t]
        torch.testing.assert_close(images.x[t - 1], mean + pretrained.sigma(t) * z, atol=1e-5, rtol=1e-4)
    assert torch.equal(images.guess[0], images.x[0])


def test_the_guess_settles_as_t_falls(images):
    away = (images.guess - images.x[0]).flatten(2).norm(dim=2).mean(1)
    assert away[0] == 0 and away[5] < away[20] < away[40] < away[50]


def panels(drawn) -> Any:
    return drawn.picture.figure.axes


def test_both_walls_show_the_time_that_is_asked_for_and_not_the_one_before(images):
    drawn = view.DigitsView(images)
    left, right = panels(drawn)
    for t in (50, 25, 0, 7, 50):
        drawn.draw(study.answer(images, t=t))
        np.testing.assert_allclose(left.images[0].get_array(), wall(images.x[t]), atol=1e-6)
        np.testing.assert_allclose(right.images[0].get_array(), wall(images.guess[t]), atol=1e-6)
        assert re.findall(r"\d+", drawn.title.get_text()) == [str(t)] and "sees" in drawn.title.get_text()
    assert "expects" in right.get_title(loc="left") + right.get_title()
    assert set(drawn.picture.moving) == {left.images[0], right.images[0], drawn.title}
    assert all(ax.images[0].cmap.name == "gray" and ax.images[0].get_clim() == (0, 1) for ax in (left, right))


def frame(images, t):
    """The picture of one time, drawn by a view that has shown no other."""
    drawn = view.DigitsView(images)
    drawn.draw(study.answer(images, t=t))
    return drawn.picture


def test_the_slider_moves_the_walls(images):
    box = view.play(images)
    time, picture = box.children[0].children[0].children[0], box.children[1]
    assert (time.value, time.min, time.max) == (25, 0, 50)
    for t in (25, 50, 10, 0):
        time.value = t
        assert picture.value == frame(images, t).frame()


def test_a_still_is_the_picture_of_its_time(images):
    first = frame(images, 25).still().data
    assert view.still(images).data == first
    assert view.still(images, t=0).data == frame(images, 0).still().data != first


@pytest.mark.parametrize("t", [-1, 51, 2.5, float("nan")])
def test_a_time_that_the_slider_has_not_is_refused(images, t):
    for ask in (study.answer, view.still):
        with pytest.raises(ValueError, match=r"t must be a whole number in 0\.\.50, got"):
            ask(images, t=t)
    with pytest.raises(TypeError, match="step"):
        view.still(images, step=3)


def test_the_notebook_shows_forty_digits():
    shown = study.images()
    assert shown.x.shape == shown.guess.shape == (51, 40, 1, 8, 8) and study.images() is shown
    assert plots.wall(shown.x[0], columns=8).shape == (45, 72)
