"""Memory, paths' gradients and the widget of the notebook on reward backpropagation."""

import random

import matplotlib.pyplot as plt
import pytest
import torch

from tutorial_lib import plots, worlds
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.notebooks.s05_2_reward_backpropagation import view
from tutorial_lib.policies import SteeredPolicy
from tutorial_lib.rewards import peak

from ..oracles import RING_REWARD, chain, ring, seeded

ALPHAS, DEPTHS = (0.05, 0.5), (2, 10)


@pytest.fixture(scope="module")
def scene():
    return view.scene(worlds.ring(T=10), peak((2.0, 0.5)), alphas=ALPHAS, depths=DEPTHS, iterations=4)


def test_what_is_saved_is_counted_a_step_at_a_time():
    """One more step saves as much as any other, however long the chain, and weights are not in it."""
    policies = {T: SteeredPolicy(ring(T)) for T in (10, 20)}
    size = {(T, K): view.saved_bytes(p, RING_REWARD, n=8, last=K) for T, p in policies.items() for K in (2, 3, 4)}
    step = size[10, 3] - size[10, 2]
    assert step > 8 * 128 * 4  # one layer of the control, at the least
    assert size[10, 4] - size[10, 3] == step and size[20, 4] - size[20, 3] == step


def test_wider_batches_save_in_proportion():
    policy = SteeredPolicy(ring(10))
    small, middle, large = (view.saved_bytes(policy, RING_REWARD, n=n) for n in (100, 200, 300))
    assert large - middle == pytest.approx(middle - small, rel=0.01) and large > 2.5 * small


def test_the_gradient_of_a_linear_reward_through_a_gaussian_chain():
    """Every step multiplies by a number a_t, so ∂x_0/∂u_t = σ_t Π_{s<t} a_s on every path."""
    std, direction = 0.6, torch.tensor([1.0, -2.0])
    pretrained = chain(GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([std])), 12)
    s = pretrained.schedule
    found = view.path_gradients(pretrained, lambda x: x @ direction, 5, generator=seeded(0))
    carried = 1.0
    for t in range(1, 13):
        level = float(s.alpha_bar[t])
        expected = float(s.sigma[t]) * carried * direction
        torch.testing.assert_close(found[t - 1], expected.expand(5, 2), rtol=1e-3, atol=1e-5)
        carried *= float(s.signal[t]) * level**0.5 * std**2 / (level * std**2 + 1 - level) + float(s.carry[t])


def test_the_top_share_of_a_known_spread():
    gradients = torch.ones(2, 100, 2)
    gradients[1, 7] = 10.0
    assert view.top_share(gradients).tolist() == pytest.approx([0.01, 100 / 199])
    assert view.top_share(gradients, 0.5).tolist() == pytest.approx([0.5, 149 / 199])


def test_a_scene_trains_every_pair_from_the_same_noise(scene):
    assert scene.alphas == list(ALPHAS) and scene.depths == list(DEPTHS)
    for (alpha, last), tuned in scene.tuned.items():
        assert (tuned.alpha, tuned.last) == (alpha, last)
        assert tuned.x.shape == (1000, 2) and torch.isfinite(tuned.x).all() and (tuned.kl >= 0).all()
        assert tuned.objective == pytest.approx(tuned.reward - alpha * float(tuned.kl.sum()))
        assert tuned.objective <= scene.tilted.at(alpha).objective + 0.05
    again = view.tune(scene.world, peak((2.0, 0.5)), 0.05, 2, iterations=4, seed=0)
    assert torch.equal(again.x, scene.tuned[0.05, 2].x)


def test_100_random_settings_give_a_picture_and_words(scene):
    settings, panel = random.Random(0), view.TunedView(scene)
    for i in range(100):
        tuned = scene.tuned[settings.choice(ALPHAS), settings.choice(DEPTHS)]
        panel.draw(tuned)
        text = view.in_words(scene, tuned)
        assert "nan" not in text and ("no gradient reached" in text) == (tuned.last < 10)
        if i % 10 == 0:
            assert panel.picture.frame()


def test_the_picture_follows_both_controls(scene):
    panel, frames = view.TunedView(scene), set()
    for pair in ((0.05, 2), (0.5, 2), (0.05, 10), (0.05, 2)):
        panel.draw(scene.tuned[pair])
        frames.add(panel.picture.frame())
    assert len(frames) == 3, "three settings, and the first of them twice"


def test_the_widget_answers_its_controls(scene):
    box = view.explore(scene)
    controls = [control for column in box.children[0].children for control in column.children]
    image, text = box.children[1:]
    for control, value in zip(controls, (0.5, 2), strict=True):
        before = image.value, text.value
        control.value = value
        assert image.value != before[0] and text.value != before[1]


def test_every_picture_draws(scene):
    view.show_training(scene.tilted.at(0.5).mass, 5.0, {0: torch.zeros(3, 2), 32: torch.ones(3, 2)})
    axes = plt.figure().subplots(1, 4)
    view.show_race(axes[0], {"a": ([1, 2], [0.5, 0.1], plots.TUNED)}, family=0.01, good=0.02)
    view.show_memory(axes[1], [10, 20], {"full": ([1.0, 2.0], plots.TUNED)})
    view.show_truncation(axes[2], {1: 0.5, 10: 0.1}, {1: 0.9, 10: 0.0}, 0.05)
    view.show_tails(axes[3], {"ring": (torch.linspace(0, 1, 10), plots.TUNED)})
    assert len(axes[0].lines) == 3 and len(axes[2].lines) == 3 and len(axes[3].lines) == 2
    plt.close("all")
