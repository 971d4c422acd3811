"""The theory's widget of α and t: the pure function over its whole range, every artist of every panel, the glue."""

import dataclasses
import itertools
import math
import random
from typing import Any

import ipywidgets as ui
import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from scipy.interpolate import RegularGridInterpolator

from tutorial_lib import plots
from tutorial_lib.exact import Marginal
from tutorial_lib.notebooks.s04_1_theory import play, still, study, view

from ..plots.artists import title
from .s04_pictures import every, numbers, printed

REWARDS = tuple(study.REWARDS)
SETTINGS = [(0.05, 3), (0.5, 25), (10.0, 0), (0.5, 50), (0.05, 3)]  # the first again, so that what is left behind shows

DEFAULTS: dict[str, Any] = dict(alpha=0.5, t=10, reward=REWARDS[0])


pytestmark = pytest.mark.usefixtures("house_style")


@pytest.mark.parametrize("name", REWARDS)
def test_the_tilt_is_washed_out_by_noise(name):
    """The KL shown is Σ p* log(p*/p_pre), falls at every t and ends at nothing; the mean value falls to α log Z."""
    scene = study.scene(name)
    for alpha in (0.05, 0.5, 10.0):
        answers = [study.answer(scene, alpha=alpha, t=t) for t in range(51)]
        for found in answers:
            p, q = found.fields.density * scene.tilted.grid.spacing**2, found.fields.pretrained
            log_ratio = found.fields.density.clamp_min(1e-300).log() - q.clamp_min(1e-300).log()
            assert found.kl == pytest.approx(float((p * log_ratio).sum()), abs=2e-3)
        kl, value = [found.kl for found in answers], [found.value for found in answers]
        assert all(later <= sooner + 1e-9 for sooner, later in itertools.pairwise(kl))
        assert kl[0] == pytest.approx(scene.tilted.at(alpha).kl, rel=1e-6) and abs(kl[-1]) < 1e-3
        assert value == sorted(value, reverse=True) and value[-1] == pytest.approx(answers[-1].limit, abs=1e-3)


@pytest.mark.parametrize("name", REWARDS)
def test_the_shift_is_the_slope_of_the_value(name):
    """Against central differences, where a path goes: σ_t times the difference of the scores of p*_t and p_pre,t."""
    scene, h = study.scene(name), study.scene(name).tilted.grid.spacing
    for alpha, t in ((0.2, 10), (0.5, 20), (2.0, 40)):
        found = study.answer(scene, alpha=alpha, t=t)
        log_ratio = (found.fields.density / found.fields.pretrained).log()
        slopes = torch.stack(torch.gradient(log_ratio, spacing=h), -1)[scene.lattice][:, scene.lattice]
        shown = found.shift.square().sum(-1) > 0
        assert 20 < shown.sum() < shown.numel()
        expected = float(scene.world.schedule.sigma[t]) * slopes
        assert (found.shift - expected)[shown].norm(dim=-1).mean() <= 0.05 * expected[shown].norm(dim=-1).mean()
    assert study.answer(scene, alpha=0.5, t=0).shift.abs().max() == 0


@pytest.mark.parametrize("name", REWARDS)
def test_the_colour_scale_spans_the_rewards_of_the_data(name):
    """2 % of p_pre earns less than `low`, 0.1 % more than `high`, up to a step of the reward."""
    scene = study.scene(name)
    p, r = scene.tilted.pretrained, study.REWARDS[name](scene.tilted.grid.points).double().reshape(101, 101)
    assert scene.name == name and torch.allclose(scene.tilted.reward, r)
    assert float(p[r < scene.low].sum()) <= 0.02 <= float(p[r <= scene.low].sum())
    assert float(p[r < scene.high].sum()) <= 0.999 <= float(p[r <= scene.high].sum())


def assert_picture(shown, scene, found):
    """Every artist of the three panels, the mark beside them and the line above."""
    p, q, v = found.fields.pretrained, found.fields.density, found.fields.value
    target = printed(q, plots.TARGET)
    near: dict[str, Any] = dict(atol=2, rtol=0)
    assert np.allclose(shown.target.get_array()[..., :3], target, **near)
    assert np.allclose(shown.both.get_array()[..., :3], printed(p, plots.PRETRAINED, 0.6) * target / 255, **near)
    share = ((v - scene.low) / (scene.high - scene.low)).clamp(0, 1).numpy().T
    assert np.allclose(shown.value.get_array(), 255 * colormaps["viridis"](share), **near)
    assert_contours(shown, scene, v)
    assert shown.limit.get_xydata()[0, 1] == pytest.approx(float(np.clip(found.limit, scene.low, scene.high)))
    assert_arrows(shown.arrows, scene.tilted.grid.axis[scene.lattice], found.shift)
    assert shown.settings.get_text() == f"α = {found.alpha:.3g};  t = {found.t};  reward: {scene.name}"


def assert_contours(shown, scene, value):
    """On every contour the value, straight between cells, is one of nine heights, and no height that it has is left."""
    axis = scene.tilted.grid.axis.numpy()
    heights = scene.low + (scene.high - scene.low) * np.arange(1, 10) / 10
    between = RegularGridInterpolator((axis, axis), value.numpy())
    seen = set()
    for segment in shown.contours.get_segments():
        at = between(segment.clip(axis[0], axis[-1]))  # the last digit may lie outside
        nearest = np.abs(heights - at.mean()).argmin()
        assert np.abs(at - heights[nearest]).max() <= 1e-6 * (scene.high - scene.low)
        seen.add(nearest)
    assert seen == {i for i, height in enumerate(heights) if value.min() < height < value.max()}


def assert_arrows(arrows, at, shift):
    """At every (at[i], at[j]) the shift, long ones shorter, the faintest left out."""
    places = [(float(x), float(y)) for x in at for y in at]
    assert np.allclose(arrows.get_offsets(), places)
    u = shift.reshape(-1, 2).numpy()
    length = np.linalg.norm(u, axis=1, keepdims=True)
    faint = (length**2 < 1e-3)[:, 0]
    assert np.array_equal(np.broadcast_to(arrows.Umask, faint.shape), faint)
    drawn = np.stack([arrows.U, arrows.V], 1)[~faint]
    assert np.allclose(drawn, (u / np.sqrt(1 + length**2))[~faint], atol=1e-6)


@pytest.mark.parametrize("name", REWARDS)
def test_every_artist_follows_the_answer(name):
    scene = study.scene(name)
    shown = view.MarginalsView(scene)
    for alpha, t in SETTINGS:
        found = study.answer(scene, alpha=alpha, t=t)
        shown.draw(found)
        assert_picture(shown, scene, found)


def test_no_picture_is_turned_or_mirrored():
    """Ring's own p_pre is the same in a mirror; fields at random are not."""
    scene, g = study.scene(), torch.Generator().manual_seed(0)
    p, q, v = torch.rand(3, study.GRID, study.GRID, generator=g, dtype=torch.float64)
    fields = Marginal(p, q, scene.low + (scene.high - scene.low) * v)
    found = dataclasses.replace(study.answer(scene, alpha=0.5, t=10), fields=fields)
    shown = view.MarginalsView(scene)
    shown.draw(found)
    assert_picture(shown, scene, found)


@pytest.mark.parametrize("name", REWARDS)
def test_what_stands_still_is_named_and_to_scale(name):
    scene = study.scene(name)
    shown = view.MarginalsView(scene)
    left, middle, right = shown.picture.figure.axes
    assert [title(ax) for ax in (left, middle, right)] == [
        "$p_{pre,t}$ (grey) is tilted to $p^*_t$,",
        "more where the value $v_t$ is higher;",
        "its slope is the shift $σ_t∇v_t/α$",
    ]
    for ax, image in ((left, shown.both), (middle, shown.value), (right, shown.target)):
        assert image.axes is ax and image.get_extent() == [-5, 5, -5, 5] and image.origin == "lower"
        assert ax.get_xlim() == ax.get_ylim() == (-3.4, 3.4) and ax.get_aspect() == 1
    assert shown.contours.axes is middle and shown.arrows.axes is right
    (beside,) = middle.child_axes
    assert beside.get_ylim() == pytest.approx((scene.low, scene.high)) and shown.limit.axes is beside
    assert (shown.limit.get_color(), shown.limit.get_marker()) == (plots.TARGET, ">")
    assert np.allclose(np.array(shown.arrows.get_facecolor())[:, :3], to_rgb(plots.TUNED))
    assert (shown.arrows.angles, shown.arrows.scale_units, shown.arrows.scale) == ("xy", "xy", 1)
    moving = {shown.settings, shown.both, shown.value, shown.contours, shown.limit, shown.target, shown.arrows}
    assert moving == set(shown.picture.moving)


def test_100_random_settings_in_every_reward_give_their_picture_and_words():
    settings, views = random.Random(0), {name: view.MarginalsView(study.scene(name)) for name in REWARDS}
    for i in range(100):
        name = REWARDS[i % 3]
        alpha, t = 10 ** settings.uniform(math.log10(0.05), 1), settings.randint(0, 50)
        found = study.answer(study.scene(name), alpha=alpha, t=t)
        for field in (found.fields.density, found.fields.pretrained, found.fields.value, found.shift):
            assert torch.isfinite(field).all()
        assert -1e-9 <= found.kl and found.value >= found.limit - 1e-9
        assert "nan" not in view.in_words(found)
        views[name].draw(found)
        assert_picture(views[name], study.scene(name), found)


@pytest.mark.parametrize("name", REWARDS)
def test_the_words_say_the_exact_numbers(name):
    scene = study.scene(name)
    for alpha, t in SETTINGS[:3]:
        density, values = scene.tilted.through_time(alpha)
        p, before = density[t] * scene.tilted.grid.spacing**2, scene.tilted.marginal(alpha, t).pretrained
        kl = float((p * (density[t].clamp_min(1e-300) / before.clamp_min(1e-300)).log()).sum())
        pretrained, reward = scene.tilted.pretrained.reshape(-1), scene.tilted.reward.reshape(-1)
        limit = alpha * float((pretrained.log() + reward / alpha).logsumexp(0))
        expected = [t, float(scene.world.schedule.alpha_bar[t]), kl, float((p * values[t]).sum()), limit]
        text = view.in_words(study.answer(scene, alpha=alpha, t=t))
        sentence = (
            "<b>t = #</b>: signal left ᾱ<sub>t</sub> = #, tilt left <b>KL(p*<sub>t</sub>‖p<sub>pre,t</sub>) = # "
            "nats</b> = (E*[v<sub>t</sub>] − α log Z)/α.<br>E*[v<sub>t</sub>] = # and α log Z = #, the mark on "
            "the colour scale, where all of v<sub>t</sub> gathers as t → T. "
        ) + ("Long arrows are drawn shorter." if t else "At t = 0 no step is left to shift.")
        assert numbers(sentence, text) == pytest.approx(expected, abs=0.0075)
        assert "-" not in text


def test_a_still_is_the_picture_at_its_settings():
    other: dict[str, Any] = dict(alpha=2.0, t=3, reward=REWARDS[1])
    for settings in ({}, other):
        chosen = DEFAULTS | settings
        scene = study.scene(chosen.pop("reward"))
        shown = view.MarginalsView(scene)
        shown.draw(study.answer(scene, **chosen))
        picture = still(**settings).data
        assert picture == shown.picture.still().data and picture.startswith(b"\x89PNG")


def test_the_widget_answers_each_of_its_controls():
    box = play()
    (image,), (alpha,), (t,), (reward,) = (
        every(box, kind) for kind in (ui.Image, ui.FloatLogSlider, ui.IntSlider, ui.Dropdown)
    )
    assert (alpha.description, t.description, reward.description) == ("α", "time t", "reward")
    assert (t.min, t.max, reward.options) == (0, 50, REWARDS)
    assert (10**alpha.min, 10**alpha.max) == pytest.approx((0.05, 10))
    text = next(words for words in every(box, ui.HTML) if "signal left" in words.value)
    for control, value in ((None, 0), (alpha, 1.0), (t, 3), (reward, REWARDS[1]), (reward, REWARDS[0])):
        if control:
            control.value = value
        scene = study.scene(reward.value)
        found, shown = study.answer(scene, alpha=alpha.value, t=t.value), view.MarginalsView(scene)
        shown.draw(found)
        assert image.value == shown.picture.frame() and text.value == view.in_words(found)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (dict(alpha=0.0), ValueError, "alpha must be"),
        (dict(t=51), ValueError, r"t must be a whole number in 0\.\.50, got 51"),
        (dict(reward="gold"), ValueError, "unknown reward 'gold'; known: peak"),
        (dict(gold=1), TypeError, "gold"),
    ],
)
def test_settings_that_do_not_exist_are_refused(settings, error, words):
    with pytest.raises(error, match=words):
        still(**settings)
