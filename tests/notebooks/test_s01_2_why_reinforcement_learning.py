"""The world whose data stop at a cut: its laws against sums and samples, and its pictures over the sliders' range."""

import math
import random
import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from tutorial_lib import plots
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.guidance.classifier_free import ClassifierFreePolicy
from tutorial_lib.notebooks.s01_2_why_reinforcement_learning import figures, study, view
from tutorial_lib.notebooks.s01_2_why_reinforcement_learning.study import (
    ALPHAS,
    CUTS,
    DEGREES,
    ROWS,
    STRENGTHS,
    law,
    summary,
    truth,
)
from tutorial_lib.policies import rollout

from ..oracles import seeded

EVERY_CUT = torch.arange(CUTS[0], CUTS[1] + 0.01, 0.25).tolist()


@pytest.fixture(scope="module")
def world():
    return study.scene()


@pytest.mark.parametrize("cut", EVERY_CUT)
def test_no_point_lies_above_its_cut(cut):
    scene = study.scene(cut)
    assert (truth(scene.kept) <= cut).all() and len(scene.kept) >= 60
    assert torch.equal(law(scene.pretrained).means, scene.kept)
    best, rest = truth(law(scene.conditional).means), truth(scene.kept).sort().values
    assert len(best) == len(rest) // 3 and torch.equal(best.sort().values, rest[-len(best) :])


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
    assert reward.expected(tilted) == pytest.approx(float(mass @ reward(x)), abs=1e-4)
    assert study.TRUE.expected(tilted) == pytest.approx(float(mass @ truth(x)), abs=1e-4)
    kl = float(torch.special.xlogy(mass, mass).sum() - mass @ p_pre.log_prob(x.float()).double() - 2 * math.log(0.02))
    assert study.answer(world, strength=1.0, alpha=alpha, reward=name).kl == pytest.approx(kl, abs=2e-3)


def test_gliding_draws_have_the_mixture_s_moments_and_glide(world):
    reward, p_pre = world.rewards["quadratic"], law(world.pretrained)
    tilted, near = (reward.tilt(p_pre, alpha)[0] for alpha in (0.30, 0.31))
    x = study.gliding(tilted, 40_000)
    error = tilted.covariance.diagonal().sqrt() / len(x) ** 0.5
    assert ((x.mean(0) - tilted.mean).abs() < 4 * error).all()
    assert torch.allclose(x.T.cov(), tilted.covariance, atol=0.03 * float(tilted.covariance.max()))
    assert (study.gliding(near) - study.gliding(tilted)).norm(dim=1).median() < 0.03


def test_the_reward_models_are_those_of_the_kept_points_and_their_noisy_scores(world):
    """By the normal equations; the noise of the scores is that of their seed."""
    x, g = world.kept.double(), seeded(100)
    noise = 0.1 * torch.randn(len(x), generator=g)
    labels = (-x.square().sum(1) + noise).double()
    quadratic = torch.stack([x[:, 0] ** 2, x[:, 0] * x[:, 1], x[:, 1] ** 2], 1)
    for name, more in (("linear", quadratic[:, :0]), ("quadratic", quadratic)):
        design = torch.cat([torch.ones(len(x), 1), x, more], 1)
        fitted = design @ torch.linalg.solve(design.T @ design, design.T @ labels)
        torch.testing.assert_close(world.rewards[name](x), fitted, atol=1e-5, rtol=1e-5)
        R2 = 1 - float((labels - fitted).var() / labels.var())
        assert world.rewards[name].R2 == pytest.approx(R2, abs=1e-6)


def test_a_full_covariance_is_drawn_as_it_is():
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]])
    x = study.gliding(GaussianMixture(torch.ones(1), torch.zeros(1, 2), covariance.unsqueeze(0)), 40_000)
    assert torch.allclose(x.T.cov(), covariance, atol=0.03)


def test_best_of_n_is_the_best_and_pays_by_the_logarithm(world):
    reward = world.rewards["quadratic"]
    one, many = (study.best_of(world, reward, m, n=200, seed=3) for m in (1, 5))
    assert torch.equal(one, law(world.pretrained).sample(200, generator=seeded(3)))
    drawn = law(world.pretrained).sample(1000, generator=seeded(3)).reshape(200, 5, 2)
    assert torch.equal(reward(many), reward(drawn.reshape(-1, 2)).reshape(200, 5).amax(1))


def test_guidance_keeps_its_noise_when_its_strength_moves(world):
    a, b = (study.guided(world, strength) for strength in (2.0, 2.05))
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
    scene = study.scene(cut)
    for strength in STRENGTHS:
        found = study.answer(scene, strength=strength, alpha=alpha, reward=name)
        assert all(torch.isfinite(x).all() for x in found.samples.values())
        assert found.kl >= 0 and math.isfinite(found.predicted)
        assert found.summaries["data"].above == found.summaries["best third"].above == 0


SETTINGS: list[dict[str, Any]] = [
    dict(cut=-2.0, strength=2.0, alpha=0.1, reward="quadratic"),
    dict(cut=-3.0, strength=0.0, alpha=0.04, reward="linear"),
    dict(cut=-0.5, strength=8.0, alpha=4.0, reward="quadratic"),
    dict(cut=-5.0, strength=1.0, alpha=0.04, reward="quadratic"),
]


def answered(cut, **rest):
    return study.answer(study.scene(cut), **rest)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_an_answer_holds_the_samples_of_each_method_and_what_is_true_of_them(setting):
    found = answered(**setting)
    here, alpha = study.scene(setting["cut"]), setting["alpha"]
    assert (found.scene, found.strength, found.alpha, found.reward) == (here, *list(setting.values())[1:])
    learned, p_pre = here.rewards[setting["reward"]], law(here.pretrained)
    by_truth = here.kept[(-here.kept.square().sum(1)).argsort(descending=True)]
    policy = ClassifierFreePolicy(here.pretrained, here.conditional, strength=setting["strength"])
    drawn = p_pre.sample(300 * 16, generator=seeded(0)).reshape(300, 16, 2)
    best = torch.stack([each[learned(each).argmax()] for each in drawn])
    tilted = p_pre.tilt(linear=learned.b / alpha, quadratic=learned.A / alpha)[0]
    expected = dict(
        zip(
            ROWS,
            (
                here.kept,
                by_truth[: len(here.kept) // 3].flip(0),
                best,
                rollout(policy, 300, generator=seeded(0)).x_0,
                study.gliding(tilted),
            ),
            strict=True,
        )
    )
    assert tuple(found.samples) == ROWS
    for name, x in expected.items():
        torch.testing.assert_close(found.samples[name], x)
        r = -x.double().square().sum(1)
        torch.testing.assert_close(found.rewards[name].double(), r, atol=1e-4, rtol=1e-5)
        told = found.summaries[name]
        assert told.above == pytest.approx(float((r > setting["cut"]).double().mean()), abs=1e-9)
        assert told.reward == pytest.approx(float(r.mean()), abs=1e-4)
        assert told.error == pytest.approx(float(r.std()) / len(x) ** 0.5, rel=1e-4)
        inside = [(-3.5 <= a <= 3.5) and (-2.5 <= b <= 2.3) for a, b in x.tolist()]
        assert found.outside[name] == pytest.approx(1 - np.mean(inside), abs=1e-6)
    assert found.predicted == pytest.approx(float(learned(tilted.sample(40_000, generator=seeded(1))).mean()), abs=0.05)


def test_a_sample_that_no_map_shows_is_counted():
    x = torch.tensor([[0.0, 0.0], [3.6, 0.0], [0.0, 2.4], [0.0, -2.6], [-3.4, 2.2]])
    assert study.outside(x) == pytest.approx(0.6)


def panels(drawn) -> Any:
    return drawn.picture.figure.axes


def density(scene):
    """The kernel density estimate as a map shows it, row y and column x."""
    axis = torch.linspace(-3.6, 3.6, 81, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    squared = (torch.stack([x, y], -1)[..., None, :] - scene.kept.double()).square().sum(-1)
    return ((-squared / 0.08).exp().mean(-1) / (2 * math.pi * 0.04)).numpy()


def test_every_artist_shows_its_setting_and_not_the_one_before(world):
    drawn = view.BeyondView(world)
    left, middle, right = panels(drawn)
    for setting in [*SETTINGS, SETTINGS[0]]:
        found, cut = answered(**setting), setting["cut"]
        drawn.draw(found)
        expected = density(study.scene(cut))
        for ax, name in ((left, "guided"), (middle, "RL")):
            (shown,), (points,), (circle,) = ax.images, ax.collections, ax.patches
            np.testing.assert_allclose(shown.get_array(), expected, rtol=2e-3, atol=1e-6)
            assert shown.get_clim() == pytest.approx((0, 2 * expected.max()), rel=1e-3)
            np.testing.assert_array_equal(points.get_offsets(), found.samples[name])
            assert (circle.center, circle.radius) == ((0, 0), pytest.approx((-cut) ** 0.5))
        (beyond,) = right.patches
        assert (beyond.get_x(), beyond.get_x() + beyond.get_width()) == pytest.approx((cut, 1))
        for i, name in enumerate(ROWS):
            r = -found.samples[name].square().sum(1)
            x, y = np.asarray(right.collections[i].get_offsets()).T
            np.testing.assert_allclose(x, r.clamp_min(-13), rtol=1e-5)
            assert np.abs(y - (4 - i)).max() < 0.201 and y.std() > 0.1
            ((mean,), (row,)) = right.lines[i].get_data()
            assert mean == pytest.approx(max(float(r.mean()), -13), abs=1e-4) and row == 4 - i
            assert right.texts[i].get_text() == f"{float((r > cut).float().mean()):.0%}"
            assert right.texts[i].get_position()[1] == 4 - i
        assert [label.get_text() for label in right.get_yticklabels()] == list(ROWS)
        assert list(right.get_yticks()) == [4, 3, 2, 1, 0]


def test_the_titles_tell_the_setting_and_what_no_map_shows(world):
    drawn = view.BeyondView(world)
    for setting in SETTINGS:
        found = answered(**setting)
        drawn.draw(found)
        guided, RL, share = (title.get_text() for title in drawn.titles)
        assert guided.startswith(f"Guided, γ = {setting['strength']:g}")
        assert RL.startswith(f"RL, α = {setting['alpha']:g}, {setting['reward']}")
        assert share == f"Share above the cut at −{-setting['cut']:g}"
        for title, name in ((guided, "guided"), (RL, "RL")):
            off = re.search(r"(\d+)% off the map", title)
            assert (off is None) == (found.outside[name] == 0)
            assert off is None or int(off[1]) == pytest.approx(100 * found.outside[name], abs=0.51)
    assert found.outside["RL"] > 0.5, "the last setting sends RL off the map"


def test_the_longest_titles_fit(world):
    with plt.style.context(plots.STYLE):
        drawn = view.BeyondView(world)
    texts = "Guided, γ = 0.25: 100% off the map", "RL, α = 0.0447, quadratic: 100% off the map", None
    for title, text in zip(drawn.titles, texts, strict=True):
        title.set_text(text or "Share above the cut at −4.75")
    renderer = drawn.picture.canvas.get_renderer()
    first, second, third = (title.get_window_extent(renderer) for title in drawn.titles)
    height = drawn.picture.figure.bbox.y1
    assert first.x1 < second.x0 and second.x1 < third.x0 and max(first.y1, second.y1, third.y1) <= height


def test_every_artist_has_the_colour_of_its_role_and_moves_in_the_picture(world):
    drawn = view.BeyondView(world)
    left, middle, right = panels(drawn)
    drawn.draw(answered(**SETTINGS[0]))
    assert figures.GUIDED not in (plots.PRETRAINED, plots.TARGET, plots.TUNED, plots.REWARD, plots.ALARM)
    colors = dict(zip(ROWS, 3 * [plots.PRETRAINED] + [figures.GUIDED, plots.TARGET], strict=True))
    points = {"guided": left.collections[0], "RL": middle.collections[0]} | dict(
        zip((f"{name} strip" for name in ROWS), right.collections, strict=True)
    )
    for name, artist in points.items():
        assert tuple(artist.get_facecolor()[0][:3]) == pytest.approx(to_rgb(colors[name.removesuffix(" strip")]))
    for ax in (left, middle):
        assert ax.images[0].cmap.name == plots.PRETRAINED and ax.images[0].get_extent() == [-3.6, 3.6] * 2
        assert ax.patches[0].get_edgecolor()[:3] == pytest.approx(to_rgb(plots.REWARD))
        assert (ax.get_xlim(), ax.get_ylim()) == ((-3.5, 3.5), (-2.5, 2.3))
    assert right.patches[0].get_facecolor()[:3] == pytest.approx(to_rgb(plots.REWARD))
    moving = {*left.images, *middle.images, *left.collections, *middle.collections, *left.patches, *middle.patches}
    moving |= {*right.collections, *right.lines, *right.texts, *right.patches, *drawn.titles}
    assert moving <= set(drawn.picture.moving)


def test_100_random_settings_give_a_picture_and_words(world):
    settings, drawn = random.Random(0), view.BeyondView(world)
    for i in range(100):
        here, name = study.scene(settings.choice(EVERY_CUT)), settings.choice(list(DEGREES))
        alpha = math.exp(settings.uniform(*map(math.log, ALPHAS)))
        found = study.answer(here, strength=settings.uniform(*STRENGTHS), alpha=alpha, reward=name)
        drawn.draw(found)
        assert "nan" not in view.in_words(found)
        if i % 10 == 0:
            assert drawn.picture.frame().startswith(b"\xff\xd8")


def test_the_words_say_what_was_found():
    for setting in SETTINGS:
        found = answered(**setting)
        here, cut = study.scene(setting["cut"]), setting["cut"]
        r = {name: -x.double().square().sum(1) for name, x in found.samples.items()}
        share = {name: f"{float((values > cut).double().mean()):.0%}" for name, values in r.items()}
        R2 = here.rewards[setting["reward"]].R2
        text = view.in_words(found).replace("−", "-")
        assert f"guided <b>{share['guided']}</b>, RL <b>{share['RL']}</b> (KL of x_0 {found.kl:.1f} nats)" in text
        assert f"The {setting['reward']} reward model explains {R2:.1%}" in text
        assert f"promises {found.predicted:.2f}, and the truth is <b>{float(r['RL'].mean()):.2f}</b>" in text
        assert f"(data {float(r['data'].mean()):.2f})." in text
        assert ("Truly worse than the data." in text) == (r["RL"].mean() < r["data"].mean())


def test_the_words_tell_a_good_tuning_from_a_bad_one():
    good = view.in_words(answered(cut=-2.0, strength=2.0, alpha=0.1, reward="quadratic"))
    bad = view.in_words(answered(cut=-2.0, strength=2.0, alpha=ALPHAS[0], reward="linear"))
    assert "RL <b>100%</b>" in good and "worse than the data" not in good
    assert "RL <b>0%</b>" in bad and f"color:{plots.ALARM}'>Truly worse than the data." in bad


def frame(setting):
    """The picture of one setting, drawn by a view that has shown no other."""
    drawn = view.BeyondView(study.scene(setting["cut"]))
    drawn.draw(answered(**setting))
    return drawn.picture


def test_the_widget_shows_what_its_controls_say():
    box = view.play()
    controls = [control for column in box.children[0].children for control in column.children]
    image, text = box.children[1:]
    shown = dict(view.FIRST)
    assert [control.value for control in controls] == list(shown.values())
    for control, name, value in zip(controls, shown, (-4.0, 5.0, 0.5, "linear"), strict=True):
        control.value = shown[name] = value
        assert image.value == frame(shown).frame()
        assert text.value == view.in_words(answered(**shown))


def test_a_still_is_the_picture_of_its_setting():
    assert view.still().data == frame(view.FIRST).still().data
    bad = view.still(alpha=0.04, reward="linear").data
    assert bad == frame(view.FIRST | dict(alpha=0.04, reward="linear")).still().data != view.still().data
    assert view.still(**SETTINGS[3]).data == frame(SETTINGS[3]).still().data
    assert not plt.get_fignums(), "the notebook would show the figure a second time"


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        (dict(cut=-20.0), ValueError, "a cut at -20 keeps 0 points, expected at least 12"),
        (dict(alpha=0.0), ValueError, "alpha must be a finite number > 0, got 0.0"),
        (dict(strength=-1.0), ValueError, "strength must be a finite number ≥ 0, got -1.0"),
        (dict(reward="cubic"), ValueError, "unknown reward model 'cubic'; known: quadratic, linear"),
        (dict(speed=1), TypeError, "speed"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting, error, message):
    with pytest.raises(error, match=message):
        view.still(**setting)


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


@pytest.mark.parametrize("cut", [-2.0, -4.0])
def test_a_map_has_its_points_on_the_density_and_the_circle_of_its_cut(ax, cut):
    here, x = study.scene(cut), torch.randn(30, 2, generator=seeded(0))
    figures.show_map(ax, here, x, color=plots.TUNED, title="Well?")
    np.testing.assert_allclose(ax.images[0].get_array(), density(here), rtol=2e-3, atol=1e-6)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), x)
    assert tuple(ax.collections[0].get_facecolor()[0][:3]) == pytest.approx(to_rgb(plots.TUNED))
    assert ax.patches[0].radius == pytest.approx((-cut) ** 0.5)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 0]])
    assert ax.get_title() + ax.get_title(loc="left") == "Well?" and ax.get_xlim() == (-3.5, 3.5)


@pytest.mark.parametrize(("cut", "alpha"), [(-2.0, 0.1), (-3.0, 0.5)])
def test_each_box_of_the_pipeline_is_a_picture_of_its_part(cut, alpha):
    here = study.scene(cut)
    found, reward = study.pipeline(here, alpha), here.rewards["quadratic"]
    figures.show_pipeline(found)
    first, second, third, fourth = axes = panels_of_figure()
    np.testing.assert_allclose(first.images[0].get_array(), density(here), rtol=2e-3, atol=1e-6)
    for ax in (first, second):
        np.testing.assert_array_equal(ax.collections[-1].get_offsets(), here.kept)
    for ax in (first, fourth):
        assert ax.patches[0].radius == pytest.approx((-cut) ** 0.5)
    contours = [path.vertices for path in second.collections[0].get_paths() if len(path.vertices)]
    levels = second.collections[0].levels
    assert len(contours) >= 5
    for vertices, level in zip(second.collections[0].get_paths(), levels, strict=True):
        on_it = reward(torch.as_tensor(vertices.vertices).float())
        torch.testing.assert_close(on_it, torch.full_like(on_it, level), atol=0.05, rtol=0.01)
    tuned = study.chain(law(here.pretrained).tilt(linear=reward.b / alpha, quadratic=reward.A / alpha)[0])
    lines = iter(third.lines)
    for policy, color in ((here.pretrained, plots.PRETRAINED), (tuned, plots.TARGET)):
        path = rollout(policy, 4, generator=seeded(1)).x
        for k in range(4):
            line = next(lines)
            np.testing.assert_allclose(line.get_xydata(), path[:, k], rtol=1e-4, atol=1e-4)
            assert line.get_color() == color
        ends = next(lines)
        np.testing.assert_allclose(ends.get_xydata(), path[0], rtol=1e-4, atol=1e-4)
        assert (ends.get_color(), ends.get_marker()) == (color, "o")
    axis = torch.linspace(-3.6, 3.6, 81)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    expected = law(tuned).log_prob(torch.stack([x, y], -1).reshape(-1, 2)).exp().reshape(81, 81)
    np.testing.assert_allclose(fourth.images[0].get_array(), expected, rtol=1e-3, atol=1e-5)
    assert [ax.images[0].cmap.name for ax in (first, fourth)] == [plots.PRETRAINED, plots.TARGET]
    assert [(ax.get_title() + ax.get_title(loc="left"))[0] for ax in axes] == ["1", "2", "3", "4"]
    assert len(plt.gcf().artists) == 3
    plt.close()


def panels_of_figure() -> Any:
    return plt.gcf().axes
