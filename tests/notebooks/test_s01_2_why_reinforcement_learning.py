"""The world whose data stop at a cut: its laws against sums and samples, and its pictures over the sliders' range."""

import math
import random

import pytest
import torch

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.notebooks.s01_2_why_reinforcement_learning import view as beyond_data
from tutorial_lib.notebooks.s01_2_why_reinforcement_learning.view import (
    ALPHAS,
    CUTS,
    DEGREES,
    STRENGTHS,
    law,
    summary,
    truth,
)

from ..oracles import seeded

EVERY_CUT = torch.arange(CUTS[0], CUTS[1] + 0.01, 0.25).tolist()


@pytest.fixture(scope="module")
def world():
    return beyond_data.scene()


@pytest.mark.parametrize("cut", EVERY_CUT)
def test_no_point_lies_above_its_cut(cut):
    scene = beyond_data.scene(cut)
    assert (truth(scene.kept) <= cut).all() and len(scene.kept) >= 60
    assert torch.equal(law(scene.pretrained).means, scene.kept)
    best, rest = truth(law(scene.conditional).means), truth(scene.kept).sort().values
    assert len(best) == len(rest) // 3 and torch.equal(best.sort().values, rest[-len(best) :])


def test_a_quadratic_is_recovered_and_a_line_is_least_squares():
    x = torch.randn(60, 2, generator=seeded(0), dtype=torch.float64)
    A = torch.tensor([[2.0, 0.3], [0.3, 1.0]], dtype=torch.float64)
    labels = 0.7 + x @ torch.tensor([1.0, -2.0], dtype=torch.float64) - ((x @ A) * x).sum(1) / 2
    found = beyond_data.fit_reward(x, labels, 2)
    assert torch.allclose(found.A, A) and torch.allclose(found(x), labels) and found.R2 == pytest.approx(1)
    line = beyond_data.fit_reward(x, labels, 1)
    design = torch.cat([torch.ones(60, 1, dtype=torch.float64), x], 1)
    weight = torch.linalg.lstsq(design, labels).solution
    assert torch.allclose(line(x), design @ weight) and not line.A.any()
    assert line.R2 == pytest.approx(float(1 - (labels - design @ weight).var() / labels.var()))


@pytest.mark.parametrize("name", DEGREES)
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_tilt_and_its_objective_are_those_of_a_sum_over_a_grid(world, name, alpha):
    reward, p_pre = world.rewards[name], law(world.pretrained)
    axis = torch.linspace(-6, 6, 601, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    joint = p_pre.to(torch.float64).log_prob(x) + reward(x) / alpha
    mass = joint.softmax(0)
    tilted, objective = reward.tilt(p_pre, alpha)
    assert objective == pytest.approx(alpha * float(joint.logsumexp(0) + 2 * math.log(0.02)), abs=1e-4)
    assert beyond_data.expected(reward, tilted) == pytest.approx(float(mass @ reward(x)), abs=1e-4)
    assert beyond_data.expected(beyond_data.TRUE, tilted) == pytest.approx(float(mass @ truth(x)), abs=1e-4)
    kl = float(torch.special.xlogy(mass, mass).sum() - mass @ p_pre.log_prob(x.float()).double() - 2 * math.log(0.02))
    assert beyond_data.answer(world, 1.0, alpha, name).kl == pytest.approx(kl, abs=2e-3)


def test_gliding_draws_have_the_mixture_s_moments_and_glide(world):
    reward, p_pre = world.rewards["quadratic"], law(world.pretrained)
    tilted, near = (reward.tilt(p_pre, alpha)[0] for alpha in (0.30, 0.31))
    x = beyond_data.gliding(tilted, 40_000)
    error = tilted.covariance.diagonal().sqrt() / len(x) ** 0.5
    assert ((x.mean(0) - tilted.mean).abs() < 4 * error).all()
    assert torch.allclose(x.T.cov(), tilted.covariance, atol=0.03 * float(tilted.covariance.max()))
    assert (beyond_data.gliding(near) - beyond_data.gliding(tilted)).norm(dim=1).median() < 0.03


def test_a_full_covariance_is_drawn_as_it_is():
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]])
    x = beyond_data.gliding(GaussianMixture(torch.ones(1), torch.zeros(1, 2), covariance.unsqueeze(0)), 40_000)
    assert torch.allclose(x.T.cov(), covariance, atol=0.03)


def test_best_of_n_is_the_best_and_pays_by_the_logarithm(world):
    reward = world.rewards["quadratic"]
    one, many = (beyond_data.best_of(world, reward, m, n=200, seed=3) for m in (1, 5))
    assert torch.equal(one, law(world.pretrained).sample(200, generator=seeded(3)))
    drawn = law(world.pretrained).sample(1000, generator=seeded(3)).reshape(200, 5, 2)
    assert torch.equal(reward(many), reward(drawn.reshape(-1, 2)).reshape(200, 5).amax(1))


def test_guidance_keeps_its_noise_when_its_strength_moves(world):
    a, b = (beyond_data.guided(world, strength) for strength in (2.0, 2.05))
    assert (a - b).norm(dim=1).median() < 0.03


def test_a_summary_counts():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.5, 0.0]])
    found = summary(x, -2.0)
    assert (found.above, found.reward) == (0.75, -5.25 / 4)
    assert found.error == pytest.approx(torch.tensor([-1.0, -4.0, 0.0, -0.25]).std().item() / 2)


@pytest.mark.parametrize("name", DEGREES)
@pytest.mark.parametrize("alpha", [ALPHAS[0], 0.1, 1.0, ALPHAS[1]])
@pytest.mark.parametrize("cut", EVERY_CUT[::3])
def test_every_corner_of_the_sliders_has_an_answer(cut, alpha, name):
    scene = beyond_data.scene(cut)
    for strength in STRENGTHS:
        found = beyond_data.answer(scene, strength, alpha, name)
        assert all(torch.isfinite(x).all() for x in found.samples.values())
        assert found.kl >= 0 and math.isfinite(found.predicted)
        assert summary(found.samples["data"], cut).above == summary(found.samples["best third"], cut).above == 0


def test_100_random_settings_give_a_picture_and_words(world):
    settings, view = random.Random(0), beyond_data.BeyondView(world)
    for i in range(100):
        scene, name = beyond_data.scene(settings.choice(EVERY_CUT)), settings.choice(list(DEGREES))
        alpha = math.exp(settings.uniform(*map(math.log, ALPHAS)))
        found = beyond_data.answer(scene, settings.uniform(*STRENGTHS), alpha, name)
        view.draw(scene, found)
        assert "nan" not in beyond_data.in_words(scene, found, name)
        if i % 10 == 0:
            assert view.picture.frame().startswith(b"\xff\xd8")


def test_the_words_tell_a_good_tuning_from_a_bad_one(world):
    good = beyond_data.in_words(world, beyond_data.answer(world, 2.0, 0.1, "quadratic"), "quadratic")
    bad = beyond_data.in_words(world, beyond_data.answer(world, 2.0, ALPHAS[0], "linear"), "linear")
    assert "RL <b>100%</b>" in good and "worse than the data" not in good
    assert "RL <b>0%</b>" in bad and "Truly worse than the data." in bad


def test_the_picture_follows_every_control(world):
    view, frames = beyond_data.BeyondView(world), set()
    for cut, strength, alpha, name in (
        (-2.0, 2.0, 0.1, "quadratic"),
        (-3.0, 2.0, 0.1, "quadratic"),
        (-2.0, 4.0, 0.1, "quadratic"),
        (-2.0, 2.0, 0.2, "quadratic"),
        (-2.0, 2.0, 0.1, "linear"),
        (-2.0, 2.0, 0.1, "quadratic"),
    ):
        scene = beyond_data.scene(cut)
        view.draw(scene, beyond_data.answer(scene, strength, alpha, name))
        frames.add(view.picture.frame())
    assert len(frames) == 5, "five settings, and the first of them twice"


def test_the_widget_answers_its_controls():
    box = beyond_data.explore()
    controls = [control for column in box.children[0].children for control in column.children]
    image, text = box.children[1:]
    for control, value in zip(controls, (-4.0, 5.0, 0.5, "linear"), strict=True):
        before = image.value, text.value
        control.value = value
        assert image.value != before[0] and text.value != before[1]
