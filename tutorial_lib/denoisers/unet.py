r"""A learned denoiser for grey images, a small class-conditional UNet (§1.1): [B, 1, H, W] → [B, 1, H, W]."""

import torch
from torch import Tensor, nn

from ..checks import batch_of
from ..schedules import NoiseSchedule
from .mlp import time_features
from .prediction import Denoiser, preconditioning


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
