r"""Denoisers: functions (x_t, t, label) → x̂_0 ≈ E[x_0|x_t] (§1.1).

One model wears four hats. With x_t = √ᾱ x_0 + √(1−ᾱ) ε each of these determines the others, given x_t (`convert`):

    x_0-prediction,   ε-prediction,   v = √ᾱ ε − √(1−ᾱ) x_0,   score ∇log p_t(x_t) = −ε/√(1−ᾱ)

A learned one is a network F_θ under coefficients that leave it an output of order one at every t (`preconditioning`).
Shapes: x_t [B, …]; t a whole number or a LongTensor [B]; label a LongTensor [B] or None (no class).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from .checks import batch_of
from .distributions import GaussianMixture
from .schedules import NoiseSchedule

PREDICTIONS = ("x_0", "epsilon", "v", "score")

# glibc gives a large freed block back to the system and takes the next one page by page, which doubles the time of a
# rollout of many paths. Once a block of 32 MB has been freed, it keeps 64 MB at hand. Elsewhere this does nothing.
torch.empty(2**25 - 2**12, dtype=torch.uint8)


@contextmanager
def initial_weights(source: torch.Generator | int | None = None) -> Iterator[None]:
    """Networks made inside draw their weights from `source`, a generator or a seed, and the global generator is left
    as it was. None: the weights do not matter, because others will be loaded."""
    with torch.random.fork_rng(devices=[]):  # networks are made on the CPU and moved
        if isinstance(source, torch.Generator):
            source = int(torch.randint(2**31, (), device=source.device, generator=source))
        if source is not None:
            torch.default_generator.manual_seed(source)
        yield


def convert(prediction: Tensor, x_t: Tensor, alpha_bar: Tensor | float, source: str, target: str) -> Tensor:
    """A prediction of kind `source` as one of kind `target`; kinds are "x_0", "epsilon", "v" and "score".

    alpha_bar: a number in (0, 1), or a tensor that broadcasts against x_t.
    """
    for kind in (source, target):
        if kind not in PREDICTIONS:
            raise ValueError(f"unknown prediction {kind!r}; known: {', '.join(PREDICTIONS)}")
    level = torch.as_tensor(alpha_bar, dtype=x_t.dtype, device=x_t.device)
    if not ((level > 0) & (level < 1)).all():
        raise ValueError(f"alpha_bar must lie in (0, 1), got {alpha_bar}")
    a, s = level.sqrt(), (1 - level).sqrt()
    x_0 = {
        "x_0": lambda p: p,
        "epsilon": lambda p: (x_t - s * p) / a,
        "v": lambda p: a * x_t - s * p,
        "score": lambda p: (x_t + s.square() * p) / a,
    }[source](prediction)
    epsilon = (x_t - a * x_0) / s
    return {"x_0": x_0, "epsilon": epsilon, "v": a * epsilon - s * x_0, "score": -epsilon / s}[target]


class Denoiser(nn.Module):
    """A function (x_t, t, label) → x̂_0 that knows the shape of one sample and the schedule it is for."""

    shape: tuple[int, ...]
    schedule: NoiseSchedule


class ExactDenoiser(Denoiser):
    """E[x_0|x_t] of a GaussianMixture in closed form: the network that training would reach."""

    def __init__(self, mixture: GaussianMixture, schedule: NoiseSchedule):
        super().__init__()
        self.mixture, self.schedule, self.shape = mixture, schedule, (mixture.dim,)

    def forward(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        batch_of("x_t", x_t, self.shape)
        return self.mixture.denoise(x_t, self.schedule.alpha_bar[self.schedule.check(t)].to(x_t))


def time_features(t: int | Tensor, T: int, width: int, like: Tensor) -> Tensor:
    """Sines and cosines of t/T at octave-spaced frequencies: [1, width] for one t, [B, width] for t of shape [B]."""
    time = torch.as_tensor(t, dtype=like.dtype, device=like.device).reshape(-1, 1) / T
    frequency = 2 * math.pi * 1.5 ** torch.arange(width // 2, dtype=like.dtype, device=like.device) / 4
    return torch.cat([(time * frequency).sin(), (time * frequency).cos()], -1)


class MLP(nn.Module):
    """A time-conditioned network [B, D], t → [B, outputs]: three SiLU layers, the time added to the first two.

    The time enters as a row of a table when all of the batch shares one t, so that a sampler pays for it once.
    """

    def __init__(self, dim: int, outputs: int, T: int, *, width: int = 128, time_width: int = 32):
        super().__init__()
        self.T, self.time_width = T, time_width
        self.first, self.second, self.third = nn.Linear(dim, width), nn.Linear(width, width), nn.Linear(width, width)
        self.time_first, self.time_second = nn.Linear(time_width, width), nn.Linear(time_width, width)
        self.last = nn.Linear(width, outputs)
        with torch.no_grad():  # Steeper features at the start: halves the score's error where the density is narrow.
            self.first.weight.mul_(4)
            self.first.bias.mul_(4)

    def forward(self, x: Tensor, t: int | Tensor) -> Tensor:
        time = time_features(t, self.T, self.time_width, x)
        silu = partial(nn.functional.silu, inplace=not torch.is_grad_enabled())
        h = silu(self.first(x) + self.time_first(time))
        h = silu(self.second(h) + self.time_second(time))
        return self.last(silu(self.third(h)))


def zero_at_start(network: MLP) -> MLP:
    """The network with its last layer set to zero."""
    nn.init.zeros_(network.last.weight)
    nn.init.zeros_(network.last.bias)
    return network


class MLPDenoiser(Denoiser):
    r"""A learned denoiser for points in a few dimensions, x̂_0 = c_skip x_t + c_out F_θ(c_in x_t, t).

    data_std, fine_std: the spread of the data and of its finest smooth structure (see `preconditioning`).
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        dim: int = 2,
        *,
        data_std: float = 1.5,
        fine_std: float = 0.3,
        width: int = 128,
    ):
        super().__init__()
        self.schedule, self.shape, self.data_std, self.fine_std = schedule, (dim,), data_std, fine_std
        self.network = MLP(dim, dim, schedule.T, width=width)

    def forward(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        batch_of("x_t", x_t, self.shape, next(self.parameters()).dtype)
        self.schedule.check(t)
        skip, out, scale = preconditioning(self.schedule, t, self.data_std, self.fine_std, x_t)
        return skip * x_t + out * self.network(scale * x_t, t)


def preconditioning(
    schedule: NoiseSchedule, t: int | Tensor, data_std: float, fine_std: float, like: Tensor
) -> tuple[Tensor, ...]:
    r"""(c_skip, c_out, c_in), shaped to multiply `like`. With d = data_std, w = fine_std and s² = 1−ᾱ_t,

        c_skip = √ᾱ d²/(ᾱd² + s²),   c_out = s² d / √((ᾱd² + s²)(ᾱw² + s²)),   c_in = 1/√(ᾱd² + s²)

    c_skip and c_in are those of Karras et al. 2022 (EDM): F = 0 is right for a Gaussian of standard deviation d. So is
    c_out at w = 0. A density that is smooth at scale w has a bounded score as s → 0, x̂_0 − x_t is then of order s², not
    s, and so is c_out: an error in F does not grow in the score (√ᾱ x̂_0 − x_t)/s².
    """
    level, noise = schedule.at("alpha_bar", t, like), schedule.at("noise", t, like)
    total, fine = level * data_std**2 + noise, level * fine_std**2 + noise  # Var x_t, and around a local peak
    return level.sqrt() * data_std**2 / total, noise * data_std * (total * fine).rsqrt(), total.rsqrt()


class UNetDenoiser(Denoiser):
    r"""A learned, class-conditional denoiser for grey images [B, 1, H, W], H and W divisible by 4 (0.28 M parameters).

        x̂_0 = c_skip x_t + c_out F_θ(c_in x_t, t, label)

    label: a LongTensor [B] with classes 0..classes−1, and −1 for no class (the null label); None is −1 for all.
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        size: tuple[int, int] = (8, 8),
        *,
        classes: int = 10,
        channels: tuple[int, int, int] = (32, 48, 64),
        data_std: float = 0.8,
    ):
        super().__init__()
        if len(size) != 2 or any(side < 4 or side % 4 for side in size):
            raise ValueError(f"size must be (H, W) with H and W divisible by 4, got {size}")
        self.schedule, self.shape, self.data_std, self.classes = schedule, (1, *size), data_std, classes
        first, second, third = channels
        width = 4 * first
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width)  # the last row is the null label
        self.stem = nn.Conv2d(1, first, 3, padding=1)
        self.down_1, self.down_2 = ResidualBlock(first, first, width), ResidualBlock(first, second, width)
        self.middle = ResidualBlock(second, third, width)
        self.up_2 = ResidualBlock(third + second, second, width)
        self.up_1 = ResidualBlock(second + first, first, width)
        self.head = nn.Sequential(nn.GroupNorm(8, first), nn.SiLU(), nn.Conv2d(first, 1, 3, padding=1))

    def forward(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        batch_of("x_t", x_t, self.shape, next(self.parameters()).dtype)
        self.schedule.check(t)
        skip, out, _ = preconditioning(self.schedule, t, self.data_std, 0.0, x_t)
        return skip * x_t + out * self.raw(x_t, t, label)

    def raw(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        """F_θ(c_in x_t, t, label), the network's own output: [B, 1, H, W] → [B, 1, H, W]."""
        _, _, scale = preconditioning(self.schedule, t, self.data_std, 0.0, x_t)
        x, row = scale * x_t, self._class_rows(label, x_t)
        pool, grow = nn.functional.avg_pool2d, nn.functional.interpolate
        condition = nn.functional.silu(self.time(time_features(t, self.schedule.T, 32, x)) + self.label(row))
        fine = self.down_1(self.stem(x), condition)  # [B, ·, H, W]
        coarse = self.down_2(pool(fine, 2), condition)  # [B, ·, H/2, W/2]
        h = self.middle(pool(coarse, 2), condition)  # [B, ·, H/4, W/4]
        h = self.up_2(torch.cat([grow(h, scale_factor=2.0), coarse], 1), condition)
        h = self.up_1(torch.cat([grow(h, scale_factor=2.0), fine], 1), condition)
        return self.head(h)

    def _class_rows(self, label: Tensor | None, x_t: Tensor) -> Tensor:
        """Rows of the class table: [1] for no label, else [B]."""
        if label is None:
            return torch.full((1,), self.classes, device=x_t.device)
        if label.shape != x_t.shape[:1] or label.is_floating_point() or label.is_complex():
            raise ValueError(f"label must be a LongTensor [{len(x_t)}], got {label.dtype} {list(label.shape)}")
        if int(label.min()) < -1 or int(label.max()) >= self.classes:
            raise ValueError(f"labels must lie in 0..{self.classes - 1}, or be −1 for none, got {label.tolist()}")
        return label.long().where(label >= 0, self.classes)


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions, shifted between them by a condition [B or 1, width]: [B, inputs, …] → [B, outputs, …]."""

    def __init__(self, inputs: int, outputs: int, width: int):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.condition = nn.Linear(width, outputs)
        self.second = nn.Sequential(nn.GroupNorm(8, outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.around = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.first(x) + self.condition(condition)[..., None, None]
        return self.around(x) + self.second(h)
