r"""Gaussian mixtures, the distributions for which diffusion has no secrets (§1.1).

    p(x) = Σ_k w_k N(x; μ_k, Σ_k)

Under the forward process q(x_t|x_0) = N(√ᾱ_t x_0, (1−ᾱ_t) I) a mixture stays a mixture; so does p(x_0|x_t), and so does
p(x) exp(b·x − ½ xᵀA x). Everything is done in the eigenbasis of each Σ_k, Σ_k = Q_k diag(λ_k) Q_kᵀ, where noising and
conditioning act on the eigenvalues alone.
Shapes: … batch, K components, D dimensions. A batch of mixtures (one per x_t, as `posterior` returns) has weights
[…, K], means […, K, D] and covariances […, K, D, D], with points […, D] to match.
"""

import functools
import math
from typing import Any

import torch
from torch import Tensor

from .checks import batch_of, count


class GaussianMixture:
    """Σ_k w_k N(μ_k, Σ_k), or a batch of such mixtures.

    weights: […, K], non-negative, summing to one. means: […, K, D]. covariances: […, K, D, D], symmetric positive
    definite; or `stds` […, K] for Σ_k = stds_k² I. ValueError otherwise. Gradients flow through every argument (through
    `covariances` only where each one's eigenvalues are distinct: that is where an eigenbasis has a derivative).
    """

    def __init__(
        self, weights: Tensor, means: Tensor, covariances: Tensor | None = None, *, stds: Tensor | None = None
    ):
        means = torch.as_tensor(means)
        means = means if means.is_floating_point() else means.float()
        like: dict[str, Any] = dict(dtype=means.dtype, device=means.device)
        weights = torch.as_tensor(weights, **like)
        if means.ndim < 2 or weights.ndim < 1 or weights.shape[-1] != means.shape[-2]:
            raise ValueError(
                f"expected weights [K] and means [K, D], got {list(weights.shape)} and {list(means.shape)}"
            )
        if not torch.isfinite(means).all():
            raise ValueError("means must be finite, got NaN or infinity")
        total = weights.detach().sum(-1)
        if not (weights.detach() >= 0).all() or not torch.allclose(total, torch.ones_like(total), atol=1e-4):
            raise ValueError(f"weights must be ≥ 0 and sum to one, got {weights.tolist()} with sum {total.tolist()}")
        if (covariances is None) == (stds is None):
            raise ValueError("give exactly one of covariances [K, D, D] and stds [K]")
        if stds is not None:
            eigenvalues, basis = _isotropic(torch.as_tensor(stds, **like), means)
        else:
            eigenvalues, basis = _eigenbasis(torch.as_tensor(covariances, **like), means)
        self._set(weights, means, eigenvalues, basis)

    def _set(self, weights: Tensor, means: Tensor, eigenvalues: Tensor, basis: Tensor) -> None:
        self.weights, self.means = weights, means
        self._eigenvalues, self._basis = eigenvalues, basis  # […, K, D]; […, K, D, D] in float64, columns

    @functools.cached_property
    def _centres(self) -> Tensor:
        """Q_kᵀ μ_k, […, K, D] in float64."""
        return torch.einsum("...kd,...kde->...ke", self.means.double(), self._basis)

    @classmethod
    def _of(cls, weights: Tensor, means: Tensor, eigenvalues: Tensor, basis: Tensor) -> "GaussianMixture":
        mixture = cls.__new__(cls)
        mixture._set(weights, means, eigenvalues, basis)
        return mixture

    @property
    def dim(self) -> int:
        return self.means.shape[-1]

    @property
    def covariances(self) -> Tensor:
        """[…, K, D, D]."""
        matrices = (self._basis * self._eigenvalues.double().unsqueeze(-2)) @ self._basis.mT
        return matrices.to(self.means.dtype).expand(*self.means.shape, self.dim)

    @property
    def mean(self) -> Tensor:
        """E[x], […, D]."""
        return (self.weights.unsqueeze(-1) * self.means).sum(-2)

    @property
    def covariance(self) -> Tensor:
        """Cov[x], […, D, D]: the mean of the covariances plus the covariance of the means."""
        centred = self.means - self.mean.unsqueeze(-2)
        spread = self.covariances + centred.unsqueeze(-1) * centred.unsqueeze(-2)
        return (self.weights[..., None, None] * spread).sum(-3)

    def to(self, target: torch.dtype | torch.device | str) -> "GaussianMixture":
        """The same mixture in another dtype or on another device."""
        basis = self._basis if isinstance(target, torch.dtype) else self._basis.to(target)
        return GaussianMixture._of(self.weights.to(target), self.means.to(target), self._eigenvalues.to(target), basis)

    @functools.cached_property
    def _rotation(self) -> Tensor:
        """All bases side by side, [D, K·D] in float64, where they are shared by a batch."""
        return self._basis.movedim(-2, 0).flatten(1)

    def _whitened(self, x: Tensor) -> Tensor:
        """Coordinates of x − μ_k in the eigenbasis of Σ_k: […, D] → […, K, D]. In float64, where x and μ_k cancel."""
        batch_of("x", x, (self.dim,))
        if self._centres.ndim == 2 and x.ndim == 2:  # one mixture for all points: one matrix product
            z = torch.addmm(-self._centres.flatten(), x.double(), self._rotation).unflatten(-1, (-1, self.dim))
        else:
            z = torch.einsum("...d,...kde->...ke", x.double(), self._basis) - self._centres
        return z.to(x.dtype)

    def _unwhitened(self, weights: Tensor, z: Tensor) -> Tensor:
        """Σ_k w_k Q_k z_k: […, K], […, K, D] → […, D]."""
        weighted = weights.unsqueeze(-1) * z
        if self._basis.ndim == 3:
            return weighted.flatten(-2) @ self._rotation.mT.to(z.dtype)
        return torch.einsum("...ke,...kde->...d", weighted, self._basis.to(z.dtype))

    def _joint_log_prob(self, z: Tensor) -> Tensor:
        """log w_k + log N(x; μ_k, Σ_k) from whitened coordinates: […, K, D] → […, K]."""
        total = torch.float64 if self.dim > 8 else z.dtype  # many terms: float32 would lose digits in their sum
        exponent = (z.square() / self._eigenvalues).sum(-1, dtype=total) + self._eigenvalues.log().sum(-1, dtype=total)
        return (self.weights.log() - (exponent + self.dim * math.log(2 * math.pi)) / 2).to(z.dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x): [B, D] → [B]."""
        return self._joint_log_prob(self._whitened(x)).logsumexp(-1)

    def score(self, x: Tensor) -> Tensor:
        """∇_x log p(x): [B, D] → [B, D]."""
        z = self._whitened(x)
        return -self._unwhitened(_softmax(self._joint_log_prob(z)), z / self._eigenvalues)

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """n draws: [n, D] (or [n, …, D] from a batch of mixtures)."""
        n = count("n", n)
        K = self.means.shape[-2]
        like: dict[str, Any] = dict(dtype=self.means.dtype, device=self.means.device)
        weights = self.weights.detach().expand(self.means.shape[:-1])
        k = torch.multinomial(weights.reshape(-1, K), n, replacement=True, generator=generator).mT
        chosen = torch.nn.functional.one_hot(k.reshape(n, *self.means.shape[:-2]), K).to(**like)
        z = torch.randn(*chosen.shape[:-1], 1, self.dim, generator=generator, **like)
        centre = torch.einsum("...k,...kd->...d", chosen, self.means)
        return centre + self._unwhitened(chosen, self._eigenvalues.sqrt() * z)

    def noised(self, alpha_bar: Tensor | float) -> "GaussianMixture":
        """The law of x_t = √ᾱ x_0 + √(1−ᾱ) ε: again a mixture. alpha_bar: a number or a batch of levels."""
        return self._noised(self._levels(alpha_bar))

    def _noised(self, level: Tensor) -> "GaussianMixture":
        """`noised` for ᾱ of shape […, 1, 1]."""
        root, eigenvalues = level.sqrt(), level * self._eigenvalues + (1 - level)
        noised = GaussianMixture._of(self.weights, root * self.means, eigenvalues, self._basis)
        noised._centres, noised._rotation = root.double() * self._centres, self._rotation
        return noised

    def posterior(self, x_t: Tensor, alpha_bar: Tensor | float) -> "GaussianMixture":
        """p(x_0 | x_t), a batch of mixtures, one for each row: x_t [B, D] → weights [B, K], means [B, K, D].

        ᾱ must lie in (0, 1): at ᾱ = 1 the posterior is a point, at ᾱ = 0 it is p itself.
        """
        level = self._levels(alpha_bar)
        if not ((level > 0) & (level < 1)).all():
            raise ValueError(f"alpha_bar must lie in (0, 1) for a posterior, got {level.flatten().tolist()}")
        responsibility, shift, eigenvalues = self._given(x_t, level)
        means = self.means + torch.einsum("...ke,...kde->...kd", shift, self._basis.to(shift.dtype))
        return GaussianMixture._of(responsibility, means, eigenvalues * (1 - level), self._basis)

    def denoise(self, x_t: Tensor, alpha_bar: Tensor | float) -> Tensor:
        """E[x_0 | x_t], the mean of `posterior`: [B, D] → [B, D]. Defined at ᾱ = 0 and 1 too."""
        responsibility, shift, _ = self._given(x_t, self._levels(alpha_bar))
        return torch.einsum("...k,...kd->...d", responsibility, self.means) + self._unwhitened(responsibility, shift)

    def _given(self, x_t: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What x_t says of each component: its probability [B, K], the shift of its mean in its eigenbasis [B, K, D],
        and λ/(ᾱλ + 1−ᾱ), which shrinks its eigenvalues."""
        noised = self._noised(level)
        z = noised._whitened(x_t)
        shrunk = self._eigenvalues / noised._eigenvalues
        return _softmax(noised._joint_log_prob(z)), level.sqrt() * shrunk * z, shrunk

    def _levels(self, alpha_bar: Tensor | float) -> Tensor:
        """ᾱ as […, 1, 1], so that it broadcasts against [K, D]."""
        alpha_bar = torch.as_tensor(alpha_bar, dtype=self.means.dtype, device=self.means.device)
        if not ((alpha_bar >= 0) & (alpha_bar <= 1)).all():
            raise ValueError(f"alpha_bar must lie in [0, 1], got {alpha_bar.tolist()}")
        return alpha_bar[..., None, None]

    def tilt(self, linear: Tensor | None = None, quadratic: Tensor | None = None) -> tuple["GaussianMixture", Tensor]:
        """(the mixture ∝ p(x) exp(b·x − ½ xᵀA x), its log-normaliser log E_p[exp(b·x − ½ xᵀA x)], […]).

        linear b: [D]. quadratic A: [D, D], symmetric; Σ_k⁻¹ + A must be positive definite for every k, or the integral
        diverges (ValueError). With b = linear/α this is §4's p_pre exp(r/α)/Z in closed form. Works in float64 inside.
        """
        exact = self.to(torch.float64)
        like: dict[str, Any] = dict(dtype=torch.float64, device=self.means.device)
        b = torch.zeros(self.dim, **like) if linear is None else torch.as_tensor(linear, **like)
        A = torch.zeros(self.dim, self.dim, **like) if quadratic is None else torch.as_tensor(quadratic, **like)
        if b.shape != (self.dim,) or A.shape != (self.dim, self.dim):
            raise ValueError(
                f"expected linear [D] and quadratic [D, D], D = {self.dim}, got {list(b.shape)} and {list(A.shape)}"
            )
        if not (torch.isfinite(b).all() and torch.isfinite(A).all() and torch.allclose(A, A.mT)):
            raise ValueError(
                f"linear and quadratic must be finite and quadratic symmetric, got {b.tolist()} and {A.tolist()}"
            )
        # With x = μ + Q√λ y the reward is const + g·y − ½ yᵀBy, so that nothing cancels for narrow components.
        half = exact._basis * exact._eigenvalues.sqrt().unsqueeze(-2)  # Q √λ
        g = ((b - exact.means @ A).unsqueeze(-2) @ half).squeeze(-2)  # […, K, D]
        precision = torch.eye(self.dim, **like) + half.mT @ A @ half  # […, K, D, D]
        factor, failed = torch.linalg.cholesky_ex(precision)  # L Lᵀ
        if failed.any():
            least = torch.linalg.eigvalsh(precision.detach()).min().item()
            raise ValueError(
                f"the tilt has no normaliser: Σ_k⁻¹ + quadratic must be positive definite for every k, got "
                f"{least:.3g} as an eigenvalue of I + Σ_k^½ quadratic Σ_k^½"
            )
        root = torch.linalg.solve_triangular(factor.mT, half, upper=True, left=False)  # Σ' = root rootᵀ
        y = torch.linalg.solve_triangular(factor, g.unsqueeze(-1), upper=False)  # L⁻¹ g
        shift = (root @ y).squeeze(-1)
        at_mean = exact.means @ b - (exact.means @ A * exact.means).sum(-1) / 2
        log_det = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_z = exact.weights.log() + at_mean + (y.square().sum((-2, -1)) - log_det) / 2
        eigenvalues, basis = exact._eigenvalues, exact._basis  # a linear tilt keeps them, and their gradients
        if quadratic is not None:
            basis, scales, _ = torch.linalg.svd(root)
            eigenvalues = scales.square()
        tilted = GaussianMixture._of(log_z.softmax(-1), exact.means + shift, eigenvalues, basis)
        return tilted.to(self.means.dtype), log_z.logsumexp(-1).to(self.means.dtype)


def _softmax(logits: Tensor) -> Tensor:
    """softmax over the last axis; several times faster than torch's own when that axis is short."""
    weights = (logits - logits.detach().amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)


def _isotropic(stds: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    if stds.shape[-1:] != means.shape[-2:-1]:
        raise ValueError(f"expected stds [K] = [{means.shape[-2]}], got {list(stds.shape)}")
    if not (torch.isfinite(stds) & (stds > 0)).all():
        raise ValueError(f"stds must be finite and > 0, got {stds.tolist()}")
    eye = torch.eye(means.shape[-1], dtype=torch.float64, device=means.device)
    return stds.square().unsqueeze(-1).expand(*stds.shape, means.shape[-1]), eye.expand(*stds.shape, *eye.shape)


def _eigenbasis(covariances: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    K, D = means.shape[-2:]
    if covariances.shape[-3:] != (K, D, D):
        raise ValueError(f"expected covariances [K, D, D] = [{K}, {D}, {D}], got {list(covariances.shape)}")
    if not torch.isfinite(covariances).all():
        raise ValueError("covariances must be finite, got NaN or infinity")
    scale = covariances.detach().abs().amax((-1, -2), keepdim=True)
    asymmetry = (covariances - covariances.mT).detach().abs()
    if not (asymmetry <= 1e-5 * scale).all():
        raise ValueError(f"covariances must be symmetric, got entries that differ by {asymmetry.max().item():.3g}")
    eigenvalues, basis = torch.linalg.eigh(covariances.double())
    floor = torch.finfo(covariances.dtype).eps * eigenvalues.detach().amax(-1, keepdim=True)
    if (eigenvalues <= floor).any():
        k = int((eigenvalues <= floor).any(-1).reshape(-1).int().argmax()) % K
        raise ValueError(
            f"covariances must be positive definite; that of component {k} is singular or indefinite "
            f"(smallest eigenvalue {eigenvalues.min().item():.3g})"
        )
    return eigenvalues.to(covariances.dtype), basis
