"""The chains of the notebook on diffusion models, by hand, and the artists of their picture, at every setting.

The mixture here is lopsided, so that a transposed map or a swapped axis cannot pass for the right one.
"""

import inspect
import random
import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from scipy.stats import wasserstein_distance

from tutorial_lib import plots, quiz
from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.metrics import sliced_wasserstein
from tutorial_lib.notebooks.s01_1_diffusion_models import bugs, study, view
from tutorial_lib.notebooks.s01_1_diffusion_models.study import CELLS, ETAS, EXTENT, PATHS, SHOWN, STEPS
from tutorial_lib.policies import DenoisingPolicy, ddim
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import law, ring_mixture, seeded

N = 500
WEIGHTS = torch.tensor([0.2, 0.5, 0.3])
MEANS = torch.tensor([[-1.5, 0.5], [0.5, 1.5], [1.0, -2.0]])
COVARIANCES = torch.tensor([[[0.1, 0.05], [0.05, 0.2]], [[0.3, 0.0], [0.0, 0.05]], [[0.04, 0.0], [0.0, 0.09]]])
MIXTURE = GaussianMixture(WEIGHTS, MEANS, COVARIANCES)
SETTINGS = [(14, 50, 1.0), (3, 10, 0.0), (0, 5, 0.25), (100, 100, 0.75), (50, 100, 0.0), (7, 20, 0.5)]


@pytest.fixture(scope="module")
def chains():
    return study.make_chains(MIXTURE, n=N)


def noised(level):
    """The law of x_t by torch.distributions, in float64."""
    level = float(level)
    return law(WEIGHTS, level**0.5 * MEANS, level * COVARIANCES + (1 - level) * torch.eye(2))


def density(level):
    """p_t as a picture shows it, row y and column x: [m, m]."""
    axis = torch.linspace(-EXTENT, EXTENT, CELLS).double()
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return noised(level).log_prob(torch.stack([x, y], -1)).exp().numpy()


def level_of(t, T):
    """ᾱ_t of the cosine schedule (Nichol & Dhariwal 2021)."""
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    return float(np.prod(np.maximum(f[1 : t + 1] / f[:t], 0.001)))


def guess(x_t, level):
    """E[x_0|x_t] by Bayes' rule and linear regression on each component: [B, 2], float64."""
    means, covariances = MEANS.double(), COVARIANCES.double()
    noisy = level * covariances + (1 - level) * torch.eye(2)
    each = torch.distributions.MultivariateNormal(level**0.5 * means, noisy)
    weights = (each.log_prob(x_t[:, None]) + WEIGHTS.double().log()).softmax(1)
    gain = level**0.5 * covariances @ torch.linalg.inv(noisy)
    to = means + torch.einsum("kij,bkj->bki", gain, x_t[:, None] - level**0.5 * means)
    return (weights.unsqueeze(-1) * to).sum(1)


def distance(x, y):
    """The study's sliced Wasserstein distance, one direction after another by scipy."""
    directions = torch.randn(2, 16, generator=seeded(0))
    directions = directions / directions.norm(dim=0)
    return float(np.mean([wasserstein_distance(x @ d, y @ d) for d in directions.T]))


@pytest.mark.parametrize("T", STEPS)
def test_every_step_of_every_chain_is_song_s_formula_on_one_noise(chains, T):
    g = seeded(0)
    start, fine = torch.randn(N, 2, generator=g), torch.randn(100, N, 2, generator=g)
    z = fine.reshape(T, 100 // T, N, 2).sum(1).double() / (100 // T) ** 0.5
    for eta, x in zip(ETAS, chains.x[T], strict=True):
        assert torch.equal(x[T], start)
        for t in range(T, 0, -1):
            now, before = level_of(t, T), level_of(t - 1, T)
            x_t = x[t].double()
            x_0 = guess(x_t, now)
            epsilon = (x_t - now**0.5 * x_0) / (1 - now) ** 0.5
            variance = eta**2 * (1 - before) / (1 - now) * (1 - now / before)  # η²β̃_t
            mean = before**0.5 * x_0 + max(1 - before - variance, 0) ** 0.5 * epsilon
            torch.testing.assert_close(x[t - 1].double(), mean + variance**0.5 * z[T - t], atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("T", STEPS)
def test_every_position_of_the_sliders_shows_what_belongs_to_it(chains, T):
    """The cloud, the paths and both numbers of a setting against the chains, at every t and with every η."""
    for t in range(T + 1):
        e = t % len(ETAS)
        found, x, level = study.answer(chains, t=t, T=T, eta=ETAS[e]), chains.x[T][e], level_of(t, T)
        assert (found.t, found.T, found.eta) == (t, T, ETAS[e])
        assert torch.equal(found.x, x[t, :SHOWN])
        assert torch.equal(found.paths, torch.stack([x[s, :PATHS] for s in range(T, t - 1, -1)]))
        assert found.alpha_bar == pytest.approx(level, abs=1e-6)
        exact = level**0.5 * chains.even + (1 - level) ** 0.5 * chains.epsilon
        assert found.distance == pytest.approx(distance(x[t], exact), rel=1e-3, abs=1e-5)
        nearest = min(range(21), key=lambda k: (abs(k / 20 - t / T), k % 2))
        assert found.floor == chains.floor[nearest]
        np.testing.assert_allclose(found.density.T, density(level), rtol=1e-3, atol=1e-5)


def test_the_floor_is_what_exact_samples_score_at_each_time(chains):
    """Fresh draws, forty at each time: their mean is known to a twelfth, the four draws of the floor to a quarter."""
    assert len(set(chains.floor)) == len(chains.floor) == 21
    for k in (0, 5, 10, 20):
        level, g = level_of(5 * k, 100), seeded(k + 1)
        exact = level**0.5 * chains.even + (1 - level) ** 0.5 * chains.epsilon
        fresh = [distance(MIXTURE.noised(level).sample(N, generator=g), exact) for _ in range(40)]
        assert chains.floor[k] == pytest.approx(np.mean(fresh), rel=0.5)
        assert abs(chains.floor[k] - np.mean(fresh)) < 4 * np.std(fresh) / 4**0.5


def test_random_settings_of_the_ring_have_pictures_and_words():
    ring = study.make_chains(ring_mixture(), n=N)
    dice, drawn = random.Random(0), view.ChainView(ring)
    for i in range(100):
        T, eta = dice.choice(STEPS), dice.choice(ETAS)
        found = study.answer(ring, t=dice.randint(0, T), T=T, eta=eta)
        for values in (found.x, found.paths, found.density, torch.tensor([found.distance, found.floor])):
            assert torch.isfinite(values).all()
        drawn.draw(found)
        assert "nan" not in view.in_words(found)
        if i % 20 == 0:
            assert drawn.picture.frame().startswith(b"\xff\xd8")


def test_a_seed_makes_the_same_chains_and_another_makes_others(chains):
    again, other = study.make_chains(MIXTURE, n=N), study.make_chains(MIXTURE, n=N, seed=1)
    assert all(torch.equal(chains.x[T], again.x[T]) for T in STEPS) and chains.floor == again.floor
    assert not torch.allclose(chains.x[5], other.x[5])


def test_the_ode_is_one_map_ever_finer_so_that_points_glide(chains):
    ends = [chains.x[T][0, 0] for T in (50, 100)]
    assert (ends[0] - ends[1]).norm(dim=1).median() < 0.1


def test_the_increments_of_a_short_chain_are_those_of_the_long_one():
    fine = torch.randn(100, 4000, 2, generator=seeded(0))
    assert torch.equal(study.increments(fine, 100), fine)
    coarse = study.increments(fine, 5)
    assert coarse.shape == (5, 4000, 2)
    torch.testing.assert_close(coarse.sum(0) / 5**0.5, fine.sum(0) / 10, rtol=1e-4, atol=1e-4)
    assert abs(coarse.std().item() - 1) < 0.02
    with pytest.raises(ValueError, match="T must divide 100, got 7"):
        study.increments(fine, 7)


@pytest.mark.parametrize("eta", ETAS)
def test_the_chains_have_the_law_of_the_librarys_sampler(eta):
    """Another noise, the same law: no further apart than two runs of `ddim`."""
    schedule = NoiseSchedule.cosine(10)
    denoiser = ExactDenoiser(MIXTURE, schedule)
    policy, g, n = DenoisingPolicy(denoiser, schedule), seeded(1), 8000
    runs = [ddim(policy, n, eta=eta, generator=g).x_0 for _ in range(2)]
    start, noise = torch.randn(n, 2, generator=g), torch.randn(10, n, 2, generator=g)
    own = study.chain(denoiser, start, noise, torch.full((n, 1), eta))[0]
    floor = sliced_wasserstein(*runs, generator=seeded(0))
    assert sliced_wasserstein(own, runs[0], generator=seeded(0)) < floor + 0.03


def test_at_eta_one_a_step_has_the_pretrained_policys_mean():
    """Song et al.'s formula against the posterior coefficients, with the same noise."""
    schedule = NoiseSchedule.cosine(20)
    denoiser = ExactDenoiser(MIXTURE, schedule)
    policy, g = DenoisingPolicy(denoiser, schedule), seeded(2)
    start, noise = torch.randn(300, 2, generator=g), torch.randn(20, 300, 2, generator=g)
    x = study.chain(denoiser, start, noise, torch.ones(300, 1))
    for t in range(20, 0, -1):
        expected = policy.mean(x[t], t) + schedule.posterior_std[t] * noise[20 - t]
        torch.testing.assert_close(x[t - 1], expected, rtol=1e-3, atol=1e-4)


def test_stratified_samples_have_exact_shares_and_the_right_law():
    x = study.stratified(MIXTURE, 10_000, generator=seeded(0))
    parts = x.split([2000, 5000, 3000])
    for part, mean, covariance in zip(parts, MEANS, COVARIANCES, strict=True):
        error = covariance.diagonal().sqrt() / len(part) ** 0.5
        assert ((part.mean(0) - mean).abs() < 4 * error).all()
        torch.testing.assert_close(part.T.cov(), covariance, atol=0.02, rtol=0.1)


def test_a_posterior_is_that_of_bayes_rule_on_the_grid():
    level, x_t = 0.6, torch.tensor([[0.4, -0.3]])
    found = study.posterior(MIXTURE, x_t, torch.tensor(level))
    axis = torch.linspace(-6, 6, 601).double()
    x_0 = torch.cartesian_prod(axis, axis)
    prior = law(WEIGHTS, MEANS, COVARIANCES)

    def joint(at):
        return prior.log_prob(at) - (x_t - level**0.5 * at).square().sum(1) / (2 * (1 - level))

    log_z = joint(x_0).logsumexp(0) + 2 * np.log(0.02)
    shown = torch.linspace(-EXTENT, EXTENT, CELLS).double()
    expected = (joint(torch.cartesian_prod(shown, shown)) - log_z).exp().reshape(CELLS, CELLS)
    torch.testing.assert_close(found.density.double(), expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.mean.double(), joint(x_0).softmax(0) @ x_0, atol=1e-4, rtol=1e-4)
    assert torch.equal(found.x_t, x_t[0])


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
    for ask in (study.answer, view.still):
        with pytest.raises(ValueError, match=message):
            ask(chains, t=t, T=T, eta=eta)


def test_a_still_of_an_unknown_setting_is_refused(chains):
    with pytest.raises(TypeError, match="strength"):
        view.still(chains, strength=1.0)


def panels(drawn) -> Any:
    return drawn.picture.figure.axes


def test_every_artist_shows_its_setting_and_not_the_one_before(chains):
    drawn = view.ChainView(chains)
    left, right = panels(drawn)
    for t, T, eta in [*SETTINGS, SETTINGS[0]]:
        drawn.draw(study.answer(chains, t=t, T=T, eta=eta))
        x, exact = chains.x[T][ETAS.index(eta)], density(level_of(t, T))
        shown, behind = left.images[0], right.images[0]
        np.testing.assert_allclose(np.asarray(shown.get_array()), exact, rtol=1e-3, atol=1e-5)
        assert shown.get_clim() == pytest.approx((0, 2 * exact.max()), rel=1e-3)
        np.testing.assert_allclose(np.asarray(behind.get_array()), density(1.0), rtol=1e-3, atol=1e-5)
        (cloud,), (lines, starts, ends) = left.collections, right.collections
        np.testing.assert_array_equal(cloud.get_offsets(), x[t, :SHOWN])
        for k, line in enumerate(lines.get_segments() if t < T else []):  # a path of one point has no segment to read
            np.testing.assert_array_equal(line, [x[s, k].tolist() for s in range(T, t - 1, -1)])
        assert len(lines.get_paths()) == PATHS
        np.testing.assert_array_equal(starts.get_offsets(), x[T, :PATHS])
        np.testing.assert_array_equal(ends.get_offsets(), x[t, :PATHS])
        numbers = [re.findall(r"[\d.]+", title.get_text()) for title in drawn.titles]
        assert numbers == [[str(t), str(T)], [f"{eta:g}"]]


def test_every_artist_has_the_colour_of_its_role_and_moves_in_the_picture(chains):
    drawn = view.ChainView(chains)
    left, right = panels(drawn)
    drawn.draw(study.answer(chains, t=3, T=10, eta=0.5))
    (cloud,), (lines, starts, ends) = left.collections, right.collections
    for points, color in ((cloud, plots.TUNED), (starts, plots.PRETRAINED)):
        assert tuple(points.get_facecolor()[0][:3]) == pytest.approx(to_rgb(color))
    of_paths = [to_rgb(color) for color in (plots.TUNED, *plots.OTHERS)]
    assert len(of_paths) == PATHS
    for colors in (lines.get_color(), ends.get_facecolor()):
        np.testing.assert_allclose([tuple(color[:3]) for color in colors], of_paths)
    for image in (left.images[0], right.images[0]):
        assert image.cmap.name == plots.PRETRAINED and image.get_extent() == [-EXTENT, EXTENT] * 2
    assert left.get_xlim() == right.get_xlim() == left.get_ylim() == (-EXTENT, EXTENT)
    assert set(drawn.picture.moving) == {left.images[0], cloud, lines, starts, ends, *drawn.titles}


def test_the_longest_titles_fit(chains):
    with plt.style.context(plots.STYLE):
        drawn = view.ChainView(chains)
    drawn.draw(study.answer(chains, t=100, T=100, eta=0.75))
    left, right = (title.get_window_extent(drawn.picture.canvas.get_renderer()) for title in drawn.titles)
    assert left.x1 < right.x0 and right.x1 < drawn.picture.figure.bbox.x1


def test_the_words_tell_the_setting_and_its_numbers(chains):
    for t, T, eta in SETTINGS:
        found = study.answer(chains, t=t, T=T, eta=eta)
        text = view.in_words(found)
        level = level_of(t, T)
        exact = level**0.5 * chains.even + (1 - level) ** 0.5 * chains.epsilon
        away = distance(chains.x[T][ETAS.index(eta), t], exact)
        assert f"t = {t} of T = {T}<" in text and f"= {level:.3f}." in text and f"η = {eta:g}," in text
        assert float(re.search(r"<b>([\d.]+)</b>;", text)[1]) == pytest.approx(away, abs=0.0051)  # type: ignore[index]
        assert f"are {found.floor:.2f} away" in text
        assert ("the SDE" in text, "the ODE" in text) == (eta > 0, eta < 1)


def frame(chains, **setting):
    """The picture of one setting, drawn by a view that has shown no other."""
    drawn = view.ChainView(chains)
    drawn.draw(study.answer(chains, **setting))
    return drawn.picture


def test_the_widget_shows_what_its_sliders_say_and_t_keeps_its_share_of_T(chains):
    box = view.play(chains)
    (left, right), picture, text = box.children[0].children, box.children[1], box.children[2]
    (time, steps), (noise,) = left.children, right.children
    assert (time.value, time.max, steps.value, noise.value) == (14, 50, 50, 1.0)
    moves = ((steps, 100, 28), (time, 0, 0), (noise, 0.0, 0), (time, 100, 100), (steps, 5, 5), (time, 2, 2))
    for control, value, t in ((noise, 1.0, 14), *moves):
        control.value = value
        assert time.value == t and time.max == steps.value
        setting = dict(t=t, T=steps.value, eta=noise.value)
        assert picture.value == frame(chains, **setting).frame()
        assert text.value == view.in_words(study.answer(chains, **setting))


def test_a_still_is_the_picture_of_its_setting(chains):
    first = frame(chains, **view.FIRST).still().data
    assert view.still(chains).data == first
    assert view.still(chains, t=3, T=10, eta=0.0).data == frame(chains, t=3, T=10, eta=0.0).still().data != first
    assert view.still(chains, eta=0.0).data == frame(chains, t=14, T=50, eta=0.0).still().data != first
    assert not plt.get_fignums(), "the notebook would show the figure a second time"


def test_the_notebook_s_chains_are_the_ring_s():
    shown, expected = study.chains(), ring_mixture()
    assert torch.equal(shown.mixture.means, expected.means) and torch.equal(shown.mixture.weights, expected.weights)
    assert shown.x[50].shape == (len(ETAS), 51, 2000, 2) and study.chains() is shown


def test_the_slips_of_an_ode_step_are_those_of_its_formula():
    """Each by hand, from ᾱ and Bayes' rule; none of them ends where the ODE ends."""
    schedule = NoiseSchedule.cosine(10)
    policy, start = (
        DenoisingPolicy(ExactDenoiser(MIXTURE, schedule), schedule),
        torch.randn(200, 2, generator=seeded(3)),
    )

    def end(step):
        x = start.double()
        for t in range(10, 0, -1):
            now, before = level_of(t, 10), level_of(t - 1, 10)
            x_0 = guess(x, now)
            x = step(x, x_0, (x - now**0.5 * x_0) / (1 - now) ** 0.5, now, before)
        return x

    def without_noise(x, x_0, _, now, before):
        beta = 1 - now / before
        return (before**0.5 * beta * x_0 + (1 - beta) ** 0.5 * (1 - before) * x) / (1 - now)

    expected = {
        "the SDE's step without its noise": end(without_noise),
        "the step with 1 − ᾱ where its root belongs": end(lambda x, x_0, e, now, s: s**0.5 * x_0 + (1 - s) * e),
        "the step without ε̂": end(lambda x, x_0, e, now, s: s**0.5 * x_0),
        "the step with ᾱ where its root belongs": end(lambda x, x_0, e, now, s: s * x_0 + (1 - s) ** 0.5 * e),
    }
    found = study.slips_of_an_ode_step(policy, start)
    right = end(lambda x, x_0, e, now, s: s**0.5 * x_0 + (1 - s) ** 0.5 * e)
    assert found.keys() == expected.keys()
    for name, x in found.items():
        torch.testing.assert_close(x.double(), expected[name], atol=5e-3, rtol=1e-3)
        assert (x - right).abs().max() > 0.05 * right.abs().max()


def test_the_planted_bug_is_one_line_and_makes_the_clusters_too_narrow():
    """With the line mended the sampler is DDIM's with η = 1, on the same noise."""
    schedule = NoiseSchedule.cosine(50)
    mixture = ring_mixture()
    policy = DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule)
    spread = {}
    source = inspect.getsource(bugs.sampler)
    mended = source.replace("variance * torch", "variance.sqrt() * torch")
    assert mended != source and quiz.bug(bugs.sampler).lines[quiz.bug(bugs.sampler).line - 1].strip().startswith(
        "x = mean"
    )
    names = dict(vars(bugs))
    exec(mended, names)
    for name, sampler in (("planted", bugs.sampler), ("mended", names["sampler"])):
        x_0 = sampler(policy.denoiser, schedule.alpha_bar, 4000, seeded(0))
        spread[name] = float((torch.cdist(x_0, mixture.means).min(1).values.square().mean() / 2).sqrt())
        if name == "mended":
            torch.testing.assert_close(x_0, ddim(policy, 4000, eta=1.0, generator=seeded(0)).x_0, atol=0.02, rtol=0.01)
    assert spread["planted"] < 0.75 * spread["mended"] and spread["mended"] == pytest.approx(0.29, abs=0.02)
