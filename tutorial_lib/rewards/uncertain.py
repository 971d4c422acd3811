r"""Rewards learned from labels that say how sure they are (§7.3): a mean r̂(x) and a deviation ĝ(x).

    networks   r̂ = mean_m f_m(x),  ĝ = std_m f_m(x),   f_m fitted to its own bootstrap of the labels
    features   r̂ = φᵀ(ΦᵀΦ + λI)⁻¹Φᵀy,   ĝ = s √(φᵀ(ΦᵀΦ + λI)⁻¹φ),   φ(x) = √(2/m) cos(Wx + b)
    process    r̂ = kᵀ(K + s²I)⁻¹y,   ĝ² = k(x, x) − kᵀ(K + s²I)⁻¹k,   k(x, x') = c exp(−‖x − x'‖²/2ℓ²)

ĝ is what the labels leave open about r, not the noise of a label: it shrinks where labels are, and more of them come.
Networks: deep ensembles (Lakshminarayanan et al. 2017). Features: Bayesian linear regression on random Fourier features
(Rahimi and Recht 2007); their ℓ and λ, like the process's c, ℓ and s, maximise the labels' marginal likelihood.
Shapes: x [N, …], labels y [N]; r̂ and ĝ [B, …] → [B]. Inside, points and labels are centred and scaled.
"""

import itertools
import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ..checks import batch_of, count, finite

LARGEST_PROCESS = 2000  # labels: the cost of an exact one grows with their cube
FITTED_ON = 500  # labels that choose a process's c, ℓ and s


class LearnedReward(nn.Module):
    """r̂, called like any reward, and its deviation `std`. Each kind gives both, centred and scaled, in `_predict`."""

    center: Tensor
    offset: Tensor

    def __init__(self, x: Tensor, y: Tensor):
        super().__init__()
        labelled(x, y)
        flat, self.shape, self.__name__ = x.detach().flatten(1), tuple(x.shape[1:]), "learned_reward"
        self.scale, self.spread = float(flat.var(0).mean().sqrt().clamp_min(1e-6)), float(y.std())
        self.register_buffer("center", flat.mean(0))
        self.register_buffer("offset", y.detach().mean())

    def inputs(self, x: Tensor) -> Tensor:
        """[B, …] → [B, D], centred and scaled as the labelled points."""
        return (batch_of("x", x, self.shape).flatten(1) - self.center.to(x)) / self.scale

    def targets(self, y: Tensor) -> Tensor:
        return (y.detach() - self.offset) / self.spread

    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(r̂(x), ĝ(x)): [B, …] → [B] each, ĝ ≥ 0."""
        mean, std = self._predict(self.inputs(x))
        return self.offset.to(x) + self.spread * mean.to(x), self.spread * std.to(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.predict(x)[0]

    def std(self, x: Tensor) -> Tensor:
        return self.predict(x)[1]

    def _predict(self, z: Tensor) -> tuple[Tensor, Tensor]:
        raise TypeError(f"{type(self).__name__} must define _predict(z)")


def labelled(x: Tensor, y: Tensor) -> None:
    """ValueError unless there are two different finite labels or more, one for each finite point."""
    if x.ndim < 2 or y.shape != x.shape[:1]:
        raise ValueError(f"expected points [N, …] and labels [N], got {list(x.shape)} and {list(y.shape)}")
    if not (x.is_floating_point() and y.is_floating_point()):
        raise ValueError(f"expected points and labels of a floating type, got {x.dtype} and {y.dtype}")
    if len(y) < 2:
        raise ValueError(f"expected two labels or more, got {len(y)}")
    finite("points", x)
    if not torch.isfinite(y).all():
        share = (~torch.isfinite(y)).double().mean().item()
        raise ValueError(
            f"labels must be finite, got NaN or infinity in {share:.1%} of them; leave invalid samples out of the fit"
        )
    if bool((y == y[0]).all()):
        raise ValueError(f"expected labels that differ, got {len(y)} times {y[0].item():g}: there is nothing to learn")


class Networks(LearnedReward):
    """`members` small networks, trained at once, each on its own bootstrap of the labels; one alone keeps a fifth of
    them aside, and its deviation is its root mean square error there, the same at every x."""

    def __init__(
        self, x: Tensor, y: Tensor, *, generator: torch.Generator, members: int = 10, width: int = 64, steps: int = 600
    ):
        super().__init__(x, y)
        members, width, steps = count("members", members), count("width", width), count("steps", steps)
        like: dict[str, Any] = dict(device=x.device, generator=generator)
        sizes = [self.center.numel(), width, width, 1]
        self.weights = nn.ParameterList(
            torch.randn(members, a, b, **like) / a**0.5 for a, b in itertools.pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(members, 1, b, device=x.device) for b in sizes[1:])
        z, targets, n = self.inputs(x.float()), self.targets(y.float()), len(y)
        if members > 1:
            drawn = torch.randint(n, (members, n), **like)
            often = torch.zeros(members, n, device=x.device).scatter_add_(
                1, drawn, torch.ones(members, n).to(drawn.device)
            )
        else:
            often = (torch.randperm(n, **like) >= n // 5).float()[None]
        self._train(z, targets, often, steps, generator)
        aside = self._each(z)[0] - targets if members > 1 or n < 5 else (self._each(z)[0] - targets)[often[0] == 0]
        self.error = float(aside.detach().square().mean().sqrt())
        self.requires_grad_(False)

    def _train(self, z: Tensor, targets: Tensor, often: Tensor, steps: int, generator: torch.Generator) -> None:
        optimiser = torch.optim.AdamW(self.parameters(), lr=5e-3, weight_decay=0.1)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            chosen = torch.randperm(len(z), device=z.device, generator=generator)[:512]
            missed = (self._each(z[chosen]) - targets[chosen]).square()
            optimiser.zero_grad()
            (often[:, chosen] * missed).mean(1).sum().backward()
            optimiser.step()
            decay.step()

    def _each(self, z: Tensor) -> Tensor:
        """Every member's answer: [B, D] → [members, B]."""
        h = z.expand(len(self.weights[0]), *z.shape)
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias.to(h), nn.functional.silu(h) if k else h, weight.to(h))
        return h[..., 0]

    def _predict(self, z: Tensor) -> tuple[Tensor, Tensor]:
        each = self._each(z)
        if len(each) == 1:
            return each[0], torch.full_like(each[0], self.error)
        return each.mean(0), each.std(0)


class Features(LearnedReward):
    """Bayesian linear regression on m random Fourier features."""

    frequencies: Tensor
    phases: Tensor
    mean: Tensor
    root: Tensor

    def __init__(self, x: Tensor, y: Tensor, *, generator: torch.Generator, m: int = 300):
        super().__init__(x, y)
        z, targets = self.inputs(x.double()), self.targets(y.double())
        like: dict[str, Any] = dict(device=x.device, generator=generator, dtype=torch.float64)
        directions = torch.randn(z.shape[1], count("m", m), **like)
        self.register_buffer("phases", 2 * math.pi * torch.rand(m, **like))
        best = -math.inf
        for length in z.shape[1] ** 0.5 * torch.logspace(-0.9, 0.9, 13):
            U, S, V = torch.linalg.svd(self._features(z, directions / length), full_matrices=False)
            for lam in torch.logspace(-5, 1, 19, dtype=torch.float64):
                kept = S.square() / (S.square() + lam)
                along = U.mT @ targets
                noise = (targets.square().sum() - (kept * along.square()).sum()).clamp_min(1e-12) / len(targets)
                evidence = float(-len(targets) * noise.log() - (1 + S.square() / lam).log().sum())
                if evidence > best:
                    best, self.noise, self.lam = evidence, float(noise.sqrt()), float(lam)
                    chosen = directions / length, V.mT @ (S / (S.square() + lam) * along)
        self.register_buffer("frequencies", chosen[0])
        self.register_buffer("mean", chosen[1])
        phi = self._features(z, self.frequencies)
        precision = phi.mT @ phi + self.lam * torch.eye(m, dtype=phi.dtype, device=phi.device)
        self.register_buffer("root", torch.linalg.cholesky(precision))

    def _features(self, z: Tensor, frequencies: Tensor) -> Tensor:
        return (2 / len(self.phases)) ** 0.5 * (z.double() @ frequencies + self.phases).cos()

    def _predict(self, z: Tensor) -> tuple[Tensor, Tensor]:
        phi = self._features(z, self.frequencies)
        half = torch.linalg.solve_triangular(self.root, phi.mT, upper=False)
        return phi @ self.mean, self.noise * half.square().sum(0).sqrt()


class Process(LearnedReward):
    """An exact Gaussian process."""

    points: Tensor
    root: Tensor
    weights: Tensor

    def __init__(self, x: Tensor, y: Tensor, *, generator: torch.Generator):
        if len(y) > LARGEST_PROCESS:
            raise ValueError(
                f"an exact Gaussian process takes at most {LARGEST_PROCESS:,} labels, got {len(y):,}; use "
                f"kind='features' or kind='ensemble'"
            )
        super().__init__(x, y)
        z, targets = self.inputs(x.double()), self.targets(y.double())
        chosen = torch.randperm(len(z), device=z.device, generator=generator)[:FITTED_ON]
        self.variance, self.length, self.noise = likeliest(z[chosen], targets[chosen])
        self.register_buffer("points", z)
        noisy = self._kernel(z) + self.noise * torch.eye(len(z), dtype=z.dtype, device=z.device)
        self.register_buffer("root", torch.linalg.cholesky(noisy))
        self.register_buffer("weights", torch.cholesky_solve(targets[:, None], self.root)[:, 0])

    def _kernel(self, z: Tensor) -> Tensor:
        """k(z_b, points): [B, D] → [B, N]. The distance is written out: cdist has no gradient where it is zero."""
        squared = z.square().sum(1, keepdim=True) + self.points.square().sum(1) - 2 * z @ self.points.mT
        return self.variance * (-squared.clamp_min(0) / (2 * self.length**2)).exp()

    def _predict(self, z: Tensor) -> tuple[Tensor, Tensor]:
        k = self._kernel(z.double())
        half = torch.linalg.solve_triangular(self.root, k.mT, upper=False)
        return k @ self.weights, (self.variance - half.square().sum(0)).clamp_min(1e-12).sqrt()


def likeliest(z: Tensor, targets: Tensor) -> tuple[float, float, float]:
    """The c, ℓ and s² that maximise the marginal likelihood of targets [N] at z [N, D]."""
    from sklearn.exceptions import (
        ConvergenceWarning,
    )  # here, because it takes a second that other rewards need not wait
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    start = z.shape[1] ** 0.5
    kernel = ConstantKernel(1.0, (0.01, 100)) * RBF(start, (start / 30, 30 * start)) + WhiteKernel(0.1, (1e-6, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an ℓ at the end of its range is an answer too
        found = GaussianProcessRegressor(kernel).fit(z.cpu().numpy(), targets.cpu().numpy()).kernel_
    return found.k1.k1.constant_value, found.k1.k2.length_scale, found.k2.noise_level
