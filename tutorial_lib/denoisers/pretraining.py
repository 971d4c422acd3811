r"""Pretraining: the denoising loss and the loop around it (§1.1).

    L(θ) = E_{x_0, t, ε} [ ‖x̂_0(x_t, t) − x_0‖² / (1−ᾱ_t) ],   x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε

Its minimiser is E[x_0|x_t], that is, the exact score, whatever the weight of each t. Under 1/(1−ᾱ_t) the summand is
‖v̂ − v‖², the squared error of the v-prediction: what x_t leaves unknown of x_0 has variance of order 1−ᾱ_t, so every t
pulls with a force of order one.
Shapes: x_0 [B, …]; t a whole number or a LongTensor [B]; label a LongTensor [B] or None.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..checks import batch_of, count, positive
from .prediction import Denoiser

Data = Tensor | Callable[..., Tensor]


@dataclass(frozen=True)
class PretrainingStep:
    """One step of `pretrain`: its number from 1, the batch's loss, and the seconds since the start."""

    iteration: int
    loss: float
    seconds: float


def denoising_loss(
    denoiser: Denoiser,
    x_0: Tensor,
    t: int | Tensor,
    *,
    generator: torch.Generator,
    label: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """mean_b weight_b ‖x̂_0(x_t) − x_0‖² / (D (1−ᾱ_t)) at freshly noised x_t, a scalar; D is the size of one sample.

    weight: [B], ≥ 0 (reward-weighted training); None is one for all.
    """
    batch_of("x_0", x_0, denoiser.shape)
    if weight is not None and weight.shape != x_0.shape[:1]:
        raise ValueError(f"weight must have shape [{len(x_0)}], one for each sample, got {list(weight.shape)}")
    x_t, _ = denoiser.schedule.add_noise(x_0, denoiser.schedule.check(t), generator=generator)
    error = (denoiser(x_t, t, label) - x_0).square() / denoiser.schedule.at("noise", t, x_0)
    each = error.flatten(1).mean(1)
    return each.mean() if weight is None else (weight * each).mean()


def pretrain(
    denoiser: Denoiser,
    data: Data,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    generator: torch.Generator,
    labels: Tensor | None = None,
    label_dropout: float = 0.1,
    average: float = 0.999,
) -> Generator[PretrainingStep, None, None]:
    """Fit `denoiser` in place with Adam, a cosine-decayed learning rate and gradients clipped to norm 1.

    data: samples [N, …], or a function (n, generator=g) → [n, …] that never runs out. labels: [N], dropped to the null
    label −1 for a share `label_dropout` of each batch, so that one network learns p(x) and p(x|label).
    At the end, and also where the loop is left early or fails, the denoiser holds the exponential moving average of its
    weights (decay `average` a step), which denoises better than the last ones. A loss or gradient that is not finite
    ends the run with a FloatingPointError, the averaged weights of the steps before it in place.
    """
    steps, batch, learning_rate = count("steps", steps), count("batch", batch), positive("learning_rate", learning_rate)
    _check_labels(data, labels, label_dropout)
    T, weights = denoiser.schedule.T, list(denoiser.parameters())
    averaged = [w.detach().clone() for w in weights]
    optimiser = torch.optim.Adam(weights, lr=learning_rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    start = time.perf_counter()
    try:
        for iteration in range(1, steps + 1):
            x_0, label = _draw(data, labels, batch, label_dropout, generator)
            t = torch.randint(1, T + 1, (batch,), device=x_0.device, generator=generator)
            loss = denoising_loss(denoiser, x_0, t, generator=generator, label=label)
            optimiser.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(weights, 1.0)
            if not torch.isfinite(loss + norm):
                raise FloatingPointError(
                    f"expected a finite loss at step {iteration}, got {loss.item()} with gradient norm {norm.item()}; "
                    f"the weights averaged up to step {iteration - 1} are kept; "
                    f"try a learning rate below {learning_rate:g}"
                )
            optimiser.step()
            decay.step()
            with torch.no_grad():
                for kept, w in zip(averaged, weights, strict=True):  # a short memory at first, to forget the start
                    kept.lerp_(w, 1 - min(average, iteration / (iteration + 9)))
            yield PretrainingStep(iteration, loss.item(), time.perf_counter() - start)
    finally:
        with torch.no_grad():
            for kept, w in zip(averaged, weights, strict=True):
                w.copy_(kept)


def _check_labels(data: Data, labels: Tensor | None, label_dropout: float) -> None:
    if not 0 <= label_dropout <= 1:
        raise ValueError(f"label_dropout must lie in [0, 1], got {label_dropout!r}")
    if labels is not None and not isinstance(data, Tensor):
        raise ValueError("labels need data as a tensor [N, …]; this data is a function")
    if labels is not None and isinstance(data, Tensor) and labels.shape != data.shape[:1]:
        raise ValueError(f"labels must have shape [{len(data)}], one for each sample, got {list(labels.shape)}")


def _draw(
    data: Data, labels: Tensor | None, batch: int, label_dropout: float, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """(x_0 [batch, …], label [batch] or None)."""
    if not isinstance(data, Tensor):
        return data(batch, generator=generator), None
    index = torch.randint(len(data), (batch,), device=data.device, generator=generator)
    if labels is None:
        return data[index], None
    dropped = torch.rand(batch, device=data.device, generator=generator) < label_dropout
    return data[index], labels[index].masked_fill(dropped, -1)
