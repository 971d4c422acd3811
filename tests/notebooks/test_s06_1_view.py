"""The widget of the notebook on reward-weighted MLE: every artist and every word against weights made apart."""

import math
import random
import re
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from tutorial_lib import plots
from tutorial_lib.notebooks.s06_1_reward_weighted_mle import study, view

FAR, NEAR = "a peak beyond the ring", "a peak on the ring"
UNKNOWN: dict[str, Any] = dict(samples=3)


def assert_shows(picture, *, alpha, n, reward):
    """Weights from the scene's rewards, and everything that is drawn from them."""
    scene = study.scene(reward)
    w = (scene.rewards[:n].double() / alpha).softmax(0).numpy()
    exact, shown, shares = picture.picture.figure.axes
    assert picture.target.axes is picture.points.axes is exact and picture.density.axes is shown
    assert picture.curve.axes is picture.here.axes is shares
    np.testing.assert_array_equal(picture.target.get_array(), scene.tilted.at(alpha).mass.numpy().T)
    np.testing.assert_array_equal(np.asarray(picture.points.get_offsets()), scene.x_0[:n].numpy())
    np.testing.assert_allclose(picture.points.get_sizes(), np.minimum(1 + 1500 * w, 500), rtol=1e-3)
    first, second = scene.bumps[:, :, :n].numpy()
    density = np.einsum("in,n,jn->ij", first, w, second)
    np.testing.assert_allclose(picture.density.get_array(), density.T, rtol=5e-3, atol=1e-5)
    for image in (picture.target, picture.density):
        assert image.get_clim() == pytest.approx((0, 2 * float(image.get_array().max())))
    np.testing.assert_allclose(picture.curve.get_xdata(), scene.alphas)
    np.testing.assert_allclose(picture.curve.get_ydata(), n * scene.shares, rtol=1e-5)
    assert list(picture.here.get_xdata()) == [alpha]
    effective = 1 / float((w**2).sum())
    assert list(picture.here.get_ydata()) == pytest.approx([effective], rel=1e-3)
    told = re.fullmatch(r"α = (.*), n = (\d+): (.*) effective samples", shares.get_title("left") or shares.get_title())
    assert told is not None and (told[1], told[2]) == (f"{alpha:.3g}", str(n))
    assert float(told[3]) == pytest.approx(effective, abs=0.06 + 1e-3 * effective)


def drawn(picture, setting):
    scene = study.scene(setting["reward"])
    picture.draw(scene, study.answer(scene, setting["alpha"], setting["n"]))


def test_100_random_settings_and_every_artist_follows():
    settings, picture = random.Random(0), view.WeightView(study.scene(FAR))
    for i in range(100):
        alpha = 10 ** settings.uniform(*map(math.log10, study.ALPHAS))
        setting = dict(alpha=alpha, n=settings.choice(study.SIZES), reward=settings.choice(list(study.REWARDS)))
        drawn(picture, setting)
        assert_shows(picture, **setting)
        text = view.in_words(study.answer(study.scene(setting["reward"]), alpha, setting["n"]))
        assert "nan" not in text and "effective samples" in text
        if i % 20 == 0:
            assert picture.picture.frame()


def test_the_moving_artists_are_all_redrawn():
    """A frame after many others is the frame of a fresh view."""
    picture, fresh = (view.WeightView(study.scene(FAR)) for _ in range(2))
    last = dict(alpha=0.3, n=100, reward=NEAR)
    for setting in (dict(alpha=2.0, n=500, reward=FAR), dict(alpha=0.05, n=2500, reward=FAR), last):
        drawn(picture, setting)
        picture.picture.frame()
    drawn(fresh, last)
    assert picture.picture.frame() == fresh.picture.frame()


def test_the_panels_are_named_and_coloured_for_what_they_show():
    picture = view.WeightView(study.scene(FAR))
    axes = picture.picture.figure.axes
    titles = ["Exact target, weighted samples", "What these samples show"]
    assert [ax.get_title("left") or ax.get_title() for ax in axes[:2]] == titles
    for image, color in ((picture.target, plots.TARGET), (picture.density, plots.TUNED)):
        np.testing.assert_array_equal(image.cmap(range(256)), plots.shades(color)(range(256)))
        assert list(image.get_extent()) == [-5, 5, -5, 5]
    assert to_hex(np.asarray(picture.points.get_facecolor())[0]) == plots.TUNED
    assert [to_hex(str(line.get_color())) for line in axes[2].lines] == [plots.TARGET, plots.TUNED, plots.PRETRAINED]
    level, (label,) = axes[2].lines[2], axes[2].texts
    assert list(level.get_ydata()) == [1, 1] and label.get_text() == "one sample"
    assert axes[2].get_xscale() == axes[2].get_yscale() == "log" and axes[2].get_xlabel() == "α"
    assert axes[2].get_xlim() == pytest.approx((0.05 / 1.12, 5 * 1.12)) and axes[2].get_ylim() == (0.3, 2500)
    assert axes[0].get_xlim() == axes[1].get_ylim() == (-3.7, 3.7)


def of(effective, foretold, *, weights=(0.7, 0.3)):
    target: Any = type("Target", (), {"reward": -1.5})
    return study.Answer(0.25, torch.tensor(weights), effective, foretold, torch.zeros(2, 2), -2.25, target)


@pytest.mark.parametrize(
    ("effective", "foretold", "said", "verdict"),
    [
        (123.4, 118.0, "118.0 foretold", "<b>Enough to learn from.</b>"),
        (99.9, 49.5, "49.5 foretold", "<b>Few: what is learned will remember them.</b>"),
        (10.0, 1.0, "1.0 foretold", "<b>Few: what is learned will remember them.</b>"),
        (9.9, 0.9, "not even one foretold", "A handful: these points are what will be learned.</b>"),
    ],
)
def test_the_words_say_the_numbers_and_warn_where_a_handful_is_left(effective, foretold, said, verdict):
    text = view.in_words(of(effective, foretold))
    start = f"α = 0.25: <b>{effective:.1f} effective samples</b> of 2 ({said}), the heaviest carries 70.0%. "
    assert text.startswith(start) and verdict in text
    assert text.endswith("<br>Mean reward under the weights −2.25, under the exact target −1.50.")
    assert (plots.ALARM in text) == (effective < 10)
    assert ("what would carry the weight was not drawn" in text) == (effective > 2 * foretold)


def test_cold_weights_leave_a_handful():
    cold, warm = (view.in_words(study.answer(study.scene(FAR), alpha, 2500)) for alpha in (0.05, 5.0))
    assert "A handful" in cold and "not even one foretold" in cold and "Enough" in warm


def test_the_widget_answers_its_controls():
    box, fresh = view.play(), view.WeightView(study.scene(FAR))
    controls = [control for column in box.children[0].children for control in column.children]
    image, text = box.children[1:]
    setting: dict[str, Any] = dict(alpha=0.5, n=500, reward=FAR)
    assert [control.value for control in controls] == pytest.approx(list(setting.values()))
    for name, control, value in zip(setting, controls, (0.1, 2500, NEAR), strict=True):
        before = image.value, text.value
        control.value = setting[name] = value
        assert image.value != before[0] and text.value != before[1]
        drawn(fresh, setting)
        assert image.value == fresh.picture.frame()
        found = study.answer(study.scene(setting["reward"]), setting["alpha"], setting["n"])
        assert text.value == view.in_words(found)


@pytest.mark.parametrize("setting", [{}, dict(alpha=0.1, n=2500, reward=NEAR)], ids=["first", "other"])
def test_a_still_shows_its_settings(monkeypatch, setting):
    made: list[Any] = []

    class Watched(view.WeightView):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(view, "WeightView", Watched)
    image, whole = view.still(**setting), dict(alpha=0.5, n=500, reward=FAR) | setting
    assert image.data == made[0].picture.still().data
    assert_shows(made[0], **whole)


def test_a_still_of_an_unknown_setting_is_told_so():
    with pytest.raises(ValueError, match="unknown reward 'a valley'; known: a peak on the ring"):
        view.still(reward="a valley")
    with pytest.raises(TypeError, match="samples"):
        view.still(**UNKNOWN)
