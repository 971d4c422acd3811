r"""Noise schedules: how much signal is left at step t (§1.1, "forward" process).

    q(x_t|x_{t−1}) = N(√(1−β_t) x_{t−1}, β_t I),   q(x_t|x_0) = N(√ᾱ_t x_0, (1−ᾱ_t) I),   ᾱ_t = Π_{s≤t} (1−β_s)
    q(x_{t−1}|x_t, x_0) = N(c⁰_t x_0 + c¹_t x_t, β̃_t I)

A denoising step does not know x_0, so p(x_{t−1}|x_t) is wider than β̃_t, by (c⁰_t)² Var(x_0|x_t):

    σ_t² = β̃_t + (c⁰_t)² d²(1−ᾱ_t)/(ᾱ_t d² + 1−ᾱ_t)

is its variance for Gaussian data of standard deviation d. Ho et al. 2020's two choices are d = 0 (β̃_t) and d = 1 (β_t);
data in clusters want a cluster's width. With d > 0 even σ_1 is positive, so every log-probability exists.
Shapes: every array is [T+1] and its index is the paper's subscript; row 0 is the data (ᾱ_0 = 1, σ_0 = 0).
"""

import math

import torch
from torch import Tensor

from .checks import count, positive, whole

DATA_STD = 0.4  # d, the width of a cluster in the worlds here


class NoiseSchedule:
    """ᾱ_t, σ_t and the posterior coefficients, made from `beta` [T], each in (0, 1), T ≥ 2, and d = `data_std` > 0.

    Attributes (float32, [T+1]): alpha_bar, beta, noise (1−ᾱ_t), signal (c⁰_t, weight of x_0), carry (c¹_t, weight of
    x_t), posterior_std (√β̃_t) and sigma (σ_t). Computed in float64, so that 1−ᾱ_t keeps its digits at small t.
    """

    def __init__(self, beta: Tensor, *, data_std: float = DATA_STD, device: torch.device | str | None = None):
        beta = torch.as_tensor(beta, dtype=torch.float64, device=device)
        if beta.ndim != 1 or len(beta) < 2:
            raise ValueError(f"beta must have shape [T] with T ≥ 2, got {list(beta.shape)}")
        if not ((beta > 0) & (beta < 1)).all():
            raise ValueError(f"every beta must lie in (0, 1), got {beta.min().item():.3g} to {beta.max().item():.3g}")
        beta = torch.cat([beta.new_zeros(1), beta])
        alpha_bar = (1 - beta).cumprod(0)
        before = torch.cat([alpha_bar[:1], alpha_bar[:-1]])  # ᾱ_{t−1}
        noise = (1 - alpha_bar).clamp_min(torch.finfo(torch.float64).tiny)
        signal = before.sqrt() * beta / noise
        carry = (1 - beta).sqrt() * (1 - before) / noise
        posterior = beta * (1 - before) / noise
        signal[0], carry[0] = 1, 0
        spread = positive("data_std", data_std) ** 2 * noise / (alpha_bar * data_std**2 + noise)  # Var(x_0|x_t)
        variance = posterior + signal.square() * spread
        variance[0] = 0
        self.T = len(beta) - 1
        self.alpha_bar, self.beta, self.noise = alpha_bar.float(), beta.float(), (1 - alpha_bar).float()
        self.signal, self.carry = signal.float(), carry.float()
        self.posterior_std, self.sigma = posterior.sqrt().float(), variance.sqrt().float()

    @classmethod
    def cosine(cls, T: int, *, data_std: float = DATA_STD, device: torch.device | str | None = None) -> "NoiseSchedule":
        """ᾱ_t ∝ cos²(½π (t/T + s)/(1 + s)), s = 0.008, β_t ≤ 0.999 (Nichol & Dhariwal 2021)."""
        s, steps = 0.008, torch.arange(count("T", T, least=2) + 1, dtype=torch.float64)
        level = torch.cos((steps / T + s) / (1 + s) * math.pi / 2).square()
        return cls((1 - level[1:] / level[:-1]).clamp_max(0.999), data_std=data_std, device=device)

    @classmethod
    def linear(cls, T: int, *, data_std: float = DATA_STD, device: torch.device | str | None = None) -> "NoiseSchedule":
        """β_t linear in t with the rates of Ho et al. 2020 (1e-4 to 0.02 at T = 1000) rescaled to T steps."""
        time = (torch.arange(count("T", T, least=2), dtype=torch.float64) + 0.5) / T
        rate = 0.1 + (20 - 0.1) * time  # ∫rate = 10.05, so ᾱ_T = e^−10 at every T
        return cls(1 - torch.exp(-rate / T), data_std=data_std, device=device)

    def to(self, device: torch.device | str) -> "NoiseSchedule":
        """The same schedule on another device."""
        moved = NoiseSchedule.__new__(NoiseSchedule)
        moved.__dict__ = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.__dict__.items()}
        return moved

    def matches(self, other: "NoiseSchedule") -> bool:
        """Whether the other has the same noise levels."""
        return self is other or (
            self.T == other.T and torch.allclose(self.alpha_bar.cpu(), other.alpha_bar.cpu(), atol=1e-6)
        )

    def check(self, t: int | Tensor, *, least: int = 1) -> int | Tensor:
        """`t`; ValueError unless every entry is a whole number in least..T."""
        if isinstance(t, Tensor):
            if t.is_floating_point() or t.numel() == 0 or int(t.min()) < least or int(t.max()) > self.T:
                raise ValueError(f"t must hold whole numbers in {least}..{self.T}, got {t.tolist()}")
            return t
        if not whole(t) or not least <= t <= self.T:
            raise ValueError(f"t must be a whole number in {least}..{self.T}, got {t!r}")
        return int(t)

    def at(self, name: str, t: int | Tensor, like: Tensor) -> Tensor:
        """`self.<name>[t]` shaped to multiply `like` [B, …]: a scalar for one t, [B, 1, …] for t of shape [B]."""
        value = getattr(self, name)[t].to(like)
        return value.reshape(-1, *[1] * (like.ndim - 1)) if value.ndim else value

    def add_noise(self, x_0: Tensor, t: int | Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x_t ~ q(x_t|x_0) in one go, and the ε in it: x_0 [B, …] → ([B, …], [B, …]). t: a number or [B]."""
        self.check(t, least=0)
        epsilon = torch.randn(x_0.shape, dtype=x_0.dtype, device=x_0.device, generator=generator)
        return self.at("alpha_bar", t, x_0).sqrt() * x_0 + self.at("noise", t, x_0).sqrt() * epsilon, epsilon

    def forward_step(self, x: Tensor, t: int, *, generator: torch.Generator) -> Tensor:
        """x_t ~ q(x_t|x_{t−1}): [B, …] → [B, …]."""
        self.check(t)
        epsilon = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
        return (1 - self.beta[t]).sqrt() * x + self.beta[t].sqrt() * epsilon

    def posterior_mean(self, x_0: Tensor, x_t: Tensor, t: int | Tensor) -> Tensor:
        """Mean of q(x_{t−1}|x_t, x_0): c⁰_t x_0 + c¹_t x_t."""
        return self.at("signal", t, x_t) * x_0 + self.at("carry", t, x_t) * x_t
