"""The pictures of 06_2: each artist against arrays and numbers from the library, over several settings in a row."""

import math
import random
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.text import Annotation

from tutorial_lib import plots
from tutorial_lib.guidance import sequential_monte_carlo
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.metrics import energy_distance, rollout_with_kl
from tutorial_lib.notebooks.s06_2_value_weighted_sampling import figures, study, view

from ..oracles import RING_REWARD, seeded
from ..plots.artists import pixels, points, title, words
from .s06_2_scenes import ALPHAS, WORLDS, fields, scene, wild, world

SETTINGS: list[dict[str, Any]] = [
    dict(alpha=0.5, strength=1.0, sampler=study.STEERED, estimator=study.TWEEDIE, count=16),
    dict(alpha=0.2, strength=1.6, sampler=study.STEERED, estimator=study.EXACT, count=16),
    dict(alpha=0.5, strength=2.0, sampler=study.STEERED, estimator=study.FLIPPED, count=1),
    dict(alpha=0.2, strength=0.4, sampler=study.CLOUD, estimator=study.SOFT_Q, count=4),
    dict(alpha=0.5, strength=0.4, sampler=study.CHOSEN, estimator=study.MONTE_CARLO, count=2),
]


def drawn(alpha, strength, sampler, estimator, count):
    """The library's own samples [B, 2] for a setting, and the J of each path or the bound of each cloud."""
    ring, value = world("ring"), scene().values[estimator, alpha]
    if sampler == study.STEERED:
        policy = ValueWeightedPolicy(ring.pretrained, value, alpha=alpha, strength=strength)
        path, kl = rollout_with_kl(policy, study.PARTICLES, generator=seeded(0))
        return path.x_0, RING_REWARD(path.x_0) - alpha * kl, dict(kl=kl.mean().item())
    if sampler == study.CLOUD:
        clouds = study.PARTICLES // count
        path = sequential_monte_carlo.sample(
            ring.pretrained, value, alpha=alpha, n=count, clouds=clouds, generator=seeded(0)
        )
        ancestors = len({tuple(x) for x in path.x[-1].tolist()}) / study.PARTICLES
        return path.x_0, alpha * path.log_z, dict(effective=path.effective.mean(1).min().item(), ancestors=ancestors)
    options = dict(alpha=alpha, n=study.PARTICLES, candidates=count)
    return sequential_monte_carlo.svdd(ring.pretrained, value, **options, generator=seeded(0)).x_0, None, {}


def shares(rewards, weights):
    """The weighted share at or below each level of the ring's scene."""
    rewards, weights = rewards.double().flatten(), weights.double().flatten()
    return [weights[rewards <= level].sum().item() for level in scene().levels]


@pytest.fixture(scope="module", autouse=True)
def style():
    with plt.style.context(plots.STYLE):
        yield


@pytest.fixture(scope="module")
def shown():
    """One view that has been through all the settings: what is left of an earlier one would be seen."""
    return view.SamplersView(scene())


@pytest.mark.parametrize("settings", [*SETTINGS, SETTINGS[0]])
def test_every_panel_shows_its_setting(shown, settings):
    alpha, estimator = settings["alpha"], settings["estimator"]
    shown.draw(study.answer(scene(), **settings), **settings)
    grid, tilted = scene().tilted.grid, scene().tilted
    inside = grid.axis.abs() <= view.SHOWN
    value = fields()[estimator, alpha][study.BELIEVED_AT]
    expected = (value - value[inside][:, inside].max()).T
    np.testing.assert_allclose(pixels(shown.belief), expected, rtol=1e-4, atol=1e-3)
    assert pixels(shown.belief)[inside][:, inside].max() == 0

    mass = tilted.at(alpha).mass
    np.testing.assert_allclose(pixels(shown.target), mass.T)
    assert shown.target.get_clim() == pytest.approx((0, 2 * mass.max().item()))

    x_0, _, _ = drawn(**settings)
    np.testing.assert_allclose(points(shown.points), x_0, atol=1e-3)
    even = torch.full((study.PARTICLES,), 1 / study.PARTICLES)
    np.testing.assert_allclose(points(shown.below)[:, 1], shares(RING_REWARD(x_0), even), atol=0.01)
    np.testing.assert_allclose(points(shown.best)[:, 1], shares(tilted.reward, mass), atol=1e-6)
    for line in (shown.below, shown.best):
        np.testing.assert_allclose(points(line)[:, 0], scene().levels)


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_picture_says_which_setting_it_is(shown, settings):
    shown.draw(study.answer(scene(), **settings), **settings)
    said = shown.settings.get_text()
    assert said.startswith(f"{settings['sampler']};  {settings['estimator']};  α = {settings['alpha']:g};  ")
    steered = settings["sampler"] == study.STEERED
    acts = f"γ = {settings['strength']:g}" if steered else f"{settings['count']} "
    assert acts in said and ("γ" in said) == steered
    outside = int((drawn(**settings)[0].abs() > view.SHOWN).any(1).sum())
    assert ("beyond the edge" in said) == (outside > 0)
    assert not outside or f"{outside} of {study.PARTICLES} particles beyond the edge" in said


def test_what_does_not_move_is_where_and_as_it_should_be(shown):
    believed, target, law = shown.picture.figure.axes[:3]
    extent = scene().tilted.grid.extent
    for image in (shown.belief, shown.target):
        assert list(image.get_extent()) == [-extent, extent, -extent, extent] and image.origin == "lower"
    for ax in (believed, target):
        assert ax.get_xlim() == ax.get_ylim() == (-view.SHOWN, view.SHOWN) and ax.get_aspect() == 1
    exact = fields()[study.EXACT, ALPHAS[1]][study.BELIEVED_AT]
    inside = scene().tilted.grid.axis.abs() <= view.SHOWN
    low = np.quantile(exact, 0.3) - exact[inside][:, inside].max().item()
    assert shown.belief.get_clim() == pytest.approx((low, 0), rel=1e-4)
    assert f"_{{{study.BELIEVED_AT}}}" in title(believed)

    pretrained, best, below = law.lines
    assert (best, below) == (shown.best, shown.below)
    tilted = scene().tilted
    np.testing.assert_allclose(points(pretrained)[:, 1], shares(tilted.reward, tilted.pretrained), atol=1e-6)
    named = [(line.get_label(), line.get_color()) for line in law.lines]
    assert named == [
        ("pretrained", plots.PRETRAINED),
        ("exact target", plots.TARGET),
        ("samples", plots.TUNED),
    ]
    assert words(law.get_legend().get_texts()) == ["pretrained", "exact target", "samples"]
    assert law.get_xlabel() == "reward r" and title(law) == "Share of samples with reward ≤ r"
    assert shown.target.get_cmap().name == plots.TARGET and title(target) == "Samples on the exact target"


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_words_have_the_numbers_of_their_setting(settings):
    alpha, count = settings["alpha"], settings["count"]
    said = view.in_words(study.answer(scene(), **settings), settings["sampler"], count)
    x_0, J, more = drawn(**settings)
    r, target = RING_REWARD(x_0), scene().tilted.at(alpha)
    error = r.std().item() / study.PARTICLES**0.5
    expected = [f"<b>E[r] = {r.mean().item():.2f} ± {error:.2f}</b>", f"the target has {target.reward:.2f}."]
    draws = scene().tilted.sample(alpha, torch.rand(study.PARTICLES, 2, generator=seeded(1)))
    expected.append(f"draws <b>{energy_distance(x_0, draws):.3f}</b>")
    if J is not None:
        gain = target.objective - (scene().tilted.pretrained * scene().tilted.reward).sum().item()
        regret, noise = (target.objective - J.mean().item()) / gain, J.std().item() / gain / len(J) ** 0.5
        expected.append(f"{regret:.0%} ± {noise:.0%}")
    if settings["sampler"] == study.STEERED:
        expected += [f"KL {more['kl']:.2f} nats", "<b>regret "]
    elif settings["sampler"] == study.CLOUD:
        expected += [f"{study.PARTICLES // count} cloud(s) of {count}: <b>regret ≤", f"lowest {more['effective']:.0%}"]
        expected.append(f"{more['ancestors']:.0%} of the x<sub>T</sub>")
    else:
        expected.append(f"Best of {count} ")
    assert [text for text in expected if plots.minus(text) not in said] == []


def test_particles_thrown_out_are_told():
    settings: dict[str, Any] = SETTINGS[0] | dict(estimator=study.SOFT_Q)
    found, shown = study.answer(wild(), **settings), view.SamplersView(wild())
    shown.draw(found, **settings)
    told = f"{study.PARTICLES - len(found.x_0)} of {study.PARTICLES} particles thrown out of the plane"
    said = view.in_words(found, study.STEERED, 1)
    assert told in shown.settings.get_text() and told in said and "nan" not in said and "inf" not in said
    assert np.isfinite(points(shown.points)).all() and len(points(shown.points)) == len(found.x_0)

    settings["estimator"] = study.MONTE_CARLO
    found = study.answer(wild(), **settings)
    shown.draw(found, **settings)
    assert len(points(shown.points)) == 0 and shown.picture.frame().startswith(b"\xff\xd8")
    said = view.in_words(found, study.STEERED, 1)
    assert said == f"All but 0 of {study.PARTICLES} particles were thrown out of the plane: nothing to measure."


@pytest.mark.parametrize("name", WORLDS)
def test_50_random_settings_of_each_world_give_points_words_and_a_picture(name):
    settings, shown = random.Random(0), view.SamplersView(scene(name))
    for i in range(50):
        chosen: dict[str, Any] = dict(
            alpha=settings.choice(ALPHAS),
            strength=settings.uniform(0, view.STRONGEST),
            sampler=settings.choice(study.SAMPLERS),
            estimator=settings.choice(study.ESTIMATORS),
            count=settings.choice(study.COUNTS),
        )
        found = study.answer(scene(name), **chosen)
        assert len(found.x_0) + found.thrown == study.PARTICLES and torch.isfinite(found.rewards).all()
        assert math.isfinite(found.distance) or len(found.x_0) < 2
        said = view.in_words(found, chosen["sampler"], chosen["count"])
        assert not any(bad in said for bad in ("nan", "inf", "-"))
        shown.draw(found, **chosen)
        if i % 10 == 0:
            assert shown.picture.frame().startswith(b"\xff\xd8")


def test_each_control_of_the_widget_moves_what_it_names(shown):
    box = view.play(scene())
    controls = {control.description: control for column in box.children[0].children for control in column.children}
    image, text = box.children[1:]
    now = dict(view.FIRST)
    for label, name, value in (
        ("sampler", "sampler", study.CLOUD),
        ("particles", "count", 4),
        ("estimator of v", "estimator", study.EXACT),
        ("α", "alpha", 0.2),
        ("sampler", "sampler", study.STEERED),
        ("guidance strength γ", "strength", 0.3),
    ):
        controls[label].value = now[name] = value
        found = study.answer(scene(), **now)
        shown.draw(found, **now)
        assert image.value == shown.picture.frame()
        assert text.value == view.in_words(found, now["sampler"], now["count"])


@pytest.mark.parametrize("settings", [{}, dict(sampler=study.CLOUD, count=8), dict(alpha=0.2, estimator=study.EXACT)])
def test_a_still_is_the_picture_of_its_settings(shown, settings):
    whole = view.FIRST | settings
    shown.draw(study.answer(scene(), **whole), **whole)
    assert view.still(scene(), **settings).data == shown.picture.still().data


def test_a_still_of_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match=r"unknown setting gamma; known: alpha, strength, sampler, estimator, count"):
        view.still(scene(), gamma=1.0)


@pytest.mark.parametrize("name", ["a", "b"])
def test_samples_stand_on_their_target(name):
    mass, x = torch.rand(12, 12, generator=seeded(1)), torch.randn(30, 2, generator=seeded(ord(name)))
    figure, ax = plt.subplots()
    figures.show_on_target(ax, mass, x, name, extent=5.0)
    np.testing.assert_allclose(pixels(ax.images[0]), mass.T)
    assert list(ax.images[0].get_extent()) == [-5, 5, -5, 5] and ax.images[0].get_cmap().name == plots.TARGET
    np.testing.assert_allclose(points(ax.collections[0]), x)
    assert title(ax) == name and ax.get_xlim() == ax.get_ylim() == (-figures.SHOWN, figures.SHOWN)
    plt.close(figure)


def test_beliefs_are_shown_in_rows_of_estimators_and_columns_of_times():
    maps = {name: [torch.randn(9, 9, generator=seeded(10 * i + t)) for t in (45, 5)] for i, name in enumerate("ab")}
    figure = figures.show_beliefs(maps, (45, 5), extent=4.0)
    panels = figure.axes[:4]
    assert [title(ax) for ax in panels] == ["a, t = 45", "a, t = 5", "b, t = 45", "b, t = 5"]
    low, high = np.quantile(maps["a"][1], [0.2, 1.0])
    for ax, field in zip(panels, [*maps["a"], *maps["b"]], strict=True):
        np.testing.assert_allclose(pixels(ax.images[0]), field.T)
        assert ax.images[0].get_clim() == pytest.approx((low, high))
        assert list(ax.images[0].get_extent()) == [-4, 4, -4, 4]
    plt.close(figure)


def test_labels_stand_at_the_ends_of_their_lines():
    figure, ax = plt.subplots()
    ax.plot([1, 2, 3], [5, 6, 7], color="red", label="up")
    ax.plot([1, 4], [5, 2], color="blue", label="down")
    ax.plot([0, 9], [0, 9], color="green")
    figures.label_ends(ax, down=-7)
    up, down = (cast(Annotation, text) for text in ax.texts)
    assert (up.get_text(), up.xy, up.get_color(), up.xyann) == ("up", (3, 7), "red", (6, 0))
    assert (down.get_text(), down.xy, down.get_color(), down.xyann) == ("down", (4, 2), "blue", (6, -7))
    plt.close(figure)


def test_every_estimator_has_a_colour_of_its_own_and_the_wrong_one_alarms():
    assert set(figures.INKS) == {*study.ESTIMATORS, "none"} and len(set(figures.INKS.values())) == 6
    assert figures.INKS[study.EXACT] == plots.TARGET and figures.INKS[study.FLIPPED] == plots.ALARM
