"""The theory's widgets: the pure functions over their whole range and at random settings, the pictures, the glue."""

import itertools
import math
import random

import ipywidgets as ui
import pytest
import torch

from tutorial_lib.notebooks.s04_theory import view as theory

REWARDS = tuple(theory.REWARDS)


def every(box, kind):
    """All widgets of one kind inside a box."""
    found = [box] if isinstance(box, kind) else []
    return found + [w for child in getattr(box, "children", ()) for w in every(child, kind)]


@pytest.mark.parametrize("name", REWARDS)
def test_the_tilt_is_washed_out_by_noise(name):
    """The KL shown is Σ p* log(p*/p_pre), falls at every t and ends at nothing; the mean value falls to α log Z."""
    scene = theory.scene(name)
    for alpha in (0.05, 0.5, 10.0):
        answers = [theory.answer(scene, alpha, t) for t in range(51)]
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
    scene, h = theory.scene(name), theory.scene(name).tilted.grid.spacing
    for alpha, t in ((0.2, 10), (0.5, 20), (2.0, 40)):
        found = theory.answer(scene, alpha, t)
        log_ratio = (found.fields.density / found.fields.pretrained).log()
        slopes = torch.stack(torch.gradient(log_ratio, spacing=h), -1)[scene.lattice][:, scene.lattice]
        shown = found.shift.square().sum(-1) > 0
        assert 20 < shown.sum() < shown.numel()
        expected = float(scene.world.schedule.sigma[t]) * slopes
        assert (found.shift - expected)[shown].norm(dim=-1).mean() <= 0.05 * expected[shown].norm(dim=-1).mean()
    assert theory.answer(scene, 0.5, 0).shift.abs().max() == 0


def test_100_random_settings_give_fields_and_words():
    settings = random.Random(0)
    for _ in range(100):
        scene = theory.scene(settings.choice(REWARDS))
        alpha, t = 10 ** settings.uniform(math.log10(0.05), 1), settings.randint(0, 50)
        found = theory.answer(scene, alpha, t)
        for field in (found.fields.density, found.fields.pretrained, found.fields.value, found.shift):
            assert torch.isfinite(field).all()
        assert -1e-9 <= found.kl and found.value >= found.limit - 1e-9
        assert "nan" not in theory.in_words(found)


@pytest.mark.parametrize("name", REWARDS)
def test_the_picture_follows_the_answer_on_one_colour_scale(name):
    view = theory.MarginalsView(theory.scene(name))
    limits, pictures = view.colors.get_clim(), []
    for alpha, t in ((0.05, 0), (0.5, 1), (0.5, 25), (0.5, 50), (10.0, 50)):
        view.draw(theory.answer(view.scene, alpha, t))
        pictures.append(view.picture.frame())
        assert view.colors.get_clim() == limits
    assert len(set(pictures)) == len(pictures) and pictures[0].startswith(b"\xff\xd8")
    view.draw(theory.answer(view.scene, 0.05, 0))
    assert view.picture.frame() == pictures[0]


def test_the_value_has_no_contours_left_at_the_end():
    view = theory.MarginalsView(theory.scene(REWARDS[0]))
    view.draw(theory.answer(view.scene, 0.5, 5))
    assert len(view.contours.get_segments()) >= theory.CONTOURS - 1
    view.draw(theory.answer(view.scene, 0.5, 50))
    assert len(view.contours.get_segments()) == 0


@pytest.mark.parametrize("name", REWARDS)
def test_both_policies_see_the_same_noise(name):
    scene = theory.scene(name)
    warm, weak = theory.flight(scene, 0.5), theory.flight(scene, 1e6)
    assert warm.x.shape == (2, 51, theory.PARTICLES, 2)
    assert torch.equal(warm.x[0], weak.x[0]) and torch.equal(warm.x[0, -1], warm.x[1, -1])
    assert (weak.x[1] - weak.x[0]).abs().max() < 1e-3 and float(weak.kl[0]) < 1e-6
    assert warm.rewards[1] > warm.rewards[0] == weak.rewards[0]


@pytest.mark.parametrize("name", REWARDS)
def test_the_particles_pay_the_exact_tilt_and_a_little_for_their_finite_steps(name):
    """KL paid from T down to t is KL(p*_t‖p_pre,t) in the limit of fine steps; T = 50 costs up to 10 % more."""
    scene = theory.scene(name)
    flight = theory.flight(scene, 0.5)
    assert (flight.kl[:-1] >= flight.kl[1:]).all() and flight.kl[-1] == 0
    for t in (0, 10, 20, 30, 40):
        exact = theory.answer(scene, 0.5, t).kl
        assert abs(float(flight.kl[t]) - exact) <= 4 * float(flight.kl_se[t]) + 0.1 * exact


def test_particles_glide_when_alpha_moves_a_little():
    a, b = (theory.flight(theory.scene(REWARDS[0]), alpha).x[1, 0] for alpha in (0.50, 0.52))
    assert (a - b).norm(dim=1).median() < 0.1


def test_the_flights_picture_follows_t_and_alpha():
    view, pictures = theory.FlightView(theory.scene(REWARDS[0])), []
    for alpha, t in ((0.5, 50), (0.5, 25), (0.5, 0), (5.0, 0)):
        flight = theory.flight(view.scene, alpha)
        view.draw(flight, t)
        pictures.append(view.picture.frame())
        assert "nan" not in theory.flight_in_words(view.scene, flight, t)
    assert len(set(pictures)) == len(pictures)


def test_the_stills_are_pictures():
    assert all(still().data.startswith(b"\x89PNG") for still in (theory.first_marginals, theory.first_particles))


def test_every_control_of_the_marginals_moves_the_picture():
    box = theory.marginals()
    (image,), shown = every(box, ui.Image), set()
    for change in (lambda: None, *setters(box)):
        change()
        shown.add(image.value)
    assert len(shown) == 4


def setters(box):
    (alpha,), (t,), (reward,) = (every(box, kind) for kind in (ui.FloatLogSlider, ui.IntSlider, ui.Dropdown))
    return [lambda: setattr(alpha, "value", 1.0), lambda: setattr(t, "value", 3), lambda: setattr(reward, "index", 1)]


def test_playing_counts_t_down_from_the_noise():
    box = theory.particles()
    (play,), (time,), (image,) = (every(box, kind) for kind in (ui.Play, ui.IntSlider, ui.Image))
    assert (time.value, play.value) == (50, 0)
    first = image.value
    play.value = 20
    assert time.value == 30 and image.value != first
    time.value = 0
    assert play.value == play.max == 50


def test_bad_settings_are_refused():
    scene = theory.scene(REWARDS[0])
    with pytest.raises(ValueError, match="alpha must be"):
        theory.answer(scene, 0.0, 3)
    with pytest.raises(ValueError, match=r"t must be a whole number in 0\.\.50, got 51"):
        theory.answer(scene, 0.5, 51)
    with pytest.raises(ValueError, match="unknown reward 'gold'; known: peak"):
        theory.scene("gold")
