"""The playgrounds' pure functions over their whole range, and at random settings."""

import math
import random

import pytest
import torch

from tutorial_lib.amortised import ALPHAS
from tutorial_lib.notebooks.s00_start_here import view as playground

ON_RING = playground.methods("ring", "peak")


@pytest.mark.parametrize("world", playground.PLANE_WORLDS)
@pytest.mark.parametrize("reward", ["peak", "half_plane", "disc"])
def test_every_scene_stays_at_or_below_its_frontier(world, reward):
    scene = playground.scene(world, reward)
    for method in playground.methods(world, reward):
        found = playground.answer(scene, 0.5, 1.0, method)
        gain = found.target.objective - scene.pretrained_objective
        assert gain > 0
        assert found.regret > -4 * found.regret_se - 1e-9
        assert found.x_0.shape == (playground.PARTICLES, 2)


@pytest.mark.parametrize("alpha", torch.logspace(math.log10(ALPHAS[0]), math.log10(ALPHAS[1]), 12).tolist())
@pytest.mark.parametrize("method", ON_RING)
def test_an_answer_is_the_same_twice_and_consistent(alpha, method):
    scene = playground.scene("ring", "peak")
    first, second = (playground.answer(scene, alpha, 1.0, method) for _ in range(2))
    assert torch.equal(first.x_0, second.x_0)
    assert first.objective == pytest.approx(first.reward - alpha * first.kl, rel=1e-6)
    assert playground.in_words(scene, first, method)


def test_300_random_settings_give_a_picture_and_words():
    settings = random.Random(0)
    for _ in range(300):
        alpha, strength = 10 ** settings.uniform(*map(math.log10, ALPHAS)), settings.uniform(0, 3)
        reward = settings.choice(["peak", "half_plane", "disc"])
        scene, method = playground.scene("ring", reward), settings.choice(playground.methods("ring", reward))
        found = playground.answer(scene, alpha, strength, method)
        assert not math.isnan(found.regret) and not math.isnan(found.kl)
        assert found.target.mass.sum().item() == pytest.approx(1)
        assert "nan" not in playground.in_words(scene, found, method)


def test_samples_glide_when_alpha_moves_a_little():
    scene = playground.scene("ring", "peak")
    for method in ON_RING:
        a, b = (playground.answer(scene, alpha, 1.0, method).x_0 for alpha in (0.50, 0.52))
        assert (a - b).norm(dim=1).median() < 0.1


def test_zero_strength_is_the_pretrained_model():
    scene = playground.scene("ring", "peak")
    for method in (playground.EXACT_VALUE, *playground.TRAINED):
        found = playground.answer(scene, 0.5, 0.0, method)
        assert found.kl == 0
        assert abs(found.reward - scene.pretrained_objective) < 4 * found.reward_se


def test_trained_policies_are_offered_where_they_are_shipped():
    everywhere, trained = playground.UNTRAINED, tuple(playground.TRAINED)
    assert playground.methods("ring", "peak") == everywhere + trained
    assert playground.methods("grid", "peak") == everywhere
    by_slope = {name for name, by in playground.TRAINED.items() if by == "reward_backprop"}
    assert set(trained) - set(playground.methods("ring", "disc")) == by_slope
    with pytest.raises(ValueError, match="unknown method"):
        playground.answer(playground.scene("grid", "peak"), 0.5, 1.0, trained[0])


def test_the_menu_follows_the_world():
    box = playground.plane()
    controls = {control.description: control for column in box.children[0].children for control in column.children}
    method, world = controls["method"], controls["world"]
    method.value = next(iter(playground.TRAINED))
    world.value = "grid"
    assert method.value == playground.EXACT_VALUE and method.options == playground.UNTRAINED
    world.value = "ring"
    method.value = "path consistency, trained"
    controls["reward"].value = "disc"
    assert method.value == "path consistency, trained"


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="unknown method 'magic'; known: exact soft-optimal chain"):
        playground.answer(playground.scene("ring", "peak"), 0.5, 1.0, "magic")


def test_the_picture_follows_the_answer():
    scene = playground.scene("ring", "peak")
    view = playground.PlaneView(scene)
    pictures = []
    for alpha in (0.1, 1.0):
        view.draw(playground.answer(scene, alpha, 1.0, playground.EXACT_VALUE))
        pictures.append(view.picture.frame())
    assert pictures[0].startswith(b"\xff\xd8") and pictures[0] != pictures[1]
