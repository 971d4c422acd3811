"""The view of path consistency: PPO on foreign paths, the study behind the widget, and the pictures."""

import hashlib
import itertools
import random
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import run
from tutorial_lib.exact import GaussianOptimum
from tutorial_lib.metrics import evaluate, quiet_objective
from tutorial_lib.notebooks.s06_3_path_consistency import view
from tutorial_lib.policies import DenoisingPolicy, rollout
from tutorial_lib.rewards import peak

from ..oracles import seeded


@pytest.fixture(scope="module")
def short():
    return worlds.ring(T=8)


@pytest.fixture(scope="module")
def study(short):
    return view.study(short, alphas=(0.5, 2.0), iterations=2, n=32)


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


def ppo(world, **options):
    policy = view.beginner(world.pretrained)
    settings: dict[str, Any] = dict(alpha=0.5, generator=seeded(0), iterations=2, n=16) | options
    return policy, view.foreign_ppo(policy, world.reward, **settings)


def test_beginners_are_alike_and_leave_the_global_generator_alone(short):
    state = torch.get_rng_state()
    first, again, other = (view.beginner(short.pretrained, seed) for seed in (0, 0, 1))
    assert torch.equal(weights(first), weights(again)) and not torch.equal(weights(first), weights(other))
    assert torch.equal(state, torch.get_rng_state())


def test_j_from_log_ratios_is_j_from_kls(short):
    """Two estimates of one J that share only the reward: sampled log-ratios, and the steps' exact KLs."""
    policy = view.beginner(short.pretrained)
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
    assert torch.equal(weights(a), weights(b)) and not torch.equal(weights(a), weights(view.beginner(short.pretrained)))


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

    policy, behaviour = view.beginner(short.pretrained), Elsewhere(short.pretrained.denoiser, short.schedule)
    next(view.foreign_ppo(policy, reward, alpha=0.5, generator=seeded(0), off_policy=0.25, behaviour=behaviour, n=16))
    (x,) = seen
    assert (x[:, 0] > 40).tolist() == [False] * 12 + [True] * 4


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_outside_its_range_is_told_so(short, share):
    with pytest.raises(ValueError, match=r"off_policy must lie in \[0, 1\], got"):
        next(ppo(short, off_policy=share)[1])


def test_a_batch_of_one_is_told_so(short):
    with pytest.raises(ValueError, match="n must be a whole number ≥ 2, got 1"):
        next(ppo(short, off_policy=0.5, n=1)[1])


def test_the_study_has_every_pupil_and_its_regret(short, study):
    assert set(study.pupils) == set(itertools.product(view.METHODS, (0.5, 2.0), view.SHARES))
    best = GaussianOptimum(short.pretrained, short.reward, alpha=2.0, extent=short.extent, grid=81)
    assert study.family_gaps[2.0] == pytest.approx(best.family_gap)
    for pupil in study.pupils.values():
        assert pupil.x_0.shape == (view.PARTICLES, 2) and pupil.regret > 0 and pupil.regret_se > 0


def picture(shown, *setting):
    shown.draw(*setting)
    return hashlib.sha256(shown.picture.frame()).hexdigest()


def test_every_setting_has_its_picture_and_its_words(study):
    shown = view.ShareView(study)
    settings = list(itertools.product(study.targets, study.shares))
    pictures = [picture(shown, *setting) for setting in settings]
    assert len(set(pictures)) == len(settings)
    for setting in random.Random(0).choices(settings, k=20):  # in any order, the same picture
        assert picture(shown, *setting) == pictures[settings.index(setting)]
    texts = [view.in_words(study, *setting) for setting in settings]
    assert len(set(texts)) == len(texts) and "all paths its own" in texts[0] and "all paths p_pre's" in texts[2]


def test_the_widget_answers_its_controls(study):
    box = view.play(study)
    alpha, share = (column.children[0] for column in box.children[0].children)
    image, text = box.children[1:]
    before = image.value, text.value
    alpha.value = 0.5
    assert image.value != before[0] and text.value != before[1]
    before = image.value, text.value
    share.value = 0.0
    assert image.value != before[0] and text.value != before[1]


def test_pictures_show_what_they_are_given(study):
    target, x_0 = study.targets[0.5], torch.zeros(5, 2)
    figure = view.show_lessons({"a": x_0, "b": x_0 + 1}, target, x_0, extent=5.0)
    assert [ax.get_title() for ax in figure.axes] == ["all it ever learns from", "a", "b"]
    ax = plt.figure().subplots()
    view.show_curves(ax, {"one": {1: 0.5, 4: 0.1}}, floor=0.02)
    assert [np.asarray(line.get_ydata()).tolist() for line in ax.lines] == [[0.5, 0.1], [0.02, 0.02]]
    ax.figure.canvas.draw()
    assert {"2 %", "10 %", "50 %"} <= {label.get_text() for label in ax.get_yticklabels()}
    ax = plt.figure().subplots()
    view.show_phi(ax, {name: torch.full((5, 2), i) for i, name in enumerate("abc")})
    assert ax.get_xlim() == (4, 0) and len(ax.lines) == 6
    plt.close("all")


def test_samples_share_their_noise(short):
    best = GaussianOptimum(short.pretrained, short.reward, alpha=0.5, extent=short.extent, grid=81)
    policy = view.beginner(short.pretrained)
    assert torch.equal(view.examine(policy, short, best).x_0, view.examine(policy, short, best).x_0)
    assert torch.allclose(
        view.examine(policy, short, best).x_0,
        rollout(short.pretrained, view.PARTICLES, generator=seeded(2)).x_0,
    )
