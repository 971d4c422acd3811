"""The notebook on reward-weighted MLE: the widget's pure functions, the contest, and the policy of a whole denoiser."""

import inspect
import math
import random
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tutorial_lib import assets, worlds
from tutorial_lib.algorithms import reward_weighted_mle, run
from tutorial_lib.denoisers import MLPDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import Frontier, TiltedDensity
from tutorial_lib.notebooks.s06_1_reward_weighted_mle import bugs, figures, study, view
from tutorial_lib.policies import RetunedPolicy, SteeredPolicy, rollout
from tutorial_lib.rewards import peak

from ..oracles import chain, gaussian_chain, seeded

FAR = "a peak beyond the ring"


@pytest.mark.parametrize("n", study.SIZES)
@pytest.mark.parametrize("name", study.REWARDS)
def test_weights_and_their_effective_sample_size(name, n):
    scene = study.scene(name)
    for alpha in (0.05, 0.3, 5.0):
        found = study.answer(scene, alpha, n)
        w = (scene.rewards[:n].double() / alpha).exp()
        assert found.effective == pytest.approx(float(w.sum() ** 2 / w.square().sum()), rel=1e-3)
        assert 1 - 1e-4 <= found.effective <= n
        assert float(found.density.sum()) * scene.tilted.grid.spacing**2 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", study.REWARDS)
def test_the_foretold_share_is_that_of_many_samples_and_falls(name):
    scene = study.scene(name)
    assert (scene.shares.diff() > 0).all()
    found = study.answer(scene, 1.0, study.SIZES[-1])
    assert found.effective == pytest.approx(found.foretold, rel=0.1)
    assert found.reward == pytest.approx(found.target.reward, abs=0.1)


def test_the_share_of_a_gaussian_is_known():
    """p_pre = N(0, 1), r = b·x: Z(α) = exp(b²/2α²), so the share is exp(−b²/α²)."""
    gaussian = GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.ones(1))
    pretrained = chain(gaussian, 50)
    tilted = TiltedDensity(pretrained, lambda x: x[:, 0], extent=7.0)
    _, spread = gaussian_chain(torch.zeros(2, dtype=torch.float64), torch.eye(2).double(), pretrained.schedule)
    for alpha in (1.0, 2.0):
        expected = math.exp(-float(spread[0, 0]) / alpha**2)
        assert study.exact_share(tilted, alpha) == pytest.approx(expected, rel=1e-3)


def test_100_random_settings_give_a_picture_and_words():
    settings, picture = random.Random(0), view.WeightView(study.scene(FAR))
    for i in range(100):
        scene = study.scene(settings.choice(list(study.REWARDS)))
        found = study.answer(
            scene, 10 ** settings.uniform(*map(math.log10, study.ALPHAS)), settings.choice(study.SIZES)
        )
        picture.draw(scene, found)
        text = view.in_words(found)
        assert "nan" not in text and "effective samples" in text
        if i % 10 == 0:
            assert picture.picture.frame()


def test_the_picture_follows_its_settings():
    scene, frames = study.scene(FAR), set()
    picture = view.WeightView(scene)
    for alpha, n in ((0.5, 500), (0.52, 500), (0.5, 100), (0.5, 500)):
        picture.draw(scene, study.answer(scene, alpha, n))
        frames.add(picture.picture.frame())
    assert len(frames) == 3, "three settings, and the first of them twice"


SETTINGS = [(0.5, 500, FAR), (0.07, 2500, "a peak on the ring"), (3.0, 100, FAR)]


@pytest.mark.parametrize(("alpha", "n", "name"), SETTINGS)
def test_every_panel_shows_its_setting(alpha, n, name):
    """The artists' data against weights, kernel density and Z(α) written out; the view had another setting before."""
    scene, picture = study.scene(name), view.WeightView(study.scene(FAR))
    picture.draw(study.scene(FAR), study.answer(study.scene(FAR), 1.0, 2500))
    picture.draw(scene, study.answer(scene, alpha, n))
    x = scene.x_0[:n].double()
    center, axis = (3.0, 1.0) if name == FAR else (2.0, 0.5), scene.tilted.grid.axis.double()
    r = -((x[:, 0] - center[0]) ** 2 + (x[:, 1] - center[1]) ** 2)
    w = (r / alpha - (r / alpha).max()).exp()
    w /= w.sum()
    assert torch.tensor(np.asarray(picture.points.get_offsets())).equal(x)
    assert torch.allclose(torch.tensor(picture.points.get_sizes()).double(), (1 + 1500 * w).clamp_max(500), rtol=1e-3)
    grid = torch.cartesian_prod(axis, axis).reshape(len(axis), len(axis), 2)
    reward = -((grid[..., 0] - center[0]) ** 2 + (grid[..., 1] - center[1]) ** 2)
    mass = scene.tilted.pretrained.double() * (reward / alpha - (reward / alpha).max()).exp()
    shown = torch.tensor(np.asarray(picture.target.get_array())).double().T  # an image's rows are y
    assert torch.allclose(shown / shown.sum(), mass / mass.sum(), atol=1e-6)
    blurred = torch.tensor(np.asarray(picture.density.get_array())).double().T
    for i, j in ((50, 50), (70, 55), (80, 60), (40, 75)):
        bumps = (-((x - torch.stack([axis[i], axis[j]])) ** 2).sum(1) / (2 * 0.15**2)).exp() / (2 * math.pi * 0.15**2)
        assert float(blurred[i, j]) == pytest.approx(float(w @ bumps), rel=1e-3, abs=1e-6)
    effective = 1 / float((w**2).sum())
    assert list(picture.here.get_xdata()) == [alpha]
    assert picture.here.get_ydata()[0] == pytest.approx(effective, rel=1e-3)
    assert picture.here.axes.get_title() == f"α = {alpha:g}, n = {n}: {effective:.1f} effective samples"
    p = scene.tilted.pretrained.double()
    for k in (5, 30):
        a = float(picture.curve.get_xdata()[k])
        z, half = (float((p * (reward / b).exp()).sum()) for b in (a, a / 2))
        assert picture.curve.get_ydata()[k] == pytest.approx(n * z**2 / half, rel=1e-2)


def test_a_still_is_the_widgets_picture_and_refuses_what_is_no_setting():
    assert view.still().data != view.still(alpha=0.1).data != view.still(alpha=0.1, n=100).data
    with pytest.raises(TypeError, match="strength"):
        view.still(strength=1.0)
    with pytest.raises(ValueError, match="unknown reward 'a valley'"):
        view.still(reward="a valley")


def test_the_figures_show_what_they_are_given():
    x_0, weights = torch.tensor([[0.0, 1.0], [2.0, -1.0]]), torch.tensor([0.9, 0.1])
    target = torch.rand(21, 21, generator=seeded(1))
    learned = {"one": torch.tensor([[1.0, 1.0]]), "two": torch.tensor([[-1.0, 2.0]])}
    figure = figures.show_learned(x_0, weights, learned, target, 5.0)
    first, *others = figure.axes
    assert np.array_equal(first.collections[0].get_offsets(), x_0.numpy())
    assert first.collections[0].get_sizes().tolist() == [500, pytest.approx(151)]
    for ax, (title, points) in zip(others, learned.items(), strict=True):
        assert ax.get_title() == title and np.array_equal(ax.collections[0].get_offsets(), points.numpy())
    assert all(np.allclose(ax.images[0].get_array(), target.numpy().T) for ax in figure.axes)
    left, right = figures.show_progress([-5.0, -2.0, -1.5], [0.1, 0.6, 0.8], {"J": -1.2}).axes
    assert [list(v) for v in left.lines[0].get_data()] == [[2, 3], [-2.0, -1.5]]
    assert left.lines[1].get_ydata()[0] == -1.2 and left.texts[0].get_text() == "J" and "−5.0" in left.get_title()
    assert [list(v) for v in right.lines[0].get_data()] == [[1, 2, 3], [0.1, 0.6, 0.8]]
    x, law = torch.linspace(-4, 4, 9), torch.arange(9.0)
    fits = {"fit": 2 * law, "other": 3 * law}
    for ax, (title, fit) in zip(figures.show_fits(x, law, fits).axes, fits.items(), strict=True):
        assert np.array_equal(ax.lines[0].get_data(), [x.numpy(), fit.numpy()]) and ax.get_title() == title
        assert ax.collections[0].get_paths()[0].vertices[:, 1].max() == 8
    plt.close("all")


def test_the_widget_answers_its_controls():
    box = view.play()
    controls = [control for column in box.children[0].children for control in column.children]
    image, text = box.children[1:]
    for control, value in zip(controls, (0.1, 2500, "a peak on the ring"), strict=True):
        before = image.value, text.value
        control.value = value
        assert image.value != before[0] and text.value != before[1]


def test_the_words_warn_where_a_handful_is_left():
    scene = study.scene(FAR)
    cold, warm = (view.in_words(study.answer(scene, alpha, 2500)) for alpha in (0.05, 5.0))
    assert "A handful" in cold and "not even one foretold" in cold and "Enough" in warm


def test_the_stored_runs_are_whole_and_say_what_is_lost():
    few = study.few_samples()
    shape = (5, len(few.sizes), len(few.alphas))
    assert few.offline.shape == few.effective.shape == shape and few.online.shape == (5, len(few.alphas))
    assert few.span.shape == few.endless.shape == (len(few.alphas),)
    for i, n in enumerate(few.sizes):
        assert (few.effective[:, i] >= 1 - 1e-4).all() and (few.effective[:, i] <= n).all()
    i = few.sizes.index(few.budget)
    assert torch.equal(few.excess("offline"), few.offline[:, i] - few.endless)
    assert torch.equal(few.excess("online"), few.online - few.endless)
    torch.testing.assert_close(few.regret("offline"), few.offline[:, i].mean(0) / few.span)
    torch.testing.assert_close(few.regret("online"), few.online.mean(0) / few.span)
    torch.testing.assert_close(few.regret("endless samples"), few.endless / few.span)


def test_the_arms_shares_are_of_what_the_frontier_has():
    digits = worlds.digits().with_reward("symmetry")
    scores = worlds.digits_rewards()["symmetry"]
    arms = study.digits_arms(Frontier(scores), digits.alpha)
    J = assets.load("digits_weighted")["objective"].double()
    optimum = digits.alpha * ((scores.double() / digits.alpha).logsumexp(0) - math.log(len(scores)))
    expected = (J - scores.double().mean()) / (optimum - scores.double().mean())
    torch.testing.assert_close(arms.share.double(), expected, rtol=1e-4, atol=1e-4)
    assert arms.kl.shape == (5, 4, 51) and arms.reward.shape == (5, 4) and len(arms.names) == 4
    torch.testing.assert_close(arms.nats(2, 4), arms.kl[:, :, 2] + arms.kl[:, :, 3] + arms.kl[:, :, 4])


@pytest.mark.parametrize(("alpha", "level"), [(0.5, 0.5), (2.0, 0.3)])
def test_the_line_of_the_exercise_is_the_posterior_mean(alpha, level):
    """By quadrature over x_0, at two x_t; and the line of p_pre where nothing is rewarded."""
    x = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    for rewarded in (True, False):
        a, c = study.posterior_line(alpha, level, rewarded=rewarded)
        for x_t in (-1.0, 0.7):
            log_p = -x.square() / 2 - (x_t - level**0.5 * x).square() / (2 * (1 - level))
            weight = (log_p - (x - 2).square() / (2 * alpha) * rewarded).softmax(0)
            assert float(a * x_t + c) == pytest.approx(float(weight @ x), abs=1e-5)
    assert len({tuple(line.tolist()) for line in study.line_slips(0.5, 0.5).values()}) == 4


def test_the_planted_bug_is_its_one_line():
    """With the log-ratio in its line the loop stops near the exact target; as it stands it goes past it."""
    world, alpha = worlds.ring(T=20), 2.0
    exact = TiltedDensity(world.pretrained, world.reward, extent=5.0, grid=81).at(alpha)
    source = inspect.getsource(bugs.iterated)
    mended = source.replace("(r / alpha)", "(r / alpha - policy.log_ratio(path).sum(0).detach())")
    scope: dict[str, Any] = dict(torch=torch, Any=Any)
    exec(mended, scope)
    wrong, right = (
        loop(SteeredPolicy(world.pretrained), world.reward, alpha, rollout, seeded(0))[-1]
        for loop in (bugs.iterated, scope["iterated"])
    )
    assert mended != source and wrong > exact.reward + 0.5 and right == pytest.approx(exact.reward, abs=0.15)


def test_a_retrained_denoiser_is_a_policy_that_is_tuned_whole():
    pretrained = chain(GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.8])), 6)
    same = RetunedPolicy(pretrained, pretrained.denoiser)
    x, t = torch.randn(5, 2, generator=seeded(0)), torch.tensor([1, 2, 4, 5, 6])
    assert not same.shift(x, t).any()

    torch.manual_seed(0)
    policy = RetunedPolicy(pretrained, MLPDenoiser(pretrained.schedule))
    expected = pretrained.schedule.posterior_mean(policy.denoiser(x, t), x, t)
    torch.testing.assert_close(policy.mean(x, t), expected)
    assert set(policy.parameters()) == set(policy.denoiser.parameters())
    before = [p.detach().clone() for p in policy.parameters()]
    run(
        reward_weighted_mle.fine_tune(
            policy, peak((1.0, 0.0)), alpha=0.5, generator=seeded(0), iterations=2, n=32, updates=2, batch=64
        )
    )
    assert not any(torch.equal(a, b) for a, b in zip(before, policy.parameters(), strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: study.scene("a valley"), "unknown reward 'a valley'; known: a peak on the ring, a peak beyond the"),
        (lambda: study.answer(study.scene(FAR), 0.0, 100), "alpha must be a finite number > 0, got 0.0"),
        (lambda: study.exact_share(study.scene(FAR).tilted, math.nan), "alpha must be a finite number > 0, got nan"),
    ],
)
def test_bad_settings_are_told_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()
