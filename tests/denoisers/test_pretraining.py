"""The denoising loss against its own definition, the loop's promises, and the network for images."""

import math

import pytest
import torch

from tutorial_lib.denoisers import ExactDenoiser, MLPDenoiser, UNetDenoiser, denoising_loss, pretrain
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.schedules import NoiseSchedule

SCHEDULE = NoiseSchedule.cosine(20)
PAIR = GaussianMixture(torch.full((2,), 0.5), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), stds=torch.tensor([0.3, 0.3]))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(seed=0, **options):
    torch.manual_seed(seed)
    return MLPDenoiser(SCHEDULE, width=32, **options)


@pytest.mark.parametrize("t", [1, 7, 20])
def test_the_loss_is_the_squared_error_of_v(t):
    denoiser, x_0 = mlp(), PAIR.sample(64, generator=generator(1))
    weight = torch.rand(64, generator=generator(2))
    loss = denoising_loss(denoiser, x_0, t, generator=generator(3), weight=weight)

    epsilon = torch.randn(64, 2, generator=generator(3)).double()
    a, s = SCHEDULE.alpha_bar[t].double().sqrt(), (1 - SCHEDULE.alpha_bar[t].double()).sqrt()
    x_t = a * x_0.double() + s * epsilon
    predicted = denoiser(x_t.float(), t).double()
    v, v_hat = a * epsilon - s * x_0, (a * x_t - predicted) / s
    expected = (weight * (v_hat - v).square().mean(1)).mean()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-3, atol=1e-6)


def test_no_denoiser_has_a_smaller_loss_than_the_exact_one():
    exact, trained = ExactDenoiser(PAIR, SCHEDULE), mlp()
    *_, last = pretrain(trained, PAIR.sample, steps=300, batch=256, learning_rate=1e-2, generator=generator())
    x_0 = PAIR.sample(20_000, generator=generator(1))
    t = torch.randint(1, 21, (20_000,), generator=generator(2))
    best, learned, untrained = (
        denoising_loss(denoiser, x_0, t, generator=generator(3)).item() for denoiser in (exact, trained, mlp())
    )
    assert best < learned < best + 0.1 * (untrained - best)
    assert last.iteration == 300 and last.seconds > 0


def test_every_t_pulls_with_a_force_of_order_one():
    denoiser, x_0 = mlp(data_std=1.0), PAIR.sample(4000, generator=generator(1))
    losses = [denoising_loss(denoiser, x_0, t, generator=generator(t)).item() for t in range(1, 21)]
    assert 0.1 < min(losses) and max(losses) < 10


def test_training_is_the_same_from_the_same_seeds():
    runs = []
    for _ in range(2):
        denoiser = mlp()
        losses = [
            step.loss
            for step in pretrain(denoiser, PAIR.sample, steps=5, batch=16, learning_rate=1e-2, generator=generator())
        ]
        runs.append((losses, denoiser.network.last.weight.detach()))
    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])


def test_leaving_early_leaves_the_averaged_weights():
    denoiser = mlp()
    training = pretrain(denoiser, PAIR.sample, steps=10, batch=16, learning_rate=0.1, generator=generator())
    start = denoiser.network.last.weight.detach().clone()
    next(training)
    stepped = denoiser.network.last.weight.detach().clone()
    training.close()
    # After one step the average is a tenth of the start and nine tenths of the step.
    torch.testing.assert_close(denoiser.network.last.weight.detach(), 0.1 * start + 0.9 * stepped)


def test_a_loss_that_is_not_finite_ends_the_run_with_good_weights():
    denoiser = mlp()
    calls = []

    def data(n, generator):
        calls.append(n)
        x_0 = PAIR.sample(n, generator=generator)
        return x_0 if len(calls) < 4 else x_0 * math.nan

    with pytest.raises(FloatingPointError, match="expected a finite loss at step 4, got nan"):
        list(pretrain(denoiser, data, steps=10, batch=16, learning_rate=1e-2, generator=generator()))
    assert len(calls) == 4
    assert all(torch.isfinite(weight).all() for weight in denoiser.parameters())


def test_a_network_learns_its_labels():
    """Two flat images, one for each label: with the label it draws that one, without it their mean."""
    torch.manual_seed(0)
    denoiser = UNetDenoiser(SCHEDULE, classes=2, channels=(16, 16, 16))
    labels = torch.arange(2).repeat(32)
    images = (2.0 * labels - 1).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    training = pretrain(
        denoiser,
        images,
        steps=200,
        batch=32,
        learning_rate=1e-2,
        generator=generator(),
        labels=labels,
        label_dropout=0.5,
    )
    list(training)
    noise = torch.randn(64, 1, 8, 8, generator=generator(1))
    with torch.no_grad():
        drawn = [denoiser(noise, 20, torch.full((64,), label)).mean().item() for label in (0, 1, -1)]
    assert drawn[0] < -0.6 and drawn[1] > 0.6 and abs(drawn[2]) < 0.4


@pytest.mark.parametrize("size", [(8, 8), (12, 4), (28, 28)])
def test_the_image_network_keeps_the_shape_and_takes_t_and_labels_either_way(size):
    torch.manual_seed(0)
    denoiser = UNetDenoiser(SCHEDULE, size)
    x = torch.randn(3, 1, *size, generator=generator())
    one = denoiser(x, 5)
    assert one.shape == x.shape
    torch.testing.assert_close(denoiser(x, torch.full((3,), 5)), one, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(denoiser(x, 5, torch.full((3,), -1)), one, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(denoiser(x, 5, torch.tensor([0, 4, 9])), one, atol=1e-4)
    torch.testing.assert_close(denoiser(x.contiguous(memory_format=torch.channels_last), 5), one, rtol=1e-4, atol=1e-5)


def test_the_image_network_is_small():
    assert 0.25e6 < sum(weight.numel() for weight in UNetDenoiser(SCHEDULE).parameters()) < 0.3e6


IMAGE = torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: UNetDenoiser(SCHEDULE, (6, 8)), r"divisible by 4, got \(6, 8\)"),
        (lambda: UNetDenoiser(SCHEDULE)(IMAGE[..., :4], 1), r"x_t must have shape \[B, 1, 8, 8\], got \[2, 1, 8, 4\]"),
        (lambda: UNetDenoiser(SCHEDULE)(IMAGE, 0), r"t must be a whole number in 1..20, got 0"),
        (lambda: UNetDenoiser(SCHEDULE)(IMAGE, 1, torch.tensor([1])), r"label must be a LongTensor \[2\], got"),
        (
            lambda: UNetDenoiser(SCHEDULE)(IMAGE, 1, torch.ones(2)),
            r"label must be a LongTensor \[2\], got torch.float32",
        ),
        (lambda: UNetDenoiser(SCHEDULE)(IMAGE, 1, torch.tensor([1, 10])), r"in 0..9, or be −1 for none, got \[1, 10\]"),
        (lambda: loss(torch.zeros(5, 3), 1), r"x_0 must have shape \[B, 2\], got \[5, 3\]"),
        (lambda: loss(torch.zeros(5, 2), 21), r"t must be a whole number in 1..20, got 21"),
        (lambda: loss(torch.zeros(5, 2), 1, weight=torch.ones(4)), r"weight must have shape \[5\].*got \[4\]"),
        (lambda: first_step(steps=0), r"steps must be a whole number ≥ 1, got 0"),
        (lambda: first_step(batch=0), r"batch must be a whole number ≥ 1, got 0"),
        (lambda: first_step(learning_rate=-1.0), r"learning_rate must be a finite number > 0, got -1.0"),
        (lambda: first_step(label_dropout=1.5), r"label_dropout must lie in \[0, 1\], got 1.5"),
        (lambda: first_step(labels=torch.zeros(5).long()), r"labels must have shape \[10\].*got \[5\]"),
        (lambda: first_step(data=PAIR.sample, labels=torch.zeros(5).long()), r"labels need data as a tensor"),
        (lambda: first_step(data=torch.zeros(10, 3)), r"x_0 must have shape \[B, 2\], got \[4, 3\]"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def loss(x_0, t, **options):
    return denoising_loss(mlp(), x_0, t, generator=generator(), **options)


def first_step(data=None, **options):
    given = dict(steps=1, batch=4, learning_rate=1e-3, generator=generator()) | options
    return next(pretrain(mlp(), torch.zeros(10, 2) if data is None else data, **given))
