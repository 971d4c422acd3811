"""PPO on foreign paths, the study behind the widget, and the pictures."""

import dataclasses
import hashlib
import itertools
import random
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color

from tutorial_lib import plots, worlds
from tutorial_lib.algorithms import ValueNetwork, path_consistency, run
from tutorial_lib.exact import GaussianOptimum, SoftValues, TiltedDensity
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.metrics import evaluate, quiet_objective
from tutorial_lib.notebooks.s06_3_path_consistency import figures, study, view
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy, rollout
from tutorial_lib.rewards import peak

from ..oracles import seeded, stirred
from ..plots.artists import pixels, points, title, words


@pytest.fixture(scope="module", autouse=True)
def style():
    with plt.style.context(plots.STYLE):
        yield


@pytest.fixture(scope="module")
def short():
    return worlds.ring(T=8)


@pytest.fixture(scope="module")
def scene(short):
    return study.scene(short, alphas=(0.5, 2.0), iterations=2, n=32)


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


def ppo(world, **options):
    policy = SteeredPolicy(world.pretrained)
    settings: dict[str, Any] = dict(alpha=0.5, generator=seeded(0), iterations=2, n=16) | options
    return policy, study.foreign_ppo(policy, world.reward, **settings)


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


def test_on_its_own_paths_it_does_not_matter_whose_name_they_carry(short):
    (a, first), (b, second) = ppo(short, off_policy=0.0), ppo(short, off_policy=0.0, recorded=False)
    run(first), run(second)
    assert torch.equal(weights(a), weights(b)) and not torch.equal(weights(a), weights(SteeredPolicy(short.pretrained)))


def test_on_foreign_paths_it_does(short):
    (a, first), (b, second) = ppo(short, off_policy=1.0), ppo(short, off_policy=1.0, recorded=False)
    run(first), run(second)
    assert not torch.equal(weights(a), weights(b))


@pytest.mark.parametrize("recorded", [True, False])
def test_what_ppo_makes_of_foreign_paths_is_written_out(short, recorded):
    """Two paths of the policy's, two of another's: log p_old/p_pre, the advantage and the return, step by step."""
    policy, T = stirred(SteeredPolicy(short.pretrained)), short.schedule.T
    other = ValueWeightedPolicy(short.pretrained, Tweedie(short.pretrained, short.reward), alpha=1.0)
    critic = stirred(ValueNetwork(policy, generator=seeded(1)))
    critic.center, critic.scale = -2.0, 1.5
    path, foreign = study.mixed_rollout(policy, other, 4, 0.5, generator=seeded(3))
    assert foreign.tolist() == [False, False, True, True]
    r = short.reward(path.x_0)
    steps = study.judged(policy, critic, path, r, foreign, other if recorded else None)
    advantage, returns, old = (torch.zeros(T + 1, 4) for _ in range(3))
    values = torch.stack([r, *(critic(path.x[t], t) for t in range(1, T + 1))]).detach()
    with torch.no_grad():
        for t in range(1, T + 1):
            for i in range(4):
                x, sigma = path.x[t, i : i + 1], float(short.schedule.sigma[t])
                rho, drew = short.pretrained.mean(x, t), other if recorded and i > 1 else policy
                there = path.x[t - 1, i]
                log_old, log_pre = (-((there - mean) ** 2).sum() / 2 / sigma**2 for mean in (drew.mean(x, t), rho))
                old[t, i] = log_old - log_pre
            advantage[t] = values[t - 1] - old[t] - values[t] + 0.99 * advantage[t - 1]
            returns[t] = advantage[t] + values[t]
    torch.testing.assert_close(steps.old, old[1:].reshape(-1), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(steps.returns, returns[1:].reshape(-1), atol=1e-2, rtol=1e-3)
    flat = advantage[1:].reshape(-1)
    torch.testing.assert_close(steps.advantage, (flat - flat.mean()) / flat.std(), atol=1e-2, rtol=1e-2)

    rows = torch.tensor([0, 3, 5, 11, 30])
    policy, critic = stirred(policy, 0.01), stirred(critic, 0.01)
    objective, missed = study.losses(policy, critic, steps, rows)
    x, times, std = steps.x[rows], steps.t[rows], short.schedule.sigma[steps.t[rows]].unsqueeze(1)
    there = path.x[times - 1, rows % 4]
    log_new, log_pre = (
        -((there - mean) ** 2 / 2 / std**2).sum(1) for mean in (policy.mean(x, times), short.pretrained.mean(x, times))
    )
    ratio, A = (log_new - log_pre - steps.old[rows]).exp(), steps.advantage[rows]
    assert ((ratio - 1).abs() > 0.1).any()
    surrogate = torch.minimum(ratio * A, ratio.clamp(0.9, 1.1) * A).mean()
    assert objective.item() == pytest.approx(-surrogate.item(), abs=1e-3)
    assert missed.item() == pytest.approx(((critic(x, times) - steps.returns[rows]) / 1.5).square().mean().item() / 2)


def test_the_foreign_paths_are_the_behaviours(short):
    """All queries of a run with share 1 are at the behaviour's ends."""
    seen = []

    def reward(x):
        seen.append(x)
        return peak((1.0, 0.0))(x)

    class Elsewhere(DenoisingPolicy):
        def mean(self, x_t, t):
            return super().mean(x_t, t) + 50.0

    policy, behaviour = SteeredPolicy(short.pretrained), Elsewhere(short.pretrained.denoiser, short.schedule)
    options: dict[str, Any] = dict(alpha=0.5, generator=seeded(0), off_policy=0.25, behaviour=behaviour, n=16)
    next(study.foreign_ppo(policy, reward, **options))
    (x,) = seen
    assert (x[:, 0] > 40).tolist() == [False] * 12 + [True] * 4


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_outside_its_range_is_told_so(short, share):
    with pytest.raises(ValueError, match=r"off_policy must lie in \[0, 1\], got"):
        next(ppo(short, off_policy=share)[1])


def test_a_batch_of_one_is_told_so(short):
    with pytest.raises(ValueError, match="n must be a whole number ≥ 2, got 1"):
        next(ppo(short, off_policy=0.5, n=1)[1])


def test_a_scene_has_every_tuned_policy_and_its_regret(short, scene):
    assert set(scene.tuned) == set(itertools.product(study.METHODS, (0.5, 2.0), study.SHARES))
    best = GaussianOptimum(short.pretrained, short.reward, alpha=2.0, extent=short.extent, grid=81)
    assert scene.family_gaps[2.0] == pytest.approx(best.family_gap)
    for found in scene.tuned.values():
        assert found.x_0.shape == (study.PARTICLES, 2) and found.regret > 0 and found.regret_se > 0


def picture(shown, *setting):
    shown.draw(*setting)
    return hashlib.sha256(shown.picture.frame()).hexdigest()


def test_every_setting_has_its_picture_and_its_words(scene):
    shown = view.ShareView(scene)
    settings = list(itertools.product(scene.targets, scene.shares))
    pictures = [picture(shown, *setting) for setting in settings]
    assert len(set(pictures)) == len(settings)
    for setting in random.Random(0).choices(settings, k=20):  # in any order, the same picture
        assert picture(shown, *setting) == pictures[settings.index(setting)]
    texts = [view.in_words(scene, *setting) for setting in settings]
    assert len(set(texts)) == len(texts) and "all paths its own" in texts[0] and "all paths p_pre's" in texts[2]


@pytest.fixture(scope="module")
def shown(scene):
    """One view that has been through all the settings: what is left of an earlier one would be seen."""
    return view.ShareView(scene)


@pytest.mark.parametrize("setting", [(0.5, 1.0), (2.0, 0.5), (2.0, 0.0)])
def test_every_panel_shows_its_setting(short, scene, shown, setting):
    """Artists' data against a policy tuned apart, and the target written out."""
    alpha, share = setting
    shown.draw(alpha, share)
    tilted = TiltedDensity(short.pretrained, short.reward, extent=short.extent)
    axis = tilted.grid.axis.double()
    r = -((axis[:, None] - 2.0) ** 2 + (axis[None, :] - 0.5) ** 2)
    mass = tilted.pretrained.double() * (r / alpha).exp()
    methods = {"path consistency": path_consistency.fine_tune, "PPO": study.foreign_ppo}
    for i, (method, fine_tune) in enumerate(methods.items()):
        policy = SteeredPolicy(short.pretrained)
        options: dict[str, Any] = dict(alpha=alpha, generator=seeded(0), iterations=2, n=32, off_policy=share)
        run(fine_tune(policy, short.reward, **options))
        x_0 = rollout(policy, study.PARTICLES, generator=seeded(2)).x_0
        np.testing.assert_allclose(points(shown.clouds[i]), x_0, atol=1e-4)
        image = pixels(shown.maps[i])
        np.testing.assert_allclose(image / image.sum(), (mass / mass.sum()).T, atol=1e-6)
        assert shown.maps[i].get_clim() == pytest.approx((0, 2 * image.max()))
        assert title(shown.maps[i].axes) == method == title(shown.clouds[i].axes)
        regrets = [scene.tuned[method, alpha, s].regret for s in scene.shares]
        np.testing.assert_array_equal(points(shown.curves[i]), np.stack([scene.shares, regrets], 1))
        assert len(set(regrets)) == 3
        ((across, up),) = points(shown.dots[i])
        assert (across, up) == (share, scene.tuned[method, alpha, share].regret)
        assert shown.names[i].get_text() == method and shown.names[i].get_position()[1] == 1.12 * regrets[-1]
        J, _ = quiet_objective(policy, short.reward, alpha=alpha, n=2000, generator=seeded(1))
        soft = SoftValues(short.pretrained, short.reward, alpha=alpha, extent=short.extent, grid=81)
        assert up == pytest.approx(soft.share(soft.optimum - J), abs=1e-3)
    assert list(shown.floor.get_ydata()) == [scene.family_gaps[alpha]] * 2
    assert shown.names[-1].get_position()[1] == scene.family_gaps[alpha] / 1.05


def test_the_setting_stands_in_the_picture(shown):
    for alpha, share, said in ((0.5, 0.0, "all paths its own"), (2.0, 0.5, "50% of"), (2.0, 1.0, "all paths p_pre's")):
        shown.draw(alpha, share)
        text = shown.setting.get_text()
        assert text.startswith(f"α = {alpha:g}, {said}") and shown.setting in shown.picture.moving


def test_what_does_not_move_is_where_and_as_it_should_be(short, scene, shown):
    *maps, regrets = shown.picture.figure.axes
    for ax, image in zip(maps, shown.maps, strict=True):
        assert ax.get_xlim() == ax.get_ylim() == (-view.SHOWN, view.SHOWN) and ax.get_aspect() == 1
        e = short.extent
        assert list(image.get_extent()) == [-e, e, -e, e] and image.get_cmap().name == plots.TARGET
        assert image.origin == "lower"
    assert [line.get_linestyle() for line in shown.curves] == ["-", "--"]
    assert {line.get_color() for line in [*shown.curves, *shown.dots]} == {plots.TUNED}
    assert shown.floor.get_color() == shown.names[-1].get_color() == plots.TARGET
    assert words(shown.names) == ["path consistency", "PPO", "the family's own"]
    assert regrets.get_yscale() == "log" and regrets.get_xlabel() == "share of paths drawn by $p_{pre}$"
    highest = max(found.regret for found in scene.tuned.values())
    assert regrets.get_ylim()[1] == max(2.0, 2 * highest) and regrets.get_xlim() == (-0.05, 1.05)


def test_the_words_have_both_regrets_and_who_is_not_seen(scene):
    for alpha, share in ((0.5, 0.0), (2.0, 1.0)):
        said = view.in_words(scene, alpha, share)
        for method in study.METHODS:
            found = scene.tuned[method, alpha, share]
            assert f"{method} <b>{found.regret:.1%}</b> ± {found.regret_se:.1%}" in said
        assert f"{scene.family_gaps[alpha]:.1%} is the family's." in said and f"α = {alpha:g}, " in said
    far = torch.zeros(study.PARTICLES, 2)
    far[:7, 0], far[7, 1], far[8] = 4.0, -3.5, float("nan")
    away = study.Tuned(far, 30.0, 1.0)
    lost = dataclasses.replace(scene, tuned={**scene.tuned, (study.PPO, 0.5, 0.0): away})
    said = view.in_words(lost, 0.5, 0.0)
    assert f"PPO <b>3000.0%</b> ± 100.0% (9 of its {study.PARTICLES} samples lie beyond the edge of the map)" in said


@pytest.mark.parametrize("settings", [{}, dict(share=0.0), dict(alpha=0.5, share=0.5)])
def test_a_still_is_the_widgets_picture(scene, shown, settings):
    shown.draw(**(dict(alpha=2.0, share=1.0) | settings))
    assert view.still(scene, **settings).data == shown.picture.still().data


@pytest.mark.parametrize("settings", [dict(strength=1.0), dict(alpha=0.3), dict(share=0.7)])
def test_a_still_of_what_was_not_tuned_is_refused(scene, settings):
    with pytest.raises(ValueError, match=rf"no policy was tuned at this {next(iter(settings))}: .* known: .*0\.5"):
        view.still(scene, **settings)


def test_the_widget_answers_its_controls(scene, shown):
    box = view.play(scene)
    alpha, share = (column.children[0] for column in box.children[0].children)
    image, text = box.children[1:]
    assert (alpha.description, alpha.value) == ("α", 2.0) and (share.description, share.value) == (
        "share of p_pre",
        1.0,
    )
    for control, value, now in ((alpha, 0.5, (0.5, 1.0)), (share, 0.0, (0.5, 0.0)), (alpha, 2.0, (2.0, 0.0))):
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


def test_curves_are_ranked_as_they_end_in_looks_of_their_own():
    figure, ax = plt.subplots()
    curves = {"one": {1: 0.5, 4: 0.1}, "worse": {1: 0.6, 4: 0.3}}
    figures.show_curves(ax, curves, floor=0.02, title="x")
    worse, one, floor = ax.lines
    np.testing.assert_array_equal(points(worse), [[1, 0.6], [4, 0.3]])
    np.testing.assert_array_equal(points(one), [[1, 0.5], [4, 0.1]])
    assert points(floor)[:, 1].tolist() == [0.02, 0.02] and floor.get_color() == plots.TARGET
    legend = ax.get_legend()
    assert legend and words(legend.get_texts()) == ["worse", "one", "family gap"]
    assert [worse.get_color(), one.get_color()] == [plots.TUNED, plots.OTHERS[0]]
    figure.canvas.draw()
    assert {"2 %", "10 %", "50 %"} <= set(words(ax.get_yticklabels())) and title(ax) == "x"
    assert ax.get_yscale() == "log" and ax.get_xticks().tolist() == [1, 4]
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


def test_samples_share_their_noise(short):
    best = GaussianOptimum(short.pretrained, short.reward, alpha=0.5, extent=short.extent, grid=81)
    policy = SteeredPolicy(short.pretrained)
    first, again = (study.examine(policy, short, best).x_0 for _ in range(2))
    assert torch.equal(first, again)
    assert torch.allclose(first, rollout(short.pretrained, study.PARTICLES, generator=seeded(2)).x_0)
