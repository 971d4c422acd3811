"""PPO on foreign paths, the study behind the widget, and the pictures."""

import hashlib
import itertools
import random
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import path_consistency, run
from tutorial_lib.exact import GaussianOptimum, SoftValues, TiltedDensity
from tutorial_lib.metrics import evaluate, quiet_objective
from tutorial_lib.notebooks.s06_3_path_consistency import figures, foreign_study, study, view
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy, rollout
from tutorial_lib.rewards import peak

from ..oracles import seeded


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
    return policy, foreign_study.foreign_ppo(policy, world.reward, **settings)


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
    next(
        foreign_study.foreign_ppo(
            policy, reward, alpha=0.5, generator=seeded(0), off_policy=0.25, behaviour=behaviour, n=16
        )
    )
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


@pytest.mark.parametrize("setting", [(0.5, 1.0), (2.0, 0.5)])
def test_every_panel_shows_its_setting(short, scene, setting):
    """Artists' data against a policy tuned apart, and the target written out; the view had another setting before."""
    alpha, share = setting
    shown = view.ShareView(scene)
    shown.draw(0.5, 0.0)
    shown.draw(alpha, share)
    tilted = TiltedDensity(short.pretrained, short.reward, extent=short.extent)
    axis = tilted.grid.axis.double()
    r = -((axis[:, None] - 2.0) ** 2 + (axis[None, :] - 0.5) ** 2)
    mass = tilted.pretrained.double() * (r / alpha).exp()
    methods = {study.CONSISTENCY: path_consistency.fine_tune, study.PPO: foreign_study.foreign_ppo}
    for i, (method, fine_tune) in enumerate(methods.items()):
        policy = SteeredPolicy(short.pretrained)
        options: dict[str, Any] = dict(alpha=alpha, generator=seeded(0), iterations=2, n=32, off_policy=share)
        run(fine_tune(policy, short.reward, **options))
        x_0 = rollout(policy, study.PARTICLES, generator=seeded(2)).x_0
        np.testing.assert_allclose(shown.clouds[i].get_offsets(), x_0.numpy(), atol=1e-4)
        image = np.asarray(shown.maps[i].get_array()).T
        np.testing.assert_allclose(image / image.sum(), (mass / mass.sum()).numpy(), atol=1e-6)
        assert shown.maps[i].axes.get_title() == method
        regrets = [scene.tuned[method, alpha, s].regret for s in scene.shares]
        assert list(shown.curves[i].get_xdata()) == list(scene.shares)
        assert list(shown.curves[i].get_ydata()) == regrets and len(set(regrets)) == 3
        dot = [*shown.dots[i].get_xdata(), *shown.dots[i].get_ydata()]
        assert dot == [share, scene.tuned[method, alpha, share].regret]
        assert shown.names[i].get_text() == method and shown.names[i].get_position()[1] == 1.12 * regrets[-1]
        J, _ = quiet_objective(policy, short.reward, alpha=alpha, n=2000, generator=seeded(1))
        soft = SoftValues(short.pretrained, short.reward, alpha=alpha, extent=short.extent, grid=81)
        assert dot[1] == pytest.approx(soft.share(soft.optimum - J), abs=1e-3)
    assert list(shown.floor.get_ydata()) == [scene.family_gaps[alpha]] * 2
    assert shown.floor.axes.get_title() == f"α = {alpha:g}, {share:.0%} of the paths by $p_{{pre}}$"


def test_a_still_is_the_widgets_picture(scene):
    assert view.still(scene).data != view.still(scene, share=0.0).data
    with pytest.raises(TypeError, match="strength"):
        view.still(scene, strength=1.0)


def test_the_widget_answers_its_controls(scene):
    box = view.play(scene)
    alpha, share = (column.children[0] for column in box.children[0].children)
    image, text = box.children[1:]
    before = image.value, text.value
    alpha.value = 0.5
    assert image.value != before[0] and text.value != before[1]
    before = image.value, text.value
    share.value = 0.0
    assert image.value != before[0] and text.value != before[1]


def test_figures_show_what_they_are_given(scene):
    target, x_0 = scene.targets[0.5], torch.rand(5, 2, generator=seeded(0))
    figure = figures.show_learned({"a": x_0, "b": x_0 + 1}, target, x_0 - 1, extent=5.0)
    assert [ax.get_title() for ax in figure.axes] == ["all it ever learns from", "a", "b"]
    for ax, points in zip(figure.axes, (x_0 - 1, x_0, x_0 + 1), strict=True):
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), points.numpy())
        np.testing.assert_array_equal(np.asarray(ax.images[0].get_array()), target.numpy().T)
    ax = plt.figure().subplots()
    figures.show_curves(ax, {"worse": {1: 0.6, 4: 0.3}, "one": {1: 0.5, 4: 0.1}}, floor=0.02)
    assert [np.asarray(line.get_ydata()).tolist() for line in ax.lines] == [[0.6, 0.3], [0.5, 0.1], [0.02, 0.02]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["worse", "one", "family gap"]
    ax.figure.canvas.draw()
    assert {"2 %", "10 %", "50 %"} <= {label.get_text() for label in ax.get_yticklabels()}
    ax = plt.figure().subplots()
    phi = {name: torch.arange(10.0).reshape(5, 2) + 100 * i for i, name in enumerate("abc")}
    figures.show_phi(ax, phi)
    assert ax.get_xlim() == (4, 0) and len(ax.lines) == 6
    for line, column in zip(ax.lines, torch.cat(list(phi.values()), 1).T, strict=True):
        assert list(line.get_ydata()) == column.tolist()
    plt.close("all")


def test_samples_share_their_noise(short):
    best = GaussianOptimum(short.pretrained, short.reward, alpha=0.5, extent=short.extent, grid=81)
    policy = SteeredPolicy(short.pretrained)
    first, again = (study.examine(policy, short, best).x_0 for _ in range(2))
    assert torch.equal(first, again)
    assert torch.allclose(first, rollout(short.pretrained, study.PARTICLES, generator=seeded(2)).x_0)
