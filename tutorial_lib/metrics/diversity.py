r"""How varied is a sample? Numbers that fall when a model collapses (§3, Mechanism 2).

entropy        H = −∫ p log p, in nats; −∞ for a sample that repeats itself
modes covered  components of a mixture that still receive a share of the samples
mean distance  E‖x − x′‖, for data without a known density, such as images
class entropy  −Σ_k s_k log s_k of the shares of labelled classes, in nats
"""

import math

import torch
from scipy.spatial import cKDTree
from scipy.special import digamma
from torch import Tensor

from ..checks import batch_of, count, positive
from ..distributions import GaussianMixture


def entropy(x: Tensor, *, k: int = 3) -> float:
    """Differential entropy of the law of x [n, …] in nats, from the distance ε_i of each point to its kth neighbour:

        H ≈ ψ(n) − ψ(k) + log V_D + (D/n) Σ_i log ε_i      (Kozachenko & Leonenko 1987; Kraskov et al. 2004)

    with V_D the volume of the unit ball. For points in a few dimensions. −∞ where a point has k exact copies.
    """
    points = _finite(x, least=count("k", k) + 1).double()
    n, D = points.shape
    gap = torch.as_tensor(cKDTree(points.cpu().numpy()).query(points.cpu().numpy(), [k + 1])[0])
    log_ball = D / 2 * math.log(math.pi) - math.lgamma(D / 2 + 1)
    return float(digamma(n) - digamma(k)) + log_ball + D * gap.log().mean().item()


def mode_shares(x: Tensor, mixture: GaussianMixture, *, weights: Tensor | None = None, radius: float = 3.0) -> Tensor:
    """The share of samples [n, D] that each component holds, [K] in float64; strays belong to none.

    A sample belongs to the component that is nearest in Mahalanobis distance, if that is at most `radius` standard
    deviations. `weights` [n] that sum to one count cells of a grid instead of samples.
    """
    batch_of("x", _finite(x, least=1), (mixture.dim,))
    away = x.double().unsqueeze(1) - mixture.means.double()  # [n, K, D]
    precision = torch.linalg.inv(mixture.covariances.double())
    distance, nearest = torch.einsum("nkd,kde,nke->nk", away, precision, away).min(1)
    weights = torch.full_like(distance, 1 / len(x)) if weights is None else weights.double()
    if weights.shape != distance.shape or not abs(float(weights.sum()) - 1) <= 1e-6:
        total = float(weights.sum())
        raise ValueError(f"expected weights {[len(x)]} that sum to one, got {list(weights.shape)} with sum {total:.6g}")
    held = weights * (distance <= positive("radius", radius) ** 2)
    return torch.zeros_like(mixture.weights, dtype=torch.float64).index_add(0, nearest, held)


def modes_covered(
    x: Tensor, mixture: GaussianMixture, *, weights: Tensor | None = None, radius: float = 3.0, share: float = 0.02
) -> int:
    """How many components hold at least `share` of the samples, counted as in `mode_shares`.

    The usual count of papers on mode collapse (Srivastava et al. 2017, VEEGAN) takes a mode as captured by a single
    sample within three standard deviations; a share keeps one stray from counting as coverage.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share!r}")
    return int((mode_shares(x, mixture, weights=weights, radius=radius) >= share).sum())


def mean_distance(x: Tensor) -> float:
    """E‖x − x′‖ over pairs of different samples [n, …], in x's units; time and memory grow with n²."""
    return torch.pdist(_finite(x, least=2)).mean().item()


def mean_distance_error(x: Tensor) -> float:
    """Standard error of `mean_distance` of n draws [n, …], n ≥ 3: 2/√n times the spread of each one's own mean."""
    flat = _finite(x, least=3)
    own = torch.cdist(flat, flat).sum(1) / (len(flat) - 1)
    return 2 * own.std().item() / len(flat) ** 0.5


def class_entropy(labels: Tensor, weights: Tensor | None = None) -> float:
    """Entropy in nats of the classes of a sample: labels [n], whole numbers ≥ 0; weights [n] ≥ 0, even unless given."""
    return torch.special.entr(_class_shares(labels, weights)[0]).sum().item()


def class_entropy_error(labels: Tensor, weights: Tensor | None = None) -> float:
    """Standard error of `class_entropy`, by the delta method: (Σ w² (−log s_label − H)²)^½ for w that sum to one.

    With few samples of many classes the entropy is also too small, by about (classes − 1)/2n.
    """
    shares, weights = _class_shares(labels, weights)
    entropy = torch.special.entr(shares).sum()
    surprise = -shares.clamp_min(1e-300).log()[labels.long()]  # a class may weigh nothing at all
    return (weights * (surprise - entropy)).square().sum().sqrt().item()


def _class_shares(labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """(the share of each class [K], the weights of the samples [n]), both of sum one."""
    if labels.ndim != 1 or not len(labels) or labels.is_floating_point() or labels.min() < 0:
        raise ValueError(f"expected labels [n], whole numbers ≥ 0, n ≥ 1, got {labels.dtype} {list(labels.shape)}")
    weights = torch.ones_like(labels, dtype=torch.float64) if weights is None else weights.double()
    total = float(weights.sum())
    if weights.shape != labels.shape or not (0 < total < math.inf and weights.min() >= 0):
        raise ValueError(f"expected weights {[len(labels)]} ≥ 0, not all 0, got {list(weights.shape)} of sum {total:g}")
    return torch.bincount(labels, weights) / total, weights / total


def _finite(x: Tensor, *, least: int) -> Tensor:
    """x [n, …] as [n, D]; ValueError where there are fewer than `least` samples or some are not finite."""
    if x.ndim < 2 or len(x) < least:
        raise ValueError(f"expected samples [n, …], n ≥ {least}, got {list(x.shape)}")
    if not torch.isfinite(x).all():
        raise ValueError("samples must be finite, got NaN or infinity")
    return x.detach().flatten(1)
