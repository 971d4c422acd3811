"""What a denoiser predicts, how its network is scaled, and what the network is told of the time: all written out."""

import math

import pytest
import torch

from tutorial_lib.denoisers import MLP, PREDICTIONS, ExactDenoiser, MLPDenoiser, UNetDenoiser, convert, initial_weights
from tutorial_lib.denoisers.mlp import time_features, zero_at_start
from tutorial_lib.denoisers.prediction import preconditioning
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import images, seeded, stirred

SCHEDULE = NoiseSchedule.cosine(20)


@pytest.mark.parametrize("source", PREDICTIONS)
@pytest.mark.parametrize("target", PREDICTIONS)
@pytest.mark.parametrize("level", [0.05, 0.6, 0.98])
def test_every_prediction_is_told_from_every_other(source, target, level):
    """x_t = √ᾱ x_0 + √(1−ᾱ) ε, v = √ᾱ ε − √(1−ᾱ) x_0 and the score −ε/√(1−ᾱ), each by its definition."""
    x_0, epsilon = torch.randn(2, 7, 3, generator=seeded(0), dtype=torch.float64)
    a, s = math.sqrt(level), math.sqrt(1 - level)
    kinds = {"x_0": x_0, "epsilon": epsilon, "v": a * epsilon - s * x_0, "score": -epsilon / s}
    torch.testing.assert_close(convert(kinds[source], a * x_0 + s * epsilon, level, source, target), kinds[target])


def test_a_level_for_each_row():
    x_t, prediction = torch.randn(2, 3, 4, generator=seeded(0))
    level = torch.tensor([[0.1], [0.5], [0.9]])
    rows = [convert(prediction[i], x_t[i], level[i], "v", "x_0") for i in range(3)]
    torch.testing.assert_close(convert(prediction, x_t, level, "v", "x_0"), torch.stack(rows))


@pytest.mark.parametrize(("d", "w"), [(1.5, 0.3), (0.8, 0.0)])
def test_the_preconditioning_is_as_written(d, w):
    for t in (1, 7, 20):
        level = float(SCHEDULE.alpha_bar[t].double())
        s2 = float(SCHEDULE.noise[t].double())
        found = [float(c) for c in preconditioning(SCHEDULE, t, d, w, torch.zeros(1, 2, dtype=torch.float64))]
        total, fine = level * d**2 + s2, level * w**2 + s2
        expected = [math.sqrt(level) * d**2 / total, s2 * d / math.sqrt(total * fine), 1 / math.sqrt(total)]
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("t", [1, 7, 20])
def test_without_a_network_it_is_right_for_a_gaussian(t):
    """c_skip x_t = E[x_0|x_t] for x_0 ~ N(0, d²), and c_in x_t has spread one."""
    denoiser = MLPDenoiser(SCHEDULE, width=8, data_std=0.7)
    zero_at_start(denoiser.network)
    gaussian = GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.7]))
    x_t = gaussian.noised(SCHEDULE.alpha_bar[t]).sample(50_000, generator=seeded(0))
    torch.testing.assert_close(denoiser(x_t, t), ExactDenoiser(gaussian, SCHEDULE)(x_t, t), atol=1e-4, rtol=1e-4)
    _, _, scale = preconditioning(SCHEDULE, t, 0.7, 0.3, x_t)
    assert (scale * x_t).std().item() == pytest.approx(1, abs=0.015)


def test_a_learned_denoiser_is_its_network_between_the_coefficients():
    t = torch.tensor([1, 7, 20])
    points, pictures = MLPDenoiser(SCHEDULE, width=16), UNetDenoiser(SCHEDULE, channels=(8, 8, 8))
    x = torch.randn(3, 2, generator=seeded(1))
    skip, out, scale = preconditioning(SCHEDULE, t, 1.5, 0.3, x)
    torch.testing.assert_close(points(x, t), skip * x + out * points.network(scale * x, t))
    y = images(3)
    skip, out, _ = preconditioning(SCHEDULE, t, 0.8, 0.0, y)
    assert skip.shape == (3, 1, 1, 1)
    torch.testing.assert_close(pictures(y, t), skip * y + out * pictures.raw(y, t))


def test_the_time_is_told_by_sines_and_cosines_an_octave_and_a_half_apart():
    found = time_features(torch.tensor([0, 5, 20]), 20, 6, torch.zeros(1))
    for row, time in zip(found.tolist(), (0.0, 0.25, 1.0), strict=True):
        angles = [2 * math.pi * time * 1.5**k / 4 for k in range(3)]
        assert row == pytest.approx([*map(math.sin, angles), *map(math.cos, angles)], abs=1e-6)
    torch.testing.assert_close(time_features(5, 20, 6, torch.zeros(1)), found[1:2])


def test_a_network_tells_every_time_from_every_other_row_by_row():
    with initial_weights(0):
        network = stirred(MLP(2, 3, 20, width=16))
    x, t = torch.randn(1, 2, generator=seeded(1)).expand(20, 2), torch.arange(1, 21)
    together = network(x, t)
    torch.testing.assert_close(together, torch.cat([network(x[:1], int(s)) for s in t]), rtol=1e-4, atol=1e-5)
    assert together.shape == (20, 3) and torch.pdist(together).min() > 1e-4


def test_networks_made_inside_draw_from_the_source_and_leave_the_global_noise_alone():
    def weight(source):
        with initial_weights(source):
            return MLP(2, 2, 5, width=8).second.weight.detach()

    state = torch.get_rng_state()
    assert torch.equal(weight(3), weight(3)) and not torch.equal(weight(3), weight(4))
    assert torch.equal(weight(seeded(3)), weight(seeded(3))) and not torch.equal(weight(seeded(3)), weight(seeded(4)))
    generator = seeded(3)
    assert not torch.equal(weight(generator), weight(generator)), "the generator moves on"
    weight(None)
    assert torch.equal(state, torch.get_rng_state())
