r"""Rewards that are learned: log p(y|x) of a classifier (§1.2.2, §8), one from a few labels, a polynomial (§7.3).

    r(x) = log p(y|x)         at α = 1 the target p_pre(x) p(y|x)/Z is p_pre(x|y): conditioning is fine-tuning
    r(x) = k(x)ᵀ (K + s² I)⁻¹ (labels − mean) + mean,   k(x)_i = exp(−‖x − x_i‖² / 2w²)
    r(x) = c + b·x − ½ xᵀA x                            by least squares; A = 0 where only a line is fitted

The second is the posterior mean of a Gaussian process: right near the labelled images, the labels' mean far from them.
The third goes on beyond its data for ever, and tilts a Gaussian mixture into another one, in closed form.
Shapes: images [B, 1, H, W] in about [−1, 1], points [B, D], rewards [B].
"""

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import batch_of, count, finite, positive, whole
from ..denoisers.pretraining import PretrainingStep
from ..distributions import GaussianMixture


class ImageClassifier(nn.Module):
    """Logits of a small convolutional network: [B, 1, H, W] → [B, classes], H and W divisible by 4."""

    def __init__(self, size: tuple[int, int] = (8, 8), *, classes: int = 10, channels: int = 32):
        super().__init__()
        if len(size) != 2 or any(side < 4 or side % 4 for side in size):
            raise ValueError(f"size must be (H, W) with H and W divisible by 4, got {size}")
        self.shape, self.classes = (1, *size), classes
        self.network = nn.Sequential(
            *(nn.Conv2d(1, channels // 2, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2)),
            *(nn.Conv2d(channels // 2, channels, 3, padding=1), nn.SiLU()),
            *(nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2)),
            *(nn.Flatten(), nn.Linear(channels * size[0] * size[1] // 16, classes)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.network(batch_of("x", x, self.shape, next(self.parameters()).dtype))


def train(
    classifier: ImageClassifier,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    noise: float,
    generator: torch.Generator,
) -> Generator[PretrainingStep, None, None]:
    """Fit `classifier` in place by cross-entropy, with Adam and a cosine-decayed learning rate.

    images [N, 1, H, W], labels [N] in 0..classes−1. Half of every batch stays as it is; the other half is blurred by
    Gaussian noise of a standard deviation uniform in [0, noise], so that log p(y|x) is smooth around the data.
    """
    steps, batch = count("steps", steps), count("batch", batch)
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have shape [{len(images)}], one for each image, got {list(labels.shape)}")
    if not len(images) or int(labels.min()) < 0 or int(labels.max()) >= classifier.classes:
        raise ValueError(
            f"expected at least one label in 0..{classifier.classes - 1} and none outside, got {labels.tolist()[:10]} …"
        )
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be a finite number ≥ 0, got {noise!r}")
    finite("images", images)
    optimiser = torch.optim.Adam(classifier.parameters(), lr=positive("learning_rate", learning_rate))
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    start = time.perf_counter()
    like: dict[str, Any] = dict(device=images.device, generator=generator)
    blurred = (torch.arange(batch, device=images.device) % 2).view(-1, 1, 1, 1)
    for iteration in range(1, steps + 1):
        index = torch.randint(len(images), (batch,), **like)
        std = noise * blurred * torch.rand(batch, 1, 1, 1, **like)
        x = images[index] + std * torch.randn(batch, *images.shape[1:], **like)
        loss = nn.functional.cross_entropy(classifier(x), labels[index].long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
        yield PretrainingStep(iteration, loss.item(), time.perf_counter() - start)


def log_probability(classifier: ImageClassifier, label: int) -> Callable[[Tensor], Tensor]:
    """r(x) = log p(label|x) ≤ 0: smooth, with no lower bound."""
    if not whole(label) or not 0 <= label < classifier.classes:
        raise ValueError(f"label must be a whole number in 0..{classifier.classes - 1}, got {label!r}")

    def reward(x: Tensor) -> Tensor:
        return classifier(x).log_softmax(1)[:, label]

    reward.__name__ = "log_probability"
    return reward


class FewLabels:
    """A reward learned from images [N, …] and labels [N]: the Gaussian process above, its prior the labels' own spread.

    width: w, the distance over which labels reach; noise: s, as a share of that spread.
    """

    def __init__(self, images: Tensor, labels: Tensor, *, width: float, noise: float = 0.3):
        if len(images) < 2 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"expected images [N, …] and labels [N], N ≥ 2, got {list(images.shape)}, {list(labels.shape)}"
            )
        finite("images", images)
        finite("labels", labels)
        self.__name__ = "few_labels"
        self.shape, self.width, noise = tuple(images.shape[1:]), positive("width", width), positive("noise", noise)
        self.images, self.mean = images.flatten(1), labels.float().mean()
        kernel = self._kernel(self.images) + noise**2 * torch.eye(len(images), device=images.device)
        self.weights = torch.linalg.solve(kernel, labels.to(kernel) - self.mean)

    def __call__(self, x: Tensor) -> Tensor:
        return self._kernel(batch_of("x", x, self.shape, self.images.dtype).flatten(1)) @ self.weights + self.mean

    def _kernel(self, x: Tensor) -> Tensor:
        """k(x_b, x_i): [B, D] → [B, N]. The distance is written out, because cdist has no gradient where it is zero."""
        squared = x.square().sum(1, keepdim=True) + self.images.square().sum(1) - 2 * x @ self.images.T
        return (-squared.clamp_min(0) / (2 * self.width**2)).exp()


@dataclass(frozen=True, eq=False)
class PolynomialReward:
    """r(x) = c + b·x − ½ xᵀA x, b [D], A [D, D], with the share R² of its labels' variance that it explains."""

    c: float
    b: Tensor
    A: Tensor
    R2: float

    def __call__(self, x: Tensor) -> Tensor:
        """[B, D] → [B]."""
        return self.c + x @ self.b.to(x) - ((x @ self.A.to(x)) * x).sum(-1) / 2

    def tilt(self, mixture: GaussianMixture, alpha: float) -> tuple[GaussianMixture, float]:
        """(p exp(r/α)/Z, α log Z): fine-tuning's optimum and its objective J*. ValueError where Z diverges."""
        alpha = positive("alpha", alpha)
        tilted, log_z = mixture.tilt(linear=self.b / alpha, quadratic=self.A / alpha)
        return tilted, self.c + alpha * float(log_z)

    def expected(self, mixture: GaussianMixture) -> float:
        """E[r(x)] under a mixture, from its mean and covariance."""
        mean, covariance = mixture.mean.double(), mixture.covariance.double()
        return self.c + float(mean @ self.b - mean @ self.A @ mean / 2 - (self.A * covariance).sum() / 2)


def fit_polynomial(points: Tensor, labels: Tensor, *, degree: int) -> PolynomialReward:
    """Least squares on every monomial of at most `degree`, 1 or 2: points [N, D], labels [N], N no fewer than them."""
    if degree not in (1, 2):
        raise ValueError(f"degree must be 1 or 2, got {degree!r}")
    if points.ndim != 2 or labels.shape != points.shape[:1]:
        raise ValueError(f"expected points [N, D] and a label for each, got {list(points.shape)}, {list(labels.shape)}")
    x, y = finite("points", points).double(), finite("labels", labels).double()
    N, D = x.shape
    i, j = torch.triu_indices(D, D) if degree == 2 else torch.empty(2, 0, dtype=torch.long)
    features = torch.cat([torch.ones_like(x[:, :1]), x, x[:, i] * x[:, j]], 1)
    if N < features.shape[1]:
        raise ValueError(f"degree {degree} in {D} dimensions needs at least {features.shape[1]} points, got {N}")
    weights = torch.linalg.lstsq(features, y).solution
    half = torch.zeros(D, D, dtype=torch.float64).index_put((i, j), -weights[1 + D :])  # ½ xᵀA x = xᵀ(half)x
    unexplained = (y - features @ weights).square().sum() / (y - y.mean()).square().sum()
    return PolynomialReward(float(weights[0]), weights[1 : 1 + D], half + half.mT, 1 - float(unexplained))
