"""The widget of the notebook on reward backpropagation: every artist and every word against its policy's numbers."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from tutorial_lib import plots, worlds
from tutorial_lib.exact import TiltedDensity
from tutorial_lib.notebooks.s05_2_reward_backpropagation import study, view
from tutorial_lib.rewards import peak

from ..oracles import seeded

T, ALPHAS, DEPTHS = 10, (0.05, 0.5, 2.0), (2, 6, 10)
PAIRS = list(itertools.product(ALPHAS, DEPTHS))


@pytest.fixture(scope="module")
def scene() -> study.Scene:
    """Policies of random numbers, no two alike, some KL beyond the panel; the exact tilt of Ring."""
    world, g = worlds.ring(T), seeded(0)
    tilted = TiltedDensity(world.pretrained, peak((2.0, 0.5)), extent=5.0, grid=41)
    tuned = {
        (alpha, last): study.Tuned(
            alpha, last, torch.randn(20, 2, generator=g), torch.rand(T, generator=g), float(-1 - i), 1 + (2 * i) % 7
        )
        for i, (alpha, last) in enumerate(PAIRS)
    }
    return study.Scene(world, tilted, {0.05: 3, 0.5: 5, 2.0: 8}, tuned)


UNKNOWN: dict[str, Any] = dict(depth=3)


def assert_shows(panel, scene, alpha, last):
    tuned = scene.tuned[alpha, last]
    samples, modes, steps = panel.picture.figure.axes
    assert panel.target.axes is panel.samples.axes is samples
    np.testing.assert_array_equal(panel.target.get_array(), scene.tilted.at(alpha).mass.numpy().T)
    assert list(panel.target.get_extent()) == [-5, 5, -5, 5]
    np.testing.assert_array_equal(np.asarray(panel.samples.get_offsets()), tuned.x.numpy())
    assert panel.line.axes is panel.here.axes is modes
    np.testing.assert_array_equal(panel.line.get_xdata(), ALPHAS)
    np.testing.assert_array_equal(panel.line.get_ydata(), [scene.tuned[a, last].modes for a in ALPHAS])
    assert (list(panel.here.get_xdata()), list(panel.here.get_ydata())) == ([alpha], [tuned.modes])
    assert all(bar.axes is steps for bar in panel.bars) and list(panel.edge.get_xdata()) == [last + 0.5] * 2
    for t, bar in enumerate(panel.bars, start=1):
        assert bar.get_x() + bar.get_width() / 2 == pytest.approx(t)
        assert bar.get_height() == pytest.approx(min(float(tuned.kl[t - 1]), 0.6))
        assert to_hex(bar.get_facecolor()) == (plots.TUNED if t <= last else plots.ALARM)


def test_100_random_settings_and_every_artist_follows(scene):
    settings, panel = random.Random(0), view.TunedView(scene)
    for i in range(100):
        alpha, last = settings.choice(PAIRS)
        panel.draw(study.answer(scene, alpha=alpha, last=last))
        assert_shows(panel, scene, alpha, last)
        if i % 20 == 0:
            assert panel.picture.frame()


def test_the_moving_artists_are_all_redrawn(scene):
    """A frame after many others is the frame of a fresh view."""
    panel, fresh = view.TunedView(scene), view.TunedView(scene)
    for pair in PAIRS[:3] + PAIRS[-2:]:
        panel.draw(scene.tuned[pair])
        panel.picture.frame()
    fresh.draw(scene.tuned[PAIRS[-2]])
    panel.draw(scene.tuned[PAIRS[-2]])
    assert panel.picture.frame() == fresh.picture.frame()


def test_the_panels_are_named_and_coloured_for_what_they_show(scene):
    panel = view.TunedView(scene, "a title")
    assert panel.picture.figure.get_suptitle() == "a title"
    samples, modes, steps = panel.picture.figure.axes
    titles = ["Samples on the target", "Modes covered, at this K", "KL$_t$ (nats); the line is at t = K"]
    assert [ax.get_title("left") or ax.get_title() for ax in (samples, modes, steps)] == titles
    np.testing.assert_array_equal(panel.target.cmap(range(256)), plots.shades(plots.TARGET)(range(256)))
    assert to_hex(np.asarray(panel.samples.get_facecolor())[0]) == plots.TUNED
    exact = modes.lines[0]
    assert (list(exact.get_xdata()), list(exact.get_ydata())) == (list(ALPHAS), [3, 5, 8])
    assert [to_hex(str(line.get_color())) for line in modes.lines] == [plots.TARGET, plots.TUNED, plots.TUNED]
    (label,) = modes.texts
    assert label.get_text() == "exact optimum" and label.get_position() == pytest.approx((0.05, 3.15))
    assert modes.get_xscale() == "log" and modes.get_xlabel() == "α" and modes.get_ylim() == (0, 8.8)
    assert steps.get_xlabel() == "t" and steps.get_xlim() == (11, 0) and steps.get_ylim() == (0, 0.6)
    told = {text.get_text(): (text.get_position()[0], to_hex(str(text.get_color()))) for text in steps.texts}
    assert told == {"reached": (0.98, plots.TUNED), "not reached": (0.05, plots.ALARM)}


@pytest.mark.parametrize(("alpha", "last"), PAIRS)
def test_the_words_say_the_policys_numbers(scene, alpha, last):
    tuned, best = scene.tuned[alpha, last], scene.tilted.at(alpha)
    paid, beyond = float(tuned.kl.sum()), float(sum(tuned.kl.tolist()[last:]))
    said = (
        f"<b>α = {alpha:g}, gradient through the last {last} of 10 steps.</b> Modes covered: <b>{tuned.modes}</b>, "
        f"the optimum {scene.modes[alpha]}. J = {tuned.reward:.2f} − {alpha:g} × {paid:.2f} = "
        f"<b>{tuned.reward - alpha * paid:.2f}</b>, the optimum {best.reward - alpha * best.kl:.2f}.<br>"
    )
    said += (
        f"{beyond:.2f} nats are paid at steps that no gradient reached: the network is shared, the bill is not seen."
        if last < 10
        else "Every step sees the reward, and its own bill."
    )
    assert view.in_words(scene, tuned) == said.replace("-", "−")


def test_the_widget_starts_cold_and_whole_and_answers_its_controls(scene):
    box, fresh = view.play(scene), view.TunedView(scene)
    controls = [control for column in box.children[0].children for control in column.children]
    assert [(control.description, control.value) for control in controls] == [("α", 0.05), ("K", 10)]
    image, text = box.children[1:]
    setting = dict(alpha=0.05, last=10)
    for name, control, value in zip(setting, controls, (0.5, 2), strict=True):
        before = image.value, text.value
        control.value = setting[name] = value
        assert image.value != before[0] and text.value != before[1]
        tuned = scene.tuned[setting["alpha"], int(setting["last"])]
        fresh.draw(tuned)
        assert image.value == fresh.picture.frame() and text.value == view.in_words(scene, tuned)


@pytest.mark.parametrize("setting", [{}, dict(alpha=0.5), dict(alpha=2.0, last=6)], ids=str)
def test_a_still_shows_its_settings(scene, monkeypatch, setting):
    made: list[Any] = []

    class Watched(view.TunedView):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(view, "TunedView", Watched)
    image, whole = view.still(scene, **setting), dict(alpha=0.05, last=10) | setting
    assert image.data == made[0].picture.still().data
    assert_shows(made[0], scene, **whole)
    title = made[0].picture.figure.get_suptitle()
    assert title == f"α = {whole['alpha']:g}, gradient through the last K = {whole['last']} steps"


@pytest.mark.parametrize("wrong", [dict(alpha=0.06), dict(last=3)], ids=str)
def test_a_setting_that_was_not_trained_is_told_so(scene, wrong):
    with pytest.raises(ValueError, match=r"expected α in \[0.05, 0.5, 2.0\] and K in \[2, 6, 10\], got"):
        view.still(scene, **wrong)
    with pytest.raises(TypeError, match="depth"):
        view.still(scene, **UNKNOWN)
