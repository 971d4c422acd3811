"""The study behind the widget of path consistency, its pictures, the closed form of an exercise, and its bug."""

import dataclasses
import hashlib
import itertools
import random

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color

from tutorial_lib import assets, plots, quiz, worlds
from tutorial_lib.algorithms import ValueNetwork
from tutorial_lib.exact import SoftValues, TiltedDensity
from tutorial_lib.metrics import evaluate, quiet_objective
from tutorial_lib.notebooks.s06_3_path_consistency import bugs, figures, study, view
from tutorial_lib.policies import SteeredPolicy
from tutorial_lib.recipes import whose_paths

from ..oracles import seeded
from ..plots.artists import pixels, points, title, words

ROWS = assets.load(whose_paths.NAME)


@pytest.fixture(scope="module", autouse=True)
def style():
    with plt.style.context(plots.STYLE):
        yield


@pytest.fixture(scope="module")
def short():
    return worlds.ring(T=10)


@pytest.fixture(scope="module")
def scene(short):
    return study.scene(short)


def test_j_from_log_ratios_is_j_from_kls(short):
    """Two estimates of one J that share only the reward: sampled log-ratios, and the steps' exact KLs."""
    policy = SteeredPolicy(short.pretrained)
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=seeded(1)))
    J, se = quiet_objective(policy, short.reward, alpha=0.5, n=20_000, generator=seeded(2))
    report = evaluate(policy, short.reward, alpha=0.5, generator=seeded(3))
    assert report.kl > 0.1
    assert abs(J - report.objective) < 4 * (se**2 + report.objective_se**2) ** 0.5


def test_a_scene_has_every_tuned_policy_and_its_regrets(scene):
    assert set(scene.tuned) == set(itertools.product(study.METHODS, study.ALPHAS, study.SHARES))
    found = scene.tuned["no clip", 2.0, 0.2]
    assert torch.equal(found.regrets, ROWS["regret"][2, 2, 1]) and torch.equal(found.kls, ROWS["kl"][2, 2, 1])
    assert found.regret == sorted(found.regrets.tolist())[2]
    assert scene.family_gaps[2.0] == ROWS["gaps"][2].item()


def picture(shown, *setting):
    shown.draw(*setting)
    return hashlib.sha256(shown.picture.frame()).hexdigest()


def test_every_setting_has_its_picture_and_its_words(scene):
    shown = view.ShareView(scene)
    settings = list(itertools.product(scene.targets, scene.shares, view.PPOS))
    settings = [s for s in settings if s[1] or s[2] != "mismatch ignored"]  # on its own paths it is PPO
    pictures = [picture(shown, *setting) for setting in settings]
    assert len(set(pictures)) == len(settings)
    for setting in random.Random(0).choices(settings, k=20):  # in any order, the same picture
        assert picture(shown, *setting) == pictures[settings.index(setting)]
    texts = [view.in_words(scene, *setting) for setting in settings]
    assert len(set(texts)) == len(texts) and "all paths its own" in texts[0] and "all paths p_pre's" in texts[-1]


@pytest.fixture(scope="module")
def shown(scene):
    """One view that has been through all the settings: what is left of an earlier one would be seen."""
    return view.ShareView(scene)


@pytest.mark.parametrize("setting", [(0.5, 1.0, "PPO"), (2.0, 0.5, "no clip"), (2.0, 0.0, "mismatch ignored")])
def test_every_panel_shows_its_setting(short, scene, shown, setting):
    """Artists' data against the stored rows, and the target written out."""
    alpha, share, ppo = setting
    shown.draw(alpha, share, ppo)
    a, s = study.ALPHAS.index(alpha), study.SHARES.index(share)
    tilted = TiltedDensity(short.pretrained, short.reward, extent=short.extent)
    axis = tilted.grid.axis.double()
    r = -((axis[:, None] - 2.0) ** 2 + (axis[None, :] - 0.5) ** 2)
    mass = tilted.pretrained.double() * (r / alpha).exp()
    names = ["path consistency", "PPO", "PPO, no clip", "PPO, mismatch ignored"]
    for i, method in enumerate(("path consistency", ppo)):
        m = study.METHODS.index(method)
        np.testing.assert_allclose(points(shown.clouds[i]), ROWS["x_0"][m, a, s].float())
        image = pixels(shown.maps[i])
        np.testing.assert_allclose(image / image.sum(), (mass / mass.sum()).T, atol=1e-6)
        assert shown.maps[i].get_clim() == pytest.approx((0, 2 * image.max()))
        assert shown.titles[i].get_text() == names[m] == title(shown.maps[i].axes)
        dots = np.stack([np.repeat(study.SHARES, 5), ROWS["regret"][m, a].reshape(-1)], 1)
        np.testing.assert_allclose(points(shown.seeds[i]), dots)
        np.testing.assert_allclose(points(shown.dots[i]), [[share, np.median(ROWS["regret"][m, a, s])]])
    for m, curve in enumerate(shown.curves):
        np.testing.assert_allclose(points(curve), np.stack([study.SHARES, np.median(ROWS["regret"][m, a], 1)], 1))
        assert curve.get_label() == names[m]
    assert list(shown.floor.get_ydata()) == [ROWS["gaps"][a].item()] * 2


def test_the_setting_stands_in_the_picture(shown):
    for alpha, share, said in ((0.5, 0.0, "all paths its own"), (2.0, 0.5, "50% of"), (2.0, 1.0, "all paths p_pre's")):
        shown.draw(alpha, share, "PPO")
        text = shown.setting.get_text()
        assert text.startswith(f"α = {alpha:g}, {said}") and shown.setting in shown.picture.moving


def test_what_does_not_move_is_where_and_as_it_should_be(short, scene, shown):
    *maps, regrets = shown.picture.figure.axes
    for ax, image in zip(maps, shown.maps, strict=True):
        assert ax.get_xlim() == ax.get_ylim() == (-view.SHOWN, view.SHOWN) and ax.get_aspect() == 1
        e = short.extent
        assert list(image.get_extent()) == [-e, e, -e, e] and image.get_cmap().name == plots.TARGET
        assert image.origin == "lower"
    assert [line.get_linestyle() for line in shown.curves] == ["-", "--", ":", "-."]
    assert {line.get_color() for line in [*shown.curves, *shown.seeds, *shown.dots]} == {plots.TUNED}
    assert shown.floor.get_color() == plots.TARGET
    legend = regrets.get_legend()
    assert legend and words(legend.get_texts()) == [*(view.label(m) for m in study.METHODS), "the family's own"]
    assert regrets.get_yscale() == "log" and regrets.get_xlabel() == "share of paths drawn by $p_{pre}$"
    highest = max(found.regrets.max().item() for found in scene.tuned.values())
    assert regrets.get_ylim()[1] == max(2.0, 10 * highest) and regrets.get_xlim() == (-0.05, 1.05)


def test_the_words_have_both_regrets_and_who_is_not_seen(scene):
    for alpha, share, ppo in ((0.5, 0.0, "PPO"), (2.0, 1.0, "mismatch ignored")):
        said = view.in_words(scene, alpha, share, ppo)
        for method in ("path consistency", ppo):
            low, _, middle, _, high = sorted(scene.tuned[method, alpha, share].regrets.tolist())
            assert f"{view.label(method)} <b>{middle:.1%}</b> ({low:.1%} to {high:.1%})" in said
        assert f"{scene.family_gaps[alpha]:.1%} is the family's." in said and f"α = {alpha:g}, " in said
    far = torch.zeros(400, 2)
    far[:7, 0], far[7, 1], far[8] = 4.0, -3.5, float("nan")
    away = study.Tuned(far, torch.tensor([30.0, 1, 2, 40, 50]), torch.zeros(5))
    lost = dataclasses.replace(scene, tuned={**scene.tuned, (study.PPO, 0.5, 0.0): away})
    said = view.in_words(lost, 0.5, 0.0, "PPO")
    assert "PPO <b>3000.0%</b> (100.0% to 5000.0%) (9 of 400 samples lie beyond the edge of the map)" in said


@pytest.mark.parametrize("settings", [{}, dict(share=0.0), dict(alpha=0.2, share=0.5), dict(ppo="no clip")])
def test_a_still_is_the_widgets_picture(scene, shown, settings):
    shown.draw(**(dict(alpha=0.5, share=1.0, ppo="PPO") | settings))
    assert view.still(scene, **settings).data == shown.picture.still().data


@pytest.mark.parametrize("settings", [dict(strength=1.0), dict(alpha=0.3), dict(share=0.7), dict(ppo="path")])
def test_a_still_of_what_was_not_tuned_is_refused(scene, settings):
    with pytest.raises(ValueError, match=rf"no policy was tuned at this {next(iter(settings))}: .* known: .*0\.5"):
        view.still(scene, **settings)


def test_the_widget_answers_its_controls(scene, shown):
    box = view.play(scene)
    (alpha, share), (ppo,) = (column.children for column in box.children[0].children)
    image, text = box.children[1:]
    assert [(c.description, c.value) for c in (alpha, share, ppo)] == [
        ("α", 0.5),
        ("share of p_pre", 1.0),
        ("PPO", "PPO"),
    ]
    for control, value, now in (
        (alpha, 2.0, (2.0, 1.0, "PPO")),
        (share, 0.2, (2.0, 0.2, "PPO")),
        (ppo, "no clip", (2.0, 0.2, "no clip")),
    ):
        control.value = value
        shown.draw(*now)
        assert image.value == shown.picture.frame() and text.value == view.in_words(scene, *now)


def test_snapshots_stand_on_the_target_beside_the_training_samples(scene):
    target, x_0 = scene.targets[0.5], torch.rand(5, 2, generator=seeded(0))
    figure = figures.show_learned({"a": x_0, "b": x_0 + 1}, target, x_0 - 1, extent=5.0)
    assert [title(ax) for ax in figure.axes] == ["all it ever learns from", "a", "b"]
    colors = (plots.PRETRAINED, plots.TUNED, plots.TUNED)
    for ax, expected, color in zip(figure.axes, (x_0 - 1, x_0, x_0 + 1), colors, strict=True):
        np.testing.assert_allclose(points(ax.collections[0]), expected)
        assert same_color(np.asarray(ax.collections[0].get_facecolor())[0, :3], color)
        np.testing.assert_array_equal(pixels(ax.images[0]), target.T)
        assert list(ax.images[0].get_extent()) == [-5, 5, -5, 5] and ax.get_xlim() == (-figures.SHOWN, figures.SHOWN)
    plt.close(figure)


def test_curves_are_ranked_as_they_end_with_the_range_of_their_seeds():
    figure, ax = plt.subplots()
    one = torch.tensor([[0.5, 0.7, 0.4], [0.1, 0.2, 0.05]])
    figures.show_curves(ax, (1, 4), {"one": one, "worse": one + 0.1}, floor=0.02, title="x")
    worse, better, floor = ax.lines
    np.testing.assert_allclose(points(worse), [[1, 0.6], [4, 0.2]])
    np.testing.assert_allclose(points(better), [[1, 0.5], [4, 0.1]])
    corners = np.asarray(ax.collections[1].get_paths()[0].vertices)
    for corner in ((1.0, 0.4), (1.0, 0.7), (4.0, 0.05), (4.0, 0.2)):
        assert np.isclose(corners, corner).all(1).any()
    assert points(floor)[:, 1].tolist() == [0.02, 0.02] and floor.get_color() == plots.TARGET
    legend = ax.get_legend()
    assert legend and words(legend.get_texts()) == ["worse", "one", "family gap"]
    assert [worse.get_color(), better.get_color()] == [plots.TUNED, plots.OTHERS[0]]
    figure.canvas.draw()
    assert {"2 %", "10 %", "50 %"} <= set(words(ax.get_yticklabels())) and title(ax) == "x"
    assert ax.get_yscale() == "log" and ax.get_xticks().tolist() == [1, 4]
    plt.close(figure)


def test_each_seed_is_a_dot_in_the_row_of_its_name():
    figure, ax = plt.subplots()
    figures.show_seeds(ax, {"a": torch.tensor([0.1, 0.2]), "PPO": torch.tensor([0.3, 0.25])}, floor=0.02, title="x")
    first, second, floor = ax.lines
    np.testing.assert_allclose(points(first), [[0.1, 0], [0.2, 0]])
    np.testing.assert_allclose(points(second), [[0.3, 1], [0.25, 1]])
    assert points(floor)[:, 0].tolist() == [0.02, 0.02] and title(ax) == "x"
    assert words(ax.get_yticklabels()) == ["a", "PPO"] and [first.get_color(), second.get_color()] == [
        plots.TUNED,
        plots.OTHERS[0],
    ]
    plt.close(figure)


def test_the_rare_mode_is_shown_with_its_circle_and_the_shelf():
    x_0, shelf = torch.rand(5, 2, generator=seeded(0)), torch.rand(3, 2, generator=seeded(1))
    figure = figures.show_rare({"a": x_0, "b": x_0 + 1}, shelf, torch.tensor([-2.0, 0.0]), 0.9)
    for ax, expected, color in zip(figure.axes, (x_0, x_0 + 1), (plots.PRETRAINED, plots.TUNED), strict=True):
        np.testing.assert_allclose(points(ax.collections[0]), expected)
        assert same_color(np.asarray(ax.collections[0].get_facecolor())[0, :3], color)
        (circle,) = ax.patches
        assert circle.center == (-2.0, 0.0) and circle.radius == 0.9
    np.testing.assert_allclose(points(figure.axes[1].lines[0]), shelf)
    assert [title(ax) for ax in figure.axes] == ["a", "b"]
    plt.close(figure)


def test_phi_is_drawn_path_by_path_with_time_to_the_right():
    figure, ax = plt.subplots()
    phi = {name: torch.arange(10.0).reshape(5, 2) + 100 * i for i, name in enumerate("abc")}
    figures.show_phi(ax, phi, title="x")
    assert ax.get_xlim() == (4, 0) and len(ax.lines) == 6 and title(ax) == "x"
    for line, column in zip(ax.lines, torch.cat(list(phi.values()), 1).T, strict=True):
        np.testing.assert_array_equal(points(line), np.stack([np.arange(5), column], 1))
    shades = [plots.TARGET] * 2 + [plots.PRETRAINED] * 2 + [plots.REWARD] * 2
    assert [line.get_color() for line in ax.lines] == shades
    assert [str(line.get_label()) for line in ax.lines[::2]] == ["a", "b", "c"]
    plt.close(figure)


def test_the_linear_chain_s_value_is_that_of_monte_carlo():
    """v_t = α log E_pre[exp(r/α) given x_t] along its own paths: mean over x_T by brute force, and r at t = 0."""
    chain = study.linear_chain(alpha=0.7, T=12, n=100_000, generator=seeded(0))
    r = chain.x[0] @ chain.b
    assert torch.equal(chain.v[0], r) and not chain.log_ratios[0].any()
    whole = 0.7 * (r / 0.7).logsumexp(0) - 0.7 * np.log(len(r))
    start = 0.7 * (chain.v[-1] / 0.7).logsumexp(0) - 0.7 * np.log(len(r))
    assert start.item() == pytest.approx(whole.item(), abs=0.02)
    assert chain.log_ratios.sum(0).exp().mean().item() == pytest.approx(1, abs=0.05)


def test_the_bug_is_a_bug_and_its_line_is_the_planted_one(short):
    soft = SoftValues(short.pretrained, short.reward, alpha=0.5, extent=5.0, grid=81)
    policy, g = SteeredPolicy(short.pretrained, generator=seeded(0)), seeded(0)
    bugs.loop(policy, ValueNetwork(policy, generator=g), short.reward, alpha=0.5, generator=g, iterations=15, n=64)
    assert study.regret(policy, short.reward, soft) > 0.9
    bug = quiz.bug(bugs.loop)
    assert "critic.along(path, r)" in bug.lines[bug.line - 1] and len(bug.lines) <= 25
