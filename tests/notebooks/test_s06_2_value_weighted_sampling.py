"""The samplers' widget: its pure functions over their whole range and at random settings."""

import math
import random

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.notebooks.s06_2_value_weighted_sampling import view as views

from ..oracles import RING_REWARD

ALPHAS = (0.2, 0.5)


@pytest.fixture(scope="module")
def scene():
    """Tweedie stands in for the fitted values."""
    ring = worlds.ring()
    guess = Tweedie(ring.pretrained, ring.reward)
    return views.make_scene(ring, {alpha: {views.SOFT_Q: guess, views.MONTE_CARLO: guess} for alpha in ALPHAS})


def test_120_random_settings_give_points_words_and_a_picture(scene):
    settings, view = random.Random(0), views.SamplersView(scene)
    for _ in range(120):
        sampler, count = settings.choice(views.SAMPLERS), settings.choice(views.COUNTS)
        strength, estimator = settings.uniform(0, 3), settings.choice(views.ESTIMATORS)
        found = views.answer(scene, settings.choice(ALPHAS), strength, sampler, estimator, count)
        assert found.x_0.shape == (views.PARTICLES, 2) and torch.isfinite(found.rewards).all()
        assert math.isfinite(found.distance)
        text = views.in_words(found, sampler, count)
        assert "nan" not in text and "inf" not in text
    view.draw(found)
    assert view.picture.frame().startswith(b"\xff\xd8")


@pytest.mark.parametrize("sampler", views.SAMPLERS)
def test_an_answer_is_the_same_twice_and_rewards_are_its_points(sampler, scene):
    first, second = (views.answer(scene, 0.5, 1.0, sampler, views.EXACT, 8) for _ in range(2))
    assert torch.equal(first.x_0, second.x_0)
    assert torch.allclose(first.rewards, RING_REWARD(first.x_0))


@pytest.mark.parametrize("sampler", views.SAMPLERS)
def test_a_good_value_comes_close_and_a_wrong_one_does_not(sampler, scene):
    good, wrong = (
        views.answer(scene, 0.5, 1.0, sampler, name, 64 if sampler == views.CHOSEN else 32)
        for name in (views.EXACT, views.FLIPPED)
    )
    assert abs(float(good.rewards.mean()) - good.target.reward) < 0.25 and good.distance < 0.1 < 1 < wrong.distance


def test_nothing_to_choose_from_and_no_strength_are_the_pretrained_model(scene):
    before = float((scene.tilted.pretrained * scene.tilted.reward).sum())
    for sampler in views.SAMPLERS:
        found = views.answer(scene, 0.5, 0.0, sampler, views.EXACT, 1)
        assert abs(float(found.rewards.mean()) - before) < 4 * float(found.rewards.std()) / views.PARTICLES**0.5
    assert views.answer(scene, 0.5, 0.0, views.STEERED, views.EXACT, 1).kl == 0


def test_samples_glide_when_the_strength_moves_a_little(scene):
    near = [views.answer(scene, 0.5, strength, views.STEERED, views.EXACT, 1).x_0 for strength in (1.0, 1.05)]
    assert (near[0] - near[1]).norm(dim=1).median() < 0.1


def test_the_share_of_rewards_below_is_that_of_a_sort(scene):
    view = views.SamplersView(scene)
    rewards = -4 * torch.rand(50, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([(rewards.double() <= edge).double().mean() for edge in view.edges])
    assert torch.allclose(view._below(rewards, torch.full((50,), 1 / 50)), expected, atol=1e-6)


def test_what_is_unknown_is_refused(scene):
    with pytest.raises(ValueError, match=r"no values of 'magic' at α = 0\.5; known: exact v, .* at \(0\.2, 0\.5\)"):
        views.answer(scene, 0.5, 1.0, views.STEERED, "magic", 1)
    with pytest.raises(ValueError, match="unknown sampler 'magic'; known: Algorithm 4"):
        views.answer(scene, 0.5, 1.0, "magic", views.EXACT, 1)


def test_the_picture_follows_the_answer(scene):
    view, pictures = views.SamplersView(scene), []
    for alpha, estimator in ((0.2, views.EXACT), (0.5, views.EXACT), (0.5, views.TWEEDIE)):
        view.draw(views.answer(scene, alpha, 1.0, views.STEERED, estimator, 1))
        pictures.append(view.picture.frame())
    assert len(set(pictures)) == 3
    assert views.still(scene, sampler=views.CLOUD).data != views.still(scene).data
