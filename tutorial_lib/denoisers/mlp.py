r"""A learned denoiser for points in a few dimensions (§1.1), and the network that controls and critics share.

Shapes: x_t [B, D]; t a whole number or a LongTensor [B].
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from ..checks import batch_of
from ..schedules import NoiseSchedule
from .prediction import Denoiser, preconditioning


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
