"""The widget that steps through an episode: its pure functions over their whole range, and at random settings; and the
law of x_0 of any policy against a chain that is solved by hand."""

import math
import random

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from tutorial_lib import worlds
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact.chain import law_of_x_0
from tutorial_lib.grids import Grid
from tutorial_lib.notebooks.s03_denoising_as_an_mdp import view as denoising_mdp
from tutorial_lib.policies import SteeredPolicy

from ..oracles import chain, gaussian_chain, wave


@pytest.fixture(scope="module")
def scene():
    return denoising_mdp.scene(worlds.ring(T=20), wave)


@pytest.mark.parametrize("alpha", torch.logspace(-1, 1, 9).tolist())
def test_an_episode_is_a_path_of_its_policy(scene, alpha):
    """Each action lies z widths from the policy's mean, with one z for every α: paths glide."""
    walk, sigma = denoising_mdp.walk(scene, alpha), scene.world.schedule.sigma[1:, None, None]
    g = torch.Generator().manual_seed(denoising_mdp.SEED)
    torch.randn(denoising_mdp.PARTICLES, 2, generator=g)  # x_T
    noise = torch.stack([torch.randn(denoising_mdp.PARTICLES, 2, generator=g) for _ in range(walk.T)]).flip(0)
    z = (walk.x[:-1] - walk.rho[1:]) / sigma - walk.u[1:]
    assert torch.allclose(z, noise, atol=1e-4)
    with torch.no_grad():
        rho = torch.stack([scene.world.pretrained.mean(walk.x[t], t) for t in range(1, walk.T + 1)])
    assert torch.allclose(rho, walk.rho[1:], atol=1e-5)
    assert torch.isfinite(walk.x).all() and torch.equal(walk.reward, wave(walk.x[0]))


def test_the_fees_add_up_backwards_in_time(scene):
    walk = denoising_mdp.walk(scene, 0.5)
    fees = walk.fees(3)
    assert fees[walk.T] == 0 and len(fees) == walk.T + 1
    assert fees[0].item() == pytest.approx(-0.5 * walk.kl[:, 3].sum().item(), rel=1e-5)
    assert torch.allclose(fees[1:] - fees[:-1], 0.5 * walk.kl[1:, 3], atol=1e-6)


def test_the_densities_are_those_of_the_noised_mixture(scene):
    axis, n = scene.tilted.grid.axis, scene.tilted.grid.n
    for t in (0, 10, 20):
        mass = scene.densities[t]
        assert mass.sum().item() == pytest.approx(1) and mass.shape == (n, n)
        spread = (mass.sum(1) * axis.square()).sum().item()
        level = scene.world.schedule.alpha_bar[t].item()
        assert spread == pytest.approx(level * (2 + 0.09) + 1 - level, rel=1e-3)  # E x₁² of the ring is 2 + 0.3²


def test_100_random_settings_give_a_picture_and_words(scene):
    settings, view = random.Random(0), denoising_mdp.StepView(scene)
    low, high = map(math.log10, denoising_mdp.ALPHAS)
    for i in range(100):
        walk = denoising_mdp.walk(scene, 10 ** settings.uniform(low, high))
        particle, t = settings.randrange(denoising_mdp.PARTICLES), settings.randint(1, walk.T)
        view.draw(walk, particle, t)
        text = denoising_mdp.in_words(walk, particle, t)
        assert "nan" not in text and "−0.00" not in text and ("r(x" in text) == (t == 1)
        if i % 10 == 0:
            assert view.picture.frame()


def test_the_words_and_the_arrays_say_the_same(scene):
    walk = denoising_mdp.walk(scene, 0.3)
    away = walk.u[7, 0].norm().item()
    assert f"½·{away:.2f}² = {away**2 / 2:.3f} nats" in denoising_mdp.in_words(walk, 0, 7)
    total = walk.reward[0].item() - 0.3 * walk.kl[:, 0].sum().item()
    assert f"return so far {total:.2f}".replace("-", "−") in denoising_mdp.in_words(walk, 0, 1)


def test_the_picture_follows_every_control(scene):
    view, frames = denoising_mdp.StepView(scene), set()
    for alpha, particle, t in ((0.2, 0, 6), (0.2, 0, 5), (0.25, 0, 6), (0.2, 1, 6), (0.2, 0, 6)):
        view.draw(denoising_mdp.walk(scene, alpha), particle, t)
        frames.add(view.picture.frame())
    assert len(frames) == 4, "four settings, and the first of them twice"


def test_the_map_stands_alone(scene):
    ax = plt.figure().subplots()
    walk = denoising_mdp.walk(scene, 0.2)
    panel = denoising_mdp.Map(ax, scene)
    panel.draw(walk, 2, 6)
    centre = torch.as_tensor(np.asarray(panel.after.get_xydata())).mean(0)
    sigma = scene.world.schedule.sigma[6]
    assert torch.allclose(centre.float(), walk.rho[6, 2] + sigma * walk.u[6, 2], atol=0.02)
    assert np.asarray(panel.state.get_xydata())[0].tolist() == pytest.approx(walk.x[6, 2].tolist())
    assert np.asarray(panel.action.get_xydata())[0].tolist() == pytest.approx(walk.x[5, 2].tolist())
    plt.close()


def test_the_widget_answers_its_controls():
    box = denoising_mdp.step_through(worlds.ring(T=20), wave)
    controls = [control for column in box.children[0].children for control in column.children]
    image, text = box.children[1:]
    for control, value in zip(controls, (20, 0.5, 4), strict=True):
        before = image.value, text.value
        control.value = value
        assert image.value != before[0] and text.value != before[1]


class Drift(nn.Module):
    """u_t(x_t) = (0.2, −0.1) − 0.15 x_t: linear, so that x_0 stays Gaussian."""

    def forward(self, x_t, t):
        return torch.tensor([0.2, -0.1]) - 0.15 * x_t


def test_the_law_of_x_0_of_a_steered_gaussian_chain():
    """One Gaussian as data: pretrained against the oracle's recursion, steered against the same with σ_t u added."""
    mean, std = torch.tensor([0.6, -0.3]), 0.5
    pretrained = chain(GaussianMixture(torch.ones(1), mean[None], stds=torch.tensor([std])), 20)
    schedule, grid = pretrained.schedule, Grid(5.0, 161)
    eye = torch.eye(2, dtype=torch.float64)
    assert moments(law_of_x_0(pretrained, grid), grid) == pytest.approx(
        flat(*gaussian_chain(mean.double(), std**2 * eye, schedule)), abs=1e-3
    )
    centre, spread = torch.zeros(2, dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for t in range(20, 0, -1):
        level, signal, carry, sigma = (
            a[t].double() for a in (schedule.alpha_bar, schedule.signal, schedule.carry, schedule.sigma)
        )
        gain = level.sqrt() * std**2 / (level * std**2 + 1 - level)
        slope = signal * gain + carry - 0.15 * sigma
        push = sigma * torch.tensor([0.2, -0.1], dtype=torch.float64)
        centre = slope * centre + signal * (mean - level.sqrt() * gain * mean) + push
        spread = slope.square() * spread + sigma.square()
    steered = law_of_x_0(SteeredPolicy(pretrained, Drift()), grid)
    assert steered.sum().item() == pytest.approx(1)
    assert moments(steered, grid) == pytest.approx(flat(centre, spread * eye), abs=1e-3)


def flat(mean, covariance):
    return [*mean.tolist(), *covariance.flatten().tolist()]


def moments(mass, grid):
    points, weights = grid.points.double(), mass.reshape(-1, 1)
    mean = (weights * points).sum(0)
    return flat(mean, (weights * (points - mean)).T @ (points - mean))
