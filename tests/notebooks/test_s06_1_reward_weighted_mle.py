"""The notebook on reward-weighted MLE: the widget's pure functions, the contest, and the policy of a whole denoiser."""

import math
import random

import matplotlib.pyplot as plt
import pytest
import torch

from tutorial_lib.algorithms import reward_weighted_mle, run
from tutorial_lib.denoisers import ExactDenoiser, MLPDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import TiltedDensity
from tutorial_lib.notebooks.s06_1_reward_weighted_mle import view
from tutorial_lib.policies import RetunedPolicy, SteeredPolicy
from tutorial_lib.rewards import peak
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import chain, gaussian_chain, seeded

FAR = "a peak beyond the ring"


@pytest.mark.parametrize("n", view.SIZES)
@pytest.mark.parametrize("name", view.REWARDS)
def test_weights_and_their_effective_sample_size(name, n):
    scene = view.scene(name)
    for alpha in (0.05, 0.3, 5.0):
        found = view.answer(scene, alpha, n)
        w = (scene.rewards[:n].double() / alpha).exp()
        assert found.effective == pytest.approx(float(w.sum() ** 2 / w.square().sum()), rel=1e-3)
        assert 1 - 1e-4 <= found.effective <= n
        assert float(found.density.sum()) * scene.tilted.grid.spacing**2 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", view.REWARDS)
def test_the_foretold_share_is_that_of_many_samples_and_falls(name):
    scene = view.scene(name)
    assert (scene.shares.diff() > 0).all()
    found = view.answer(scene, 1.0, view.SIZES[-1])
    assert found.effective == pytest.approx(found.foretold, rel=0.1)
    assert found.reward == pytest.approx(found.target.reward, abs=0.1)


def test_the_share_of_a_gaussian_is_known():
    """p_pre = N(0, 1), r = b·x: Z(α) = exp(b²/2α²), so the share is exp(−b²/α²)."""
    gaussian = GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.ones(1))
    tilted = TiltedDensity(chain(gaussian, 50), lambda x: x[:, 0], extent=7.0)
    _, spread = gaussian_chain(torch.zeros(2, dtype=torch.float64), torch.eye(2).double(), NoiseSchedule.cosine(50))
    for alpha in (1.0, 2.0):
        expected = math.exp(-float(spread[0, 0]) / alpha**2)
        assert view.exact_share(tilted, alpha) == pytest.approx(expected, rel=1e-3)


def test_100_random_settings_give_a_picture_and_words():
    settings, picture = random.Random(0), view.WeightView(view.scene(FAR))
    for i in range(100):
        scene = view.scene(settings.choice(list(view.REWARDS)))
        found = view.answer(scene, 10 ** settings.uniform(*map(math.log10, view.ALPHAS)), settings.choice(view.SIZES))
        picture.draw(scene, found)
        text = view.in_words(found)
        assert "nan" not in text and "effective samples" in text
        if i % 10 == 0:
            assert picture.picture.frame()


def test_the_picture_follows_its_settings():
    scene, frames = view.scene(FAR), set()
    picture = view.WeightView(scene)
    for alpha, n in ((0.5, 500), (0.52, 500), (0.5, 100), (0.5, 500)):
        picture.draw(scene, view.answer(scene, alpha, n))
        frames.add(picture.picture.frame())
    assert len(frames) == 3, "three settings, and the first of them twice"


def test_the_widget_answers_its_controls():
    box = view.weights()
    controls = [control for column in box.children[0].children for control in column.children]
    image, text = box.children[1:]
    for control, value in zip(controls, (0.1, 2500, "a peak on the ring"), strict=True):
        before = image.value, text.value
        control.value = value
        assert image.value != before[0] and text.value != before[1]


def test_the_words_warn_where_a_handful_is_left():
    scene = view.scene(FAR)
    cold, warm = (view.in_words(view.answer(scene, alpha, 2500)) for alpha in (0.05, 5.0))
    assert "A handful" in cold and "not even one foretold" in cold and "Enough" in warm


def test_a_contest_has_a_row_for_each_price():
    schedule = NoiseSchedule.cosine(6)
    mixture = GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.8]))
    pretrained = chain(mixture, 6)
    tilts = {a: mixture.tilt(linear=torch.tensor([2 / a, 0.0]), quadratic=2 / a * torch.eye(2))[0] for a in (0.5, 2.0)}

    def limit(alpha):
        return RetunedPolicy(pretrained, ExactDenoiser(tilts[alpha], schedule))

    start = SteeredPolicy(pretrained)
    before = [p.detach().clone() for p in start.parameters()]
    rows = view.contest(start, peak((1.0, 0.0)), limit, alphas=(2.0, 0.5), extent=5.0, n=128, iterations=2)
    assert [row.alpha for row in rows] == [2.0, 0.5] and rows[0].effective > rows[1].effective
    for row in rows:
        assert set(row.regrets) == set(view.COLORS) and row.regrets[view.LIMIT] < 0.2
        assert all(regret < 1 for regret in row.regrets.values()), "training beats doing nothing"
    assert all(torch.equal(a, b) for a, b in zip(before, start.parameters(), strict=True))
    view.show_contest(rows, TiltedDensity(pretrained, peak((1.0, 0.0)), extent=5.0, grid=61), 64)
    plt.close()


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
        (lambda: view.scene("a valley"), "unknown reward 'a valley'; known: a peak on the ring, a peak beyond the"),
        (lambda: view.answer(view.scene(FAR), 0.0, 100), "alpha must be a finite number > 0, got 0.0"),
        (lambda: view.exact_share(view.scene(FAR).tilted, math.nan), "alpha must be a finite number > 0, got nan"),
    ],
)
def test_bad_settings_are_told_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()
