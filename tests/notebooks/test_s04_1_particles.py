"""The theory's particles: their paths against a rollout by hand, every artist of both panels, the glue."""

import dataclasses
import random
from typing import Any

import ipywidgets as ui
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from tutorial_lib import plots
from tutorial_lib.notebooks.s04_1_theory import particles_study, particles_view, study

from ..plots.artists import title
from .s04_pictures import every, numbers, printed

REWARDS = tuple(study.REWARDS)

SETTINGS = [(0.5, 50), (0.5, 25), (5.0, 25), (0.5, 0), (0.5, 50)]  # the first again, so that what is left behind shows

DEFAULTS: dict[str, Any] = dict(alpha=0.5, t=20, reward=REWARDS[0])


pytestmark = pytest.mark.usefixtures("house_style")


def by_hand(scene, alpha):
    """Steered paths [T+1, B, 2], and what they have paid down to t [T+1, B]."""
    pretrained, value, g = scene.world.pretrained, scene.tilted.values(alpha), torch.Generator().manual_seed(2)
    x, paid = torch.zeros(51, 400, 2), torch.zeros(51, 400)
    x[50] = torch.randn(400, 2, generator=g)
    for t in range(50, 0, -1):
        sigma, z = scene.world.schedule.sigma[t], torch.randn(400, 2, generator=g)
        with torch.no_grad():
            rho = pretrained.mean(x[t], t)
        u = sigma / alpha * value.grad(rho, t - 1)
        x[t - 1], paid[t - 1] = rho + sigma * (u + z), paid[t] + (u[:, 0] ** 2 + u[:, 1] ** 2) / 2
    return x, paid


@pytest.mark.parametrize("name", REWARDS)
def test_an_answer_is_one_moment_of_a_flight_by_hand(name):
    scene = study.scene(name)
    x, paid = by_hand(scene, 0.5)
    free, nothing = by_hand(scene, 1e9)
    assert nothing.max() < 1e-9
    for t in (50, 30, 0):
        found, exact = particles_study.answer(scene, alpha=0.5, t=t), scene.tilted.marginal(0.5, t)
        assert (found.reward_name, found.alpha, found.t) == (name, 0.5, t)
        assert [paths.shape for paths in found.paths] == 2 * [(51 - t, 400, 2)]
        assert torch.allclose(found.paths[0], free[t:], atol=1e-4) and torch.allclose(found.paths[1], x[t:], atol=1e-4)
        assert torch.equal(found.densities[0], exact.pretrained) and torch.equal(found.densities[1], exact.density)
        assert (found.paid, found.paid_se) == pytest.approx(
            (float(paid[t].mean()), float(paid[t].std()) / 20), abs=1e-4
        )
        expected = [float(study.REWARDS[name](paths[0]).mean()) for paths in (free, x)]
        assert found.rewards == pytest.approx(expected, abs=1e-4)
        p = exact.density * scene.tilted.grid.spacing**2
        kl = float((p * (exact.density.clamp_min(1e-300) / exact.pretrained.clamp_min(1e-300)).log()).sum())
        assert found.kl == pytest.approx(kl, abs=2e-3)


@pytest.mark.parametrize("name", REWARDS)
def test_both_policies_see_the_same_noise(name):
    scene = study.scene(name)
    warm, weak = particles_study.flight(scene, 0.5), particles_study.flight(scene, 1e6)
    assert warm.x.shape == (2, 51, particles_study.PARTICLES, 2)
    assert torch.equal(warm.x[0], weak.x[0]) and torch.equal(warm.x[0, -1], warm.x[1, -1])
    assert (weak.x[1] - weak.x[0]).abs().max() < 1e-3 and float(weak.kl[0]) < 1e-6
    assert warm.rewards[1] > warm.rewards[0] == weak.rewards[0]


@pytest.mark.parametrize("name", REWARDS)
def test_the_particles_pay_the_exact_tilt_and_a_little_for_their_finite_steps(name):
    """KL paid from T down to t is KL(p*_t‖p_pre,t) in the limit of fine steps; T = 50 costs up to 10 % more."""
    scene = study.scene(name)
    flight = particles_study.flight(scene, 0.5)
    assert (flight.kl[:-1] >= flight.kl[1:]).all() and flight.kl[-1] == 0
    for t in (0, 10, 20, 30, 40):
        exact = study.answer(scene, alpha=0.5, t=t).kl
        assert abs(float(flight.kl[t]) - exact) <= 4 * float(flight.kl_se[t]) + 0.1 * exact


def test_particles_glide_when_alpha_moves_a_little():
    a, b = (particles_study.flight(study.scene(), alpha).x[1, 0] for alpha in (0.50, 0.52))
    assert (a - b).norm(dim=1).median() < 0.1


def assert_picture(shown, found, name):
    """Every artist of both panels, the pretrained one on the left, and the line above."""
    shades = (plots.PRETRAINED, plots.TARGET)
    for panel, density, paths, shade in zip(shown.panels, found.densities, found.paths, shades, strict=True):
        x = paths.numpy()
        assert np.allclose(panel.density.get_array()[..., :3], printed(density, shade, 0.6), atol=2, rtol=0)
        assert np.allclose(panel.cloud.get_offsets(), x[0]) and np.allclose(panel.heads.get_offsets(), x[0, :7])
        trails = panel.trails.get_segments()
        assert len(trails) == 7
        for i, trail in enumerate(trails):
            assert np.allclose(trail, x[:9, i])
    assert shown.settings.get_text() == f"α = {found.alpha:.3g};  t = {found.t};  reward: {name}"


@pytest.mark.parametrize("name", REWARDS)
def test_every_artist_follows_the_answer(name):
    scene = study.scene(name)
    shown = particles_view.ParticlesView(scene)
    for alpha, t in SETTINGS:
        found = particles_study.answer(scene, alpha=alpha, t=t)
        shown.draw(found)
        assert_picture(shown, found, name)


def test_no_picture_is_turned_or_mirrored():
    """Ring's own p_pre is the same in a mirror; densities at random are not."""
    first, second = torch.rand(2, study.GRID, study.GRID, generator=torch.Generator().manual_seed(0))
    found = particles_study.answer(study.scene(), alpha=0.5, t=10)
    shown = particles_view.ParticlesView(study.scene())
    shown.draw(dataclasses.replace(found, densities=(first, second)))
    assert_picture(shown, dataclasses.replace(found, densities=(first, second)), REWARDS[0])


def test_what_stands_still_is_named_and_to_scale():
    shown = particles_view.ParticlesView(study.scene())
    left, right = shown.picture.figure.axes
    assert title(left) == "Pretrained particles, on $p_{pre,t}$"
    assert title(right) == "Same noise, steered by $∇v_t$, on $p^*_t$"
    for ax, panel, color in zip((left, right), shown.panels, (plots.PRETRAINED, plots.TUNED), strict=True):
        assert list(panel.density.get_extent()) == [-5, 5, -5, 5] and panel.density.origin == "lower"
        assert ax.get_xlim() == ax.get_ylim() == (-3.4, 3.4) and ax.get_aspect() == 1
        for artist in (panel.cloud, panel.heads, panel.trails):
            assert artist.axes is ax and np.allclose(np.array(artist.get_edgecolor())[:, :3], to_rgb(color))
        assert np.allclose(np.array(panel.cloud.get_facecolor())[:, :3], to_rgb(color)) and panel.density.axes is ax
    moving = [a for p in shown.panels for a in (p.density, p.cloud, p.heads, p.trails)]
    assert {shown.settings, *moving} == set(shown.picture.moving)


def test_random_settings_in_every_reward_give_their_picture_and_words():
    settings, views = random.Random(0), {name: particles_view.ParticlesView(study.scene(name)) for name in REWARDS}
    for i in range(12):
        name, alpha, t = REWARDS[i % 3], 10 ** settings.uniform(np.log10(0.05), 1), settings.randint(0, 50)
        found = particles_study.answer(study.scene(name), alpha=alpha, t=t)
        assert all(torch.isfinite(paths).all() for paths in found.paths)
        views[name].draw(found)
        assert_picture(views[name], found, name)
        assert "nan" not in particles_view.in_words(found)


@pytest.mark.parametrize("name", REWARDS)
def test_the_words_say_the_arrays(name):
    scene = study.scene(name)
    x, paid = by_hand(scene, 0.3)
    free, reward = by_hand(scene, 1e9)[0], study.REWARDS[name]
    for t in (40, 0):
        text = particles_view.in_words(particles_study.answer(scene, alpha=0.3, t=t))
        sentence = (
            "<b>t = #</b>: down to here the steered particles have paid <b>KL # ± # nats</b>. Ever finer steps would "
            "pay KL(p*<sub>t</sub>‖p<sub>pre,t</sub>) = #.<br>At t = 0 their mean reward is #, that of the pretrained "
            "particles #."
        )
        rewards = [float(reward(paths[0]).mean()) for paths in (x, free)]
        expected = [
            t,
            float(paid[t].mean()),
            float(paid[t].std()) / 20,
            study.answer(scene, alpha=0.3, t=t).kl,
            *rewards,
        ]
        assert numbers(sentence, text) == pytest.approx(expected, abs=0.006)
        assert "-" not in text


def test_a_still_is_the_picture_at_its_settings():
    other: dict[str, Any] = dict(alpha=2.0, t=3, reward=REWARDS[1])
    for settings in ({}, other):
        chosen = DEFAULTS | settings
        scene = study.scene(chosen.pop("reward"))
        shown = particles_view.ParticlesView(scene)
        shown.draw(particles_study.answer(scene, **chosen))
        picture = particles_view.still(**settings).data
        assert picture == shown.picture.still().data and picture.startswith(b"\x89PNG")


def test_playing_counts_t_down_from_the_noise_and_every_control_is_answered():
    box = particles_view.play()
    (film,), (t,), (image,) = (every(box, kind) for kind in (ui.Play, ui.IntSlider, ui.Image))
    (alpha,), (reward,) = (every(box, kind) for kind in (ui.FloatLogSlider, ui.Dropdown))
    names = ("α of the particles", "t of the particles", "their reward")
    assert (alpha.description, t.description, reward.description) == names
    text = next(words for words in every(box, ui.HTML) if "have paid" in words.value)
    assert (t.value, film.value, film.max) == (50, 0, 50)
    for control, value in ((t, 50), (film, 20), (alpha, 1.0), (reward, REWARDS[1]), (t, 0), (reward, REWARDS[0])):
        control.value = value
        assert t.value == 50 - film.value
        scene = study.scene(reward.value)
        found, shown = particles_study.answer(scene, alpha=alpha.value, t=t.value), particles_view.ParticlesView(scene)
        shown.draw(found)
        assert image.value == shown.picture.frame() and text.value == particles_view.in_words(found)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (dict(alpha=-1.0), ValueError, "alpha must be"),
        (dict(t=-1), ValueError, r"t must be a whole number in 0\.\.50"),
        (dict(reward="gold"), ValueError, "unknown reward 'gold'"),
        (dict(gold=1), TypeError, "gold"),
    ],
)
def test_settings_that_do_not_exist_are_refused(settings, error, words):
    with pytest.raises(error, match=words):
        particles_view.still(**settings)
