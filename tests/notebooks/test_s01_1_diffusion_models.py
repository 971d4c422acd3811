"""The notebook on diffusion models: what its widgets are drawn from, over the whole range of the sliders."""

import random

import matplotlib.pyplot as plt
import pytest
import torch

from tutorial_lib import plots, worlds
from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.metrics import sliced_wasserstein
from tutorial_lib.notebooks.s01_1_diffusion_models import figures as denoising_figures
from tutorial_lib.notebooks.s01_1_diffusion_models import view as denoising
from tutorial_lib.notebooks.s01_1_diffusion_models.view import ETAS, STEPS, increments, make_chains, moment, stratified
from tutorial_lib.policies import DenoisingPolicy, ddim
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import seeded

ANGLES = torch.arange(8) * torch.pi / 4
MIXTURE = GaussianMixture(
    torch.full((8,), 1 / 8), 2 * torch.stack([ANGLES.cos(), ANGLES.sin()], -1), stds=torch.full((8,), 0.3)
)


@pytest.fixture(scope="module")
def chains():
    return make_chains(MIXTURE, n=500)


def is_sound(now, t, T):
    assert now.x.shape == (denoising.SHOWN, 2)
    assert now.paths.shape == (T - t + 1, denoising.PATHS, 2)
    assert now.density.shape == (denoising_figures.CELLS,) * 2 and now.density.min() >= 0
    for values in (now.x, now.paths, now.density, torch.tensor([now.distance, now.floor])):
        assert torch.isfinite(values).all()
    assert 0 <= now.alpha_bar <= 1 and now.distance > 0 and now.floor > 0


@pytest.mark.parametrize("T", STEPS)
def test_every_position_of_the_time_slider_has_a_picture(chains, T):
    for t in range(T + 1):
        is_sound(moment(chains, t, T, ETAS[t % len(ETAS)]), t, T)


def test_random_settings_have_pictures_and_the_same_ones_again(chains):
    dice = random.Random(0)
    for _ in range(300):
        T, eta = dice.choice(STEPS), dice.choice(ETAS)
        t = dice.randint(0, T)
        now, again = moment(chains, t, T, eta), moment(chains, t, T, eta)
        is_sound(now, t, T)
        assert torch.equal(now.x, again.x) and now.distance == again.distance


def test_a_seed_makes_the_same_chains(chains):
    again = make_chains(MIXTURE, n=500)
    assert all(torch.equal(chains.x[T], again.x[T]) for T in STEPS) and chains.floor == again.floor


def test_every_setting_starts_from_the_same_noise_so_that_points_glide(chains):
    start = chains.x[5][0, 5]
    assert all(torch.equal(chains.x[T][e, T], start) for T in STEPS for e in range(len(ETAS)))
    ends = [chains.x[T][0, 0] for T in (50, 100)]  # the ODE: one map, ever finer
    assert (ends[0] - ends[1]).norm(dim=1).median() < 0.1


def test_the_increments_of_a_short_chain_are_those_of_the_long_one():
    fine = torch.randn(100, 4000, 2, generator=seeded(0))
    assert torch.equal(increments(fine, 100), fine)
    coarse = increments(fine, 5)
    assert coarse.shape == (5, 4000, 2)
    torch.testing.assert_close(coarse.sum(0) / 5**0.5, fine.sum(0) / 10, rtol=1e-4, atol=1e-4)
    assert abs(coarse.std().item() - 1) < 0.02
    with pytest.raises(ValueError, match="T must divide 100, got 7"):
        increments(fine, 7)


@pytest.mark.parametrize("eta", ETAS)
def test_the_chains_have_the_law_of_the_librarys_sampler(eta):
    """Another noise, the same law: no further apart than two runs of `ddim`."""
    schedule = NoiseSchedule.cosine(10)
    denoiser = ExactDenoiser(MIXTURE, schedule)
    policy, g, n = DenoisingPolicy(denoiser, schedule), seeded(1), 8000
    runs = [ddim(policy, n, eta=eta, generator=g).x_0 for _ in range(2)]
    start, noise = torch.randn(n, 2, generator=g), torch.randn(10, n, 2, generator=g)
    own = denoising.chain(denoiser, start, noise, torch.full((n, 1), eta))[0]
    floor = sliced_wasserstein(*runs, generator=seeded(0))
    assert sliced_wasserstein(own, runs[0], generator=seeded(0)) < floor + 0.03


def test_at_eta_one_a_step_has_the_pretrained_policys_mean():
    """Song et al.'s formula against the posterior coefficients, with the same noise."""
    schedule = NoiseSchedule.cosine(20)
    denoiser = ExactDenoiser(MIXTURE, schedule)
    policy, g = DenoisingPolicy(denoiser, schedule), seeded(2)
    start, noise = torch.randn(300, 2, generator=g), torch.randn(20, 300, 2, generator=g)
    x = denoising.chain(denoiser, start, noise, torch.ones(300, 1))
    for t in range(20, 0, -1):
        expected = policy.mean(x[t], t) + schedule.posterior_std[t] * noise[20 - t]
        torch.testing.assert_close(x[t - 1], expected, rtol=1e-3, atol=1e-4)


def test_stratified_samples_have_exact_shares_and_the_right_law():
    means = torch.tensor([[-10.0, 0.0], [0.0, 0.0], [10.0, 5.0]])
    covariances = torch.diag_embed(torch.tensor([[0.1, 0.4], [1.0, 1.0], [0.2, 0.2]]))
    mixture = GaussianMixture(torch.tensor([0.2, 0.5, 0.3]), means, covariances)
    x = stratified(mixture, 10_000, generator=seeded(0))
    nearest = torch.cdist(x, means).argmin(1)
    assert torch.bincount(nearest).tolist() == [2000, 5000, 3000]
    assert (x[nearest == 0].var(0) - torch.tensor([0.1, 0.4])).abs().max() < 0.04


@pytest.mark.parametrize(
    ("t", "T", "eta", "message"),
    [
        (0, 7, 1.0, r"T must be one of \(5, 10, 20, 50, 100\).* got 7"),
        (0, 5, 0.3, "eta one of .* 0.3"),
        (6, 5, 1.0, r"t must be a whole number in 0\.\.5, got 6"),
        (-1, 5, 1.0, "got -1"),
    ],
)
def test_a_setting_that_no_slider_has_is_refused(chains, t, T, eta, message):
    with pytest.raises(ValueError, match=message):
        moment(chains, t, T, eta)


def test_a_moment_shown_later_is_the_picture_of_its_own(chains):
    """Updating the artists gives the same picture as drawing it anew."""

    def pixels(figure):
        figure.canvas.draw()
        shot = figure.canvas.buffer_rgba().tobytes()
        plt.close(figure)
        return shot

    first, last = moment(chains, 40, 50, 1.0), moment(chains, 3, 10, 0.0)
    figure, show, moving = denoising.draw_moment(first, chains.target)
    assert len(moving) == 5
    show(last)
    assert pixels(figure) == pixels(denoising.draw_moment(last, chains.target)[0])


def test_the_sliders_move_the_picture_and_t_keeps_its_share_of_T(chains):
    box = denoising.denoising_widget(chains)
    (left, right), picture = box.children[0].children, box.children[1]
    (time, steps), (noise,) = left.children, right.children
    assert (time.value, time.max, steps.value, noise.value) == (14, 50, 50, 1.0)
    seen = {picture.value}
    for control, value, expected in ((steps, 100, 28), (time, 0, 0), (noise, 0.0, 0), (time, 100, 100), (steps, 5, 5)):
        control.value = value
        assert time.value == expected and time.max == steps.value
        seen.add(picture.value)
    assert len(seen) == 6
    assert "t = 5 of T = 5" in box.children[2].value


@pytest.fixture(scope="module")
def images():
    return denoising.make_images(worlds.digits().pretrained, 16)


def test_digits_have_a_picture_at_every_t(images):
    assert images.x.shape == images.guess.shape == (51, 16, 1, 8, 8)
    assert torch.isfinite(images.x).all() and torch.isfinite(images.guess).all()
    assert torch.equal(images.x[0], images.guess[0])
    assert all(plots.wall(images.x[t], columns=8).shape == (18, 72) for t in range(51))
    again = denoising.make_images(worlds.digits().pretrained, 16)
    assert torch.equal(images.x, again.x)


def test_the_guess_settles_as_t_falls(images):
    away = (images.guess - images.x[0]).flatten(2).norm(dim=2).mean(1)
    assert away[0] == 0 and away[5] < away[20] < away[40] < away[50]


def test_the_digits_slider_moves_the_walls(images):
    box = denoising.images_widget(images)
    time, picture = box.children[0].children[0].children[0], box.children[1]
    shots = set()
    for t in (50, 25, 10, 0):
        time.value = t
        shots.add(picture.value)
    assert len(shots) == 4
