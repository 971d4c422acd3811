"""The rewards of images at points worked out by hand, their gradients, the classifier against unseen digits, and
polynomials against sums over grids."""

import math

import pytest
import torch
from torch import nn

from tutorial_lib import rewards, worlds
from tutorial_lib.denoisers import initial_weights
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.rewards import FewLabels, ImageClassifier, fit_polynomial, log_probability, query
from tutorial_lib.rewards.learned import train
from tutorial_lib.worlds import digit_classifier, digit_images, held_out

from ..oracles import seeded


def pattern(*pixels):
    """An image of −1 with the given (row, column, value)."""
    x = torch.full((1, 1, 8, 8), -1.0)
    for row, column, value in pixels:
        x[0, 0, row, column] = value
    return x


def test_ink_is_the_share_of_full_white_and_linear():
    assert rewards.ink(pattern((0, 0, 1.0), (3, 5, 0.0))).item() == pytest.approx(1.5 / 64)
    x, y = torch.randn(2, 1, 8, 8, generator=seeded(0)).split(1)
    torch.testing.assert_close(rewards.ink(0.3 * x + 0.7 * y), 0.3 * rewards.ink(x) + 0.7 * rewards.ink(y))


def test_symmetry_is_the_squared_difference_from_the_mirror_image():
    assert rewards.symmetry(pattern((2, 1, 1.0))).item() == pytest.approx(-2 * 4 / 64)
    assert rewards.symmetry(pattern((2, 1, 0.5), (2, 6, 0.5))).item() == 0
    x = torch.randn(1, 1, 8, 8, generator=seeded(0)).requires_grad_()
    rewards.symmetry(x).sum().backward()
    torch.testing.assert_close(x.grad, -4 * (x - x.flip(-1)).detach() / 64)


def test_a_plain_image_compresses_better_than_a_drawn_one():
    plain, drawn = pattern(), pattern(*[(i, (3 * i) % 8, 0.1 * i) for i in range(8)])
    assert rewards.compressed_size(plain) > rewards.compressed_size(drawn)
    assert rewards.compressed_size(plain).item() == round(rewards.compressed_size(plain).item()) < 0
    assert torch.equal(rewards.compressed_size(plain), rewards.compressed_size(plain + 0.05)), "black and white"


def test_the_classifier_reads_digits_that_it_has_not_seen():
    images, labels = digit_images()
    unseen = held_out(len(images))
    accuracy = (digit_classifier()(images[unseen]).argmax(1) == labels[unseen]).float().mean().item()
    assert accuracy >= 0.97 and unseen.sum() == 360
    assert set(labels[unseen].tolist()) == set(range(10))


def test_log_probability_is_the_log_of_a_probability():
    x, classifier = digit_images()[0][:50], digit_classifier()
    each = torch.stack([log_probability(classifier, y)(x) for y in range(10)])
    torch.testing.assert_close(each.exp().sum(0), torch.ones(50))
    assert each.max() <= 0
    world = worlds.digits(label=3)
    torch.testing.assert_close(world.rewards["log_probability"](x), each[3])


def test_its_gradient_is_that_of_the_cross_entropy():
    x, classifier = digit_images()[0][:4].clone().requires_grad_(), digit_classifier()
    (slope,) = torch.autograd.grad(log_probability(classifier, 8)(x).sum(), x)
    loss = nn.functional.cross_entropy(classifier(x), torch.full((4,), 8), reduction="sum")
    torch.testing.assert_close(slope, -torch.autograd.grad(loss, x)[0])
    assert not any(p.requires_grad for p in classifier.parameters())


def test_training_separates_bright_from_dark_and_leaves_the_global_noise_alone():
    with initial_weights(0):
        classifier, labels = ImageClassifier(classes=2), torch.arange(64) % 2
    images = (labels.float() - 0.5).view(-1, 1, 1, 1) + 0.1 * torch.randn(64, 1, 8, 8, generator=seeded(0))
    state = torch.get_rng_state()
    training = train(classifier, images, labels, steps=30, batch=32, learning_rate=1e-2, noise=0.2, generator=seeded(1))
    losses = [step.loss for step in training]
    assert len(losses) == 30 and losses[-1] < 0.05 < losses[0] and torch.equal(state, torch.get_rng_state())
    assert (classifier(images).argmax(1) == labels).all()


class Watched(ImageClassifier):
    """A classifier that keeps the batches that it was shown."""

    def __init__(self):
        super().__init__(classes=3)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach())
        return super().forward(x)


def test_every_other_image_of_a_batch_is_blurred_by_a_noise_of_its_own():
    """Grey images: the spread of each blurred one is uniform in [0, 0.6], whose square is 0.12 on average."""
    watched = Watched()
    images, labels = torch.full((5, 1, 8, 8), 0.25), torch.arange(5) % 3
    list(train(watched, images, labels, steps=1, batch=4000, learning_rate=1e-3, noise=0.6, generator=seeded(0)))
    plain, blurred = watched.seen[0][::2], watched.seen[0][1::2] - 0.25
    assert torch.equal(plain, torch.full_like(plain, 0.25))
    stds = blurred.flatten(1).std(1)
    assert (stds.square().mean().item(), stds.mean().item()) == pytest.approx((0.12, 0.3), rel=0.06)
    assert stds.min() < 0.02 and 0.5 < stds.max() < 0.6 * 1.5


def test_a_label_stays_with_its_image():
    """Three images as far apart as can be: only their own labels can be learned."""
    with initial_weights(0):
        classifier = ImageClassifier(classes=3)
    images = torch.stack([torch.full((1, 8, 8), v) for v in (-1.0, 0.0, 1.0)])
    labels = torch.tensor([2, 0, 1])
    list(train(classifier, images, labels, steps=60, batch=32, learning_rate=1e-2, noise=0.1, generator=seeded(1)))
    assert classifier(images).argmax(1).tolist() == [2, 0, 1]


def test_few_labels_are_the_mean_of_a_gaussian_process():
    """Written out for three images, in float64, by the joint law of the labels and the value at x."""
    images, labels = torch.randn(3, 1, 2, 2, generator=seeded(0)), torch.tensor([1.0, 0.0, 0.5])
    reward, x = FewLabels(images, labels, width=1.5, noise=0.2), torch.randn(5, 1, 2, 2, generator=seeded(1))
    for i, found in enumerate(reward(x)):
        points = torch.cat([x[i : i + 1], images]).flatten(1).double()
        joint = torch.exp(-torch.cdist(points, points).square() / (2 * 1.5**2))
        known = joint[1:, 1:] + 0.04 * torch.eye(3, dtype=torch.float64)
        expected = 0.5 + joint[0, 1:] @ torch.linalg.inv(known) @ (labels.double() - 0.5)
        assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    far = torch.full((1, 1, 2, 2), 50.0)
    assert reward(far).item() == pytest.approx(0.5), "far from every label it says their mean"


def test_few_labels_keep_a_gradient_at_a_labelled_image():
    images = torch.randn(4, 1, 8, 8, generator=seeded(0))
    x = images[:2].clone().requires_grad_()
    (slope,) = torch.autograd.grad(FewLabels(images, torch.arange(4.0), width=8.0)(x).sum(), x)
    assert torch.isfinite(slope).all() and slope.abs().max() > 0


def test_a_hundred_labels_tell_digits_with_a_loop():
    images, labels = digit_images()
    unseen = torch.arange(len(images)) % 17 != 0  # the labelled ones are every seventeenth
    said, meant = worlds.few_labels(images[unseen]) > 0.5, worlds.looped(labels[unseen])
    assert (said == meant).float().mean() > 0.9
    assert worlds.looped(torch.arange(10)).nonzero().flatten().tolist() == [0, 6, 8, 9]


def test_every_reward_of_the_digits_answers_and_tells_images_apart():
    x = digit_images()[0][:200]
    for name, reward in worlds.digits().rewards.items():
        values = query(reward, x)
        assert reward.__name__ == name and values.std() > 0 and not values.requires_grad


def test_digits_are_described_by_class_and_distance():
    images, labels = digit_images()
    seen = worlds.described(torch.cat([images[:20], images[:1] + 0.5]))
    assert (seen["label"][:20] == labels[:20]).sum() >= 19
    assert seen["nearest"][:20].max() < 1e-2 and 0 < seen["nearest"][20] <= 0.5 * 8 + 1e-4


QUADRATIC = torch.tensor([[2.0, 0.3, -0.4], [0.3, 1.0, 0.2], [-0.4, 0.2, 0.5]], dtype=torch.float64)
LINE = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def labelled(D, n=60):
    """Points [n, D] with the labels of 0.7 + b·x − ½ xᵀA x, written as sums."""
    x = torch.randn(n, D, generator=seeded(D), dtype=torch.float64)
    A, b = QUADRATIC[:D, :D], LINE[:D]
    each = [0.7 + sum(b[i] * r[i] - sum(A[i, j] * r[i] * r[j] for j in range(D)) / 2 for i in range(D)) for r in x]
    return x, torch.stack(each)


@pytest.mark.parametrize("D", [1, 2, 3])
def test_a_quadratic_reward_is_recovered_in_any_dimension(D):
    x, labels = labelled(D)
    found = fit_polynomial(x, labels, degree=2)
    torch.testing.assert_close(found.A, QUADRATIC[:D, :D])
    torch.testing.assert_close(found.b, LINE[:D])
    torch.testing.assert_close(found(x), labels)
    assert found.c == pytest.approx(0.7) and found.R2 == pytest.approx(1)
    torch.testing.assert_close(found(x.float()), labels.float(), atol=1e-4, rtol=1e-4)


def test_a_line_is_least_squares_and_explains_what_it_explains():
    x, labels = labelled(2)
    line = fit_polynomial(x, labels, degree=1)
    design = torch.cat([torch.ones(60, 1, dtype=torch.float64), x], 1)
    weight = torch.linalg.solve(design.T @ design, design.T @ labels)
    torch.testing.assert_close(line(x), design @ weight)
    assert not line.A.any()
    assert line.R2 == pytest.approx(float(1 - (labels - design @ weight).var() / labels.var()))
    assert 0 < line.R2 < 0.95


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_the_tilt_of_a_polynomial_and_its_means_are_those_of_a_sum_over_a_grid(degree, alpha):
    reward = fit_polynomial(*labelled(2), degree=degree)
    covariances = torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.4]]], dtype=torch.float64)
    means = torch.tensor([[-1.0, 0.5], [1.0, 0.0]], dtype=torch.float64)
    mixture = GaussianMixture(torch.tensor([0.3, 0.7], dtype=torch.float64), means, covariances)
    axis = torch.linspace(-9, 9, 721, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    log_mass = mixture.log_prob(x) + 2 * math.log(float(axis[1] - axis[0]))
    joint = log_mass + reward(x) / alpha
    tilted, objective = reward.tilt(mixture, alpha)
    assert objective == pytest.approx(alpha * float(joint.logsumexp(0)), abs=1e-6)
    assert reward.expected(mixture) == pytest.approx(float(log_mass.exp() @ reward(x)), abs=1e-6)
    assert reward.expected(tilted) == pytest.approx(float(joint.softmax(0) @ reward(x)), abs=1e-6)
    torch.testing.assert_close(
        tilted.log_prob(x[::999]), (joint - log_mass + mixture.log_prob(x) - joint.logsumexp(0))[::999]
    )


def taught(images=None, *, labels=None, noise=0.1):
    """A step of training on four blank images."""
    images = torch.zeros(4, 1, 8, 8) if images is None else images
    labels = torch.arange(4, dtype=torch.uint8) if labels is None else labels
    options = dict(steps=1, batch=2, learning_rate=1e-3, noise=noise, generator=seeded(0))
    return list(train(ImageClassifier(), images, labels, **options))


def test_labels_may_be_bytes():
    assert len(taught()) == 1


def test_yes_and_no_are_rewards_too():
    answers = query(lambda x: x.flatten(1).mean(1) > 0, torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    assert answers.dtype == torch.float32 and answers.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: digit_classifier()(torch.zeros(2, 8, 8)), r"x must have shape \[B, 1, 8, 8\], got \[2, 8, 8\]"),
        (lambda: log_probability(digit_classifier(), 10), "label must be a whole number in 0..9, got 10"),
        (lambda: worlds.digits(label=-1), "label must be a whole number in 0..9, got -1"),
        (lambda: ImageClassifier((8, 10)), r"size must be \(H, W\) with H and W divisible by 4, got \(8, 10\)"),
        (lambda: FewLabels(torch.zeros(3, 1, 8, 8), torch.zeros(2), width=1.0), r"got \[3, 1, 8, 8\], \[2\]"),
        (lambda: FewLabels(torch.full((2, 4), math.nan), torch.zeros(2), width=1.0), "must be finite, got NaN"),
        (lambda: taught(torch.full((4, 1, 8, 8), math.nan)), "images must be finite, got NaN or infinity in 100.0%"),
        (lambda: taught(noise=-1.0), "noise must be a finite number ≥ 0, got -1.0"),
        (lambda: taught(labels=torch.tensor([0, 1, 2, 10])), r"labels? in 0..9 and none outside, got \[0, 1, 2, 10\]"),
        (lambda: taught(torch.zeros(0, 1, 8, 8), labels=torch.zeros(0).long()), "expected at least one label in 0..9"),
        (lambda: digit_classifier()(torch.zeros(2, 1, 8, 8).double()), "x must be of type torch.float32, as the weig"),
        (lambda: FewLabels(torch.zeros(2, 4), torch.zeros(2), width=0.0), "width must be a finite number > 0"),
        (lambda: worlds.few_labels(torch.zeros(2, 1, 4, 4)), r"x must have shape \[B, 1, 8, 8\]"),
        (lambda: fit_polynomial(torch.zeros(9, 2), torch.zeros(9), degree=3), "degree must be 1 or 2, got 3"),
        (lambda: fit_polynomial(torch.zeros(9, 2), torch.zeros(8), degree=1), r"a label for each, got \[9, 2\], \[8\]"),
        (lambda: fit_polynomial(torch.zeros(5, 2), torch.zeros(5), degree=2), "needs at least 6 points, got 5"),
        (lambda: fit_polynomial(torch.full((9, 2), math.nan), torch.zeros(9), degree=1), "points must be finite"),
        (lambda: fit_polynomial(torch.zeros(9, 2), torch.full((9,), math.inf), degree=1), "labels must be finite"),
        (lambda: query(rewards.ink, torch.full((2, 1, 8, 8), math.nan)), "ink returned NaN or infinity for 100.0%"),
    ],
)
def test_bad_input_is_told_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_training_tells_labels_of_another_length():
    steps = train(
        ImageClassifier(), torch.zeros(4, 1, 8, 8), torch.zeros(3), steps=1, batch=2, learning_rate=1e-3, noise=0.0,
        generator=seeded(0),
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"labels must have shape \[4\], one for each image, got \[3\]"):
        next(steps)
