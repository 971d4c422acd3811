"""The denoising loss against its own definition, the loop's promises, and the network for images."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from tutorial_lib.denoisers import (
    Denoiser,
    ExactDenoiser,
    MLPDenoiser,
    UNetDenoiser,
    denoising_loss,
    initial_weights,
    pretrain,
)
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import seeded

SCHEDULE = NoiseSchedule.cosine(20)
PAIR = GaussianMixture(torch.full((2,), 0.5), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), stds=torch.tensor([0.3, 0.3]))


def mlp(**options):
    with initial_weights(0):
        return MLPDenoiser(SCHEDULE, width=32, **options)


class Steep(Denoiser):
    """x̂_0 = w + 10⁶, with whatever x_t: its gradient is always clipped, so that Adam goes by its rate alone. It keeps
    what it was asked about."""

    def __init__(self):
        super().__init__()
        self.schedule, self.shape, self.w = SCHEDULE, (1,), nn.Parameter(torch.zeros(1))
        self.t, self.x_t, self.label = [], [], []

    def forward(self, x_t, t, label=None):
        self.t.append(t)
        self.x_t.append(x_t)
        self.label.append(label)
        return self.w.expand_as(x_t) + 1e6


def steep(steps, batch=8, data=None, **options):
    """(the denoiser, its weight after each step, before they are averaged)."""
    denoiser = Steep()
    data = torch.zeros(10, 1) if data is None else data
    training = pretrain(denoiser, data, steps=steps, batch=batch, learning_rate=0.1, generator=seeded(0), **options)
    return denoiser, [denoiser.w.item() for _ in training]


@pytest.mark.parametrize("t", [1, 7, 20])
def test_the_loss_is_the_squared_error_of_v(t):
    denoiser, x_0 = mlp(), PAIR.sample(64, generator=seeded(1))
    weight = torch.rand(64, generator=seeded(2))
    loss = denoising_loss(denoiser, x_0, t, generator=seeded(3), weight=weight)

    epsilon = torch.randn(64, 2, generator=seeded(3)).double()
    a, s = SCHEDULE.alpha_bar[t].double().sqrt(), (1 - SCHEDULE.alpha_bar[t].double()).sqrt()
    x_t = a * x_0.double() + s * epsilon
    predicted = denoiser(x_t.float(), t).double()
    v, v_hat = a * epsilon - s * x_0, (a * x_t - predicted) / s
    expected = (weight * (v_hat - v).square().mean(1)).mean()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-3, atol=1e-6)


def test_no_denoiser_has_a_smaller_loss_than_the_exact_one():
    exact, trained = ExactDenoiser(PAIR, SCHEDULE), mlp()
    *_, last = pretrain(trained, PAIR.sample, steps=300, batch=256, learning_rate=1e-2, generator=seeded(0))
    x_0 = PAIR.sample(20_000, generator=seeded(1))
    t = torch.randint(1, 21, (20_000,), generator=seeded(2))
    best, learned, untrained = (
        denoising_loss(denoiser, x_0, t, generator=seeded(3)).item() for denoiser in (exact, trained, mlp())
    )
    assert best < learned < best + 0.1 * (untrained - best)
    assert last.iteration == 300 and last.seconds > 0


def test_every_t_pulls_with_a_force_of_order_one():
    denoiser, x_0 = mlp(data_std=1.0), PAIR.sample(4000, generator=seeded(1))
    losses = [denoising_loss(denoiser, x_0, t, generator=seeded(t)).item() for t in range(1, 21)]
    assert 0.1 < min(losses) and max(losses) < 10


def test_training_is_the_same_from_the_same_seeds():
    runs = []
    for _ in range(2):
        denoiser = mlp()
        losses = [
            step.loss
            for step in pretrain(denoiser, PAIR.sample, steps=5, batch=16, learning_rate=1e-2, generator=seeded(0))
        ]
        runs.append((losses, denoiser.network.last.weight.detach()))
    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])


def test_leaving_early_leaves_the_averaged_weights():
    denoiser = mlp()
    training = pretrain(denoiser, PAIR.sample, steps=10, batch=16, learning_rate=0.1, generator=seeded(0))
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
        list(pretrain(denoiser, data, steps=10, batch=16, learning_rate=1e-2, generator=seeded(0)))
    assert len(calls) == 4
    assert all(torch.isfinite(weight).all() for weight in denoiser.parameters())


def test_the_learning_rate_falls_as_a_cosine_and_gradients_are_clipped():
    _, weights = steep(6)
    moves = [before - after for before, after in zip([0.0, *weights], weights, strict=False)]
    assert moves == pytest.approx([0.1 * (1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)], rel=1e-4)


@pytest.mark.parametrize("average", [0.999, 0.3])
def test_the_weights_that_stay_are_a_moving_average_that_forgets_its_start(average):
    denoiser, weights = steep(5, average=average)
    kept = 0.0
    for k, w in enumerate(weights, 1):
        memory = min(average, k / (k + 9))
        kept = memory * kept + (1 - memory) * w
    assert denoiser.w.item() == pytest.approx(kept, rel=1e-4) and kept != pytest.approx(weights[-1], rel=0.01)


def test_every_time_comes_as_often_as_every_other():
    denoiser, _ = steep(1, batch=20_000)
    share = denoiser.t[0].bincount(minlength=21) / 20_000
    assert share[0] == 0 and ((share[1:] - 0.05).abs() < 4.5 * (0.05 * 0.95 / 20_000) ** 0.5).all()


@pytest.mark.parametrize("dropout", [0.0, 0.2, 1.0])
def test_a_share_of_the_labels_is_dropped_and_the_others_stay_with_their_images(dropout):
    """Image k is 10⁴ k, which at t ≤ 5 no noise hides."""
    labels = torch.arange(7)
    denoiser, _ = steep(1, batch=20_000, data=1e4 * labels[:, None].float(), labels=labels, label_dropout=dropout)
    (label,), (t,), (x_t,) = denoiser.label, denoiser.t, denoiser.x_t
    assert ((label == -1).float().mean() - dropout).abs() <= 4 * (dropout * (1 - dropout) / 20_000) ** 0.5
    known, level = (label >= 0) & (t <= 5), SCHEDULE.alpha_bar[t]
    torch.testing.assert_close(x_t[known, 0] / level[known].sqrt() / 1e4, label[known].float(), atol=1e-2, rtol=0)
    assert known.any() == (dropout < 1)


def test_a_network_learns_its_labels():
    """Two flat images, one for each label: with the label it draws that one, without it their mean."""
    with initial_weights(0):
        denoiser = UNetDenoiser(SCHEDULE, classes=2, channels=(16, 16, 16))
    labels = torch.arange(2).repeat(32)
    images = (2.0 * labels - 1).reshape(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    training = pretrain(
        denoiser,
        images,
        steps=200,
        batch=32,
        learning_rate=1e-2,
        generator=seeded(0),
        labels=labels,
        label_dropout=0.5,
    )
    list(training)
    noise = torch.randn(64, 1, 8, 8, generator=seeded(1))
    with torch.no_grad():
        drawn = [denoiser(noise, 20, torch.full((64,), label)).mean().item() for label in (0, 1, -1)]
    assert drawn[0] < -0.6 and drawn[1] > 0.6 and abs(drawn[2]) < 0.4


@pytest.mark.parametrize("size", [(8, 8), (12, 4), (28, 28)])
def test_the_image_network_keeps_the_shape_and_takes_t_and_labels_either_way(size):
    with initial_weights(0):
        denoiser = UNetDenoiser(SCHEDULE, size)
    x = torch.randn(3, 1, *size, generator=seeded(0))
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
    return denoising_loss(mlp(), x_0, t, generator=seeded(0), **options)


def first_step(data=None, **options):
    given: dict[str, Any] = dict(steps=1, batch=4, learning_rate=1e-3, generator=seeded(0)) | options
    return next(pretrain(mlp(), torch.zeros(10, 2) if data is None else data, **given))
