r"""Data that stop at a reward cut, and what lies beyond (§1.2): the world, its reward models, every method's samples.

Points lie along an arm that leads towards a goal at the origin, r(x) = −‖x‖², and stop where r reaches the cut. The
model that is trained perfectly on them, smooth at the scale h, is one Gaussian of std h on each point; the conditional
one, the same on the best third. A learned reward of degree d ≤ 2 tilts either into another mixture, in closed form.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...denoisers import ExactDenoiser
from ...distributions import GaussianMixture
from ...grids import Grid
from ...guidance import classifier_free
from ...policies import DenoisingPolicy, rollout
from ...rewards import PolynomialReward, Reward, fit_polynomial, peak
from ...schedules import NoiseSchedule

H, T, POINTS, PARTICLES = 0.2, 20, 180, 300
CUT, CUTS, STRENGTHS, ALPHAS = -2.0, (-5.0, -0.5), (0.0, 8.0), (0.04, 4.0)
DEGREES = {"quadratic": 2, "linear": 1}
SCHEDULE = NoiseSchedule.cosine(T, data_std=H)
GRID = Grid(3.6, 81)
WINDOW = ((-3.5, 3.5), (-2.5, 2.3))  # what a map shows of x and y
ROWS = ("data", "best third", "best of 16", "guided", "RL")

truth: Reward = peak((0.0, 0.0))
TRUE = PolynomialReward(0.0, torch.zeros(2, dtype=torch.float64), 2 * torch.eye(2, dtype=torch.float64), 1.0)


@functools.cache
def arm(seed: int = 0) -> Tensor:
    """The points, sorted by true reward: [180, 2]."""
    generator = torch.Generator().manual_seed(seed)
    along = torch.rand(POINTS, generator=generator)
    radius, angle = 3.1 - 2.6 * along, torch.deg2rad(195 + 55 * along)
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
    points = points + 0.15 * torch.randn(POINTS, 2, generator=generator)
    return points[truth(points).argsort()]


def chain(mixture: GaussianMixture) -> DenoisingPolicy:
    """The chain whose denoiser is exact for a mixture."""
    return DenoisingPolicy(ExactDenoiser(mixture, SCHEDULE), SCHEDULE)


def law(policy: DenoisingPolicy) -> GaussianMixture:
    """The mixture behind a chain that `chain` made."""
    assert isinstance(policy.denoiser, ExactDenoiser)
    return policy.denoiser.mixture


def smooth(points: Tensor) -> DenoisingPolicy:
    """The chain of a Gaussian of std h on each of the points [N, 2]; its `law` is a kernel density estimate."""
    n = len(points)
    return chain(GaussianMixture(torch.full((n,), 1 / n), points, stds=torch.full((n,), H)))


def best_third(points: Tensor) -> Tensor:
    """The third of the points with the highest true reward."""
    return points[truth(points).argsort()[-(len(points) // 3) :]]


def noisy_labels(points: Tensor, seed: int = 0) -> Tensor:
    """True rewards with noise of std 0.1: [N]."""
    return truth(points) + 0.1 * torch.randn(len(points), generator=torch.Generator().manual_seed(seed + 100))


def density_of(mixture: GaussianMixture) -> Tensor:
    """The density on the grid, [n, n]."""
    return mixture.log_prob(GRID.points).exp().reshape(GRID.n, GRID.n)


@dataclass(frozen=True, eq=False)
class Scene:
    """What one cut fixes: the points at or below it [N, 2], the model of them, that of their best third, both learned
    rewards, and the pretrained density on the grid [n, n]."""

    cut: float
    kept: Tensor
    pretrained: DenoisingPolicy
    conditional: DenoisingPolicy
    rewards: Mapping[str, PolynomialReward]
    density: Tensor


@functools.lru_cache(maxsize=64)
def scene(cut: float = CUT, seed: int = 0) -> Scene:
    """The points of `arm(seed)` with a true reward of at most `cut`, and all that is made from them."""
    kept = arm(seed)[truth(arm(seed)) <= cut]
    if len(kept) < 12:
        raise ValueError(f"a cut at {cut:g} keeps {len(kept)} points, expected at least 12; raise it")
    labels = noisy_labels(kept, seed)
    rewards = {name: fit_polynomial(kept, labels, degree=degree) for name, degree in DEGREES.items()}
    pretrained = smooth(kept)
    return Scene(cut, kept, pretrained, smooth(best_third(kept)), rewards, density_of(law(pretrained)))


@functools.lru_cache(maxsize=8)
def guided(scene: Scene, strength: float, n: int = PARTICLES, seed: int = 0) -> Tensor:
    """Samples of classifier-free guidance on the best third: [n, 2]."""
    generator = torch.Generator().manual_seed(seed)
    return classifier_free.sample(scene.pretrained, scene.conditional, n=n, strength=strength, generator=generator).x_0


@functools.lru_cache(maxsize=8)
def best_of(scene: Scene, reward: Reward, m: int, n: int = PARTICLES, seed: int = 0) -> Tensor:
    """The best by `reward` of m pretrained samples, n times: [n, 2]."""
    x = law(scene.pretrained).sample(n * m, generator=torch.Generator().manual_seed(seed)).reshape(n, m, 2)
    best = reward(x.reshape(-1, 2)).reshape(n, m).argmax(1)
    return x[torch.arange(n), best]


def gliding(mixture: GaussianMixture, n: int = PARTICLES, seed: int = 0) -> Tensor:
    """Draws of a mixture that move little when it does, [n, 2]: the same noise in components of the same order."""
    generator = torch.Generator().manual_seed(seed)
    u, z = (torch.arange(n) + torch.rand(n, generator=generator)) / n, torch.randn(n, 2, generator=generator)
    component = torch.searchsorted(mixture.weights.cumsum(0), u).clamp_max(len(mixture.weights) - 1)
    root = torch.linalg.cholesky(mixture.covariances[component])
    return mixture.means[component] + torch.einsum("nij,nj->ni", root, z)


@dataclass(frozen=True)
class Summary:
    """Samples against the cut: the share above it, mean true reward and its standard error."""

    above: float
    reward: float
    error: float


def summary(x: Tensor, cut: float) -> Summary:
    """Of samples [n, 2]."""
    r = truth(x).double()
    return Summary(float((r > cut).double().mean()), float(r.mean()), float(r.std()) / math.sqrt(len(r)))


@dataclass(frozen=True, eq=False)
class Answer:
    """One setting. Of each method in ROWS: samples [n, 2], their true rewards [n], their summary, and the share of them
    outside WINDOW. Of RL's optimum the predicted reward and the KL, exactly."""

    scene: Scene
    strength: float
    alpha: float
    reward: str
    samples: Mapping[str, Tensor]
    rewards: Mapping[str, Tensor]
    summaries: Mapping[str, Summary]
    outside: Mapping[str, float]
    predicted: float
    kl: float


def answer(scene: Scene, *, strength: float, alpha: float, reward: str) -> Answer:
    """What guidance of one strength and RL at one α make of a scene. The noise is the same at every setting."""
    if reward not in scene.rewards:
        raise ValueError(f"unknown reward model {reward!r}; known: {', '.join(scene.rewards)}")
    learned = scene.rewards[reward]
    tilted, objective = learned.tilt(law(scene.pretrained), alpha)
    predicted = learned.expected(tilted)
    chosen = best_of(scene, learned, 16)
    found = (scene.kept, best_third(scene.kept), chosen, guided(scene, strength), gliding(tilted))
    samples = dict(zip(ROWS, found, strict=True))
    return Answer(
        scene,
        strength,
        alpha,
        reward,
        samples,
        rewards={name: truth(x) for name, x in samples.items()},
        summaries={name: summary(x, scene.cut) for name, x in samples.items()},
        outside={name: outside(x) for name, x in samples.items()},
        predicted=predicted,
        kl=max((predicted - objective) / alpha, 0.0),
    )


def outside(x: Tensor) -> float:
    """The share of samples [n, 2] that no map shows."""
    low, high = torch.tensor(WINDOW).T
    return float(((x < low) | (x > high)).any(1).float().mean())


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The parts of the pipeline: a scene, its reward model on the grid [n, n], four paths [T+1, 4, 2] of the pretrained
    and of the tuned model from the same noise, and the tuned density on the grid [n, n]."""

    scene: Scene
    reward: Tensor
    before: Tensor
    after: Tensor
    tuned: Tensor


def pipeline(scene: Scene, alpha: float) -> Pipeline:
    """Pretrained model → reward model → RL → tuned model, at one α with the quadratic reward model."""
    reward = scene.rewards["quadratic"]
    tuned = chain(reward.tilt(law(scene.pretrained), alpha)[0])
    before, after = (
        rollout(policy, 4, generator=torch.Generator().manual_seed(1)).x for policy in (scene.pretrained, tuned)
    )
    return Pipeline(scene, reward(GRID.points).reshape(GRID.n, GRID.n), before, after, density_of(law(tuned)))
