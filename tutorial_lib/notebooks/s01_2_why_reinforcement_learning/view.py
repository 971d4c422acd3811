r"""Data that stop at a reward cut, and what lies beyond (§1.2): the world, its reward models, pictures and widget.

Points lie along an arm that leads towards a goal at the origin, r(x) = −‖x‖², and stop where r reaches the cut. The
model that is trained perfectly on them, smooth at the scale h, is one Gaussian of std h on each point; the conditional
one, the same on the best third. A learned reward of degree d ≤ 2 tilts either into another mixture, in closed form.
"""

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, ConnectionPatch, Rectangle
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor

from ... import plots
from ...checks import positive
from ...denoisers import ExactDenoiser
from ...distributions import GaussianMixture
from ...grids import Grid
from ...guidance import classifier_free
from ...policies import DenoisingPolicy, rollout
from ...rewards import Reward, peak
from ...schedules import NoiseSchedule
from ...widgets import Picture, choice, log_slider, slider, together, words

H, T, POINTS, PARTICLES, EXTENT = 0.2, 20, 180, 300, 3.6
CUT, CUTS, STRENGTHS, ALPHAS = -2.0, (-5.0, -0.5), (0.0, 8.0), (0.04, 4.0)
GUIDED = "#7a4fa3"
DEGREES = {"quadratic": 2, "linear": 1}
SCHEDULE = NoiseSchedule.cosine(T, data_std=H)

truth: Reward = peak((0.0, 0.0))


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


@dataclass(frozen=True, eq=False)
class LearnedReward:
    """r̂(x) = c + b·x − ½ xᵀA x, with the share R² of its labels' variance that it explains."""

    c: float
    b: Tensor
    A: Tensor
    R2: float

    def __call__(self, x: Tensor) -> Tensor:
        """[B, 2] → [B]."""
        return self.c + x @ self.b.to(x) - ((x @ self.A.to(x)) * x).sum(-1) / 2

    def tilt(self, mixture: GaussianMixture, alpha: float) -> tuple[GaussianMixture, float]:
        """(p exp(r̂/α)/Z, α log Z), the optimum and its objective J*."""
        alpha = positive("alpha", alpha)
        tilted, log_z = mixture.tilt(linear=self.b / alpha, quadratic=self.A / alpha)
        return tilted, self.c + alpha * float(log_z)


def fit_reward(points: Tensor, labels: Tensor, degree: int) -> LearnedReward:
    """Least squares on the monomials of degree 1 to `degree`, 1 or 2: points [N, 2], labels [N]."""
    if degree not in DEGREES.values():
        raise ValueError(f"degree must be 1 or 2, got {degree!r}")
    features = PolynomialFeatures(degree, include_bias=False).fit_transform(points.double().numpy())
    fitted = LinearRegression().fit(features, labels.double().numpy())
    weight = torch.as_tensor(fitted.coef_)
    A = torch.zeros(2, 2, dtype=torch.float64)
    if degree == 2:  # the features are x₁, x₂, x₁², x₁x₂, x₂²
        A = -torch.stack([2 * weight[2], weight[3], weight[3], 2 * weight[4]]).reshape(2, 2)
    score = fitted.score(features, labels.double().numpy())
    return LearnedReward(float(fitted.intercept_), weight[:2], A, float(score))


def noisy_labels(points: Tensor, seed: int = 0) -> Tensor:
    """True rewards with noise of std 0.1: [N]."""
    return truth(points) + 0.1 * torch.randn(len(points), generator=torch.Generator().manual_seed(seed + 100))


@dataclass(frozen=True, eq=False)
class Scene:
    """What one cut fixes: the points at or below it [N, 2], the model of them, that of their best third, both learned
    rewards, and the pretrained density on the grid [n, n]."""

    cut: float
    kept: Tensor
    pretrained: DenoisingPolicy
    conditional: DenoisingPolicy
    rewards: Mapping[str, LearnedReward]
    density: Tensor


GRID = Grid(EXTENT, 81)


def density_of(mixture: GaussianMixture) -> Tensor:
    """The density on the grid, [n, n]."""
    return mixture.log_prob(GRID.points).exp().reshape(GRID.n, GRID.n)


@functools.lru_cache(maxsize=64)
def scene(cut: float = CUT, seed: int = 0) -> Scene:
    """The points of `arm(seed)` with a true reward of at most `cut`, and all that is made from them."""
    kept = arm(seed)[truth(arm(seed)) <= cut]
    if len(kept) < 12:
        raise ValueError(f"a cut at {cut:g} keeps {len(kept)} points, expected at least 12; raise it")
    labels = noisy_labels(kept, seed)
    rewards = {name: fit_reward(kept, labels, degree) for name, degree in DEGREES.items()}
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
    """One setting: samples [n, 2] of each method by name; of RL's optimum the predicted reward and the KL, exactly."""

    samples: Mapping[str, Tensor]
    predicted: float
    kl: float


ROWS = ("data", "best third", "best of 16", "guided", "RL")
COLORS = dict(zip(ROWS, (plots.PRETRAINED, plots.PRETRAINED, plots.PRETRAINED, GUIDED, plots.TARGET), strict=True))


def answer(scene: Scene, strength: float, alpha: float, reward_name: str) -> Answer:
    """What guidance of one strength and RL at one α make of a scene. The noise is the same at every setting."""
    reward = scene.rewards[reward_name]
    tilted, objective = reward.tilt(law(scene.pretrained), alpha)
    predicted = expected(reward, tilted)
    chosen = best_of(scene, reward, 16)
    samples = (scene.kept, best_third(scene.kept), chosen, guided(scene, strength), gliding(tilted))
    kl = max((predicted - objective) / alpha, 0.0)
    return Answer(dict(zip(ROWS, samples, strict=True)), predicted, kl)


def expected(reward: LearnedReward, mixture: GaussianMixture) -> float:
    """E[r̂(x)] under a mixture, from its mean and covariance."""
    mean, covariance = mixture.mean.double(), mixture.covariance.double()
    return reward.c + float(mean @ reward.b - mean @ reward.A @ mean / 2 - (reward.A * covariance).sum() / 2)


TRUE = LearnedReward(0.0, torch.zeros(2, dtype=torch.float64), 2 * torch.eye(2, dtype=torch.float64), 1.0)


def show_map(ax: Axes, scene: Scene, x: Tensor, *, color: str, title: str = "") -> None:
    """Samples [n, 2] on the pretrained density, with the goal and the circle where the true reward is the cut."""
    plots.density(ax, scene.density, extent=EXTENT)
    _mark(ax, scene.cut)
    plots.samples(ax, x, color=color, size=5)
    _window(ax, title)


def _mark(ax: Axes, cut: float) -> tuple[Circle, Line2D]:
    """The circle of the cut, and the goal."""
    circle = Circle((0, 0), math.sqrt(-cut), fill=False, color=plots.REWARD, linewidth=1.5, zorder=2)
    ax.add_patch(circle)
    (goal,) = ax.plot(0, 0, "*", color=plots.REWARD, markersize=12, markeredgewidth=0, zorder=2)
    return circle, goal


def _window(ax: Axes, title: str) -> None:
    plots.bare(ax, EXTENT, title).set(xlim=(-3.5, 3.5), ylim=(-2.5, 2.3))
    ax.spines[:].set(visible=True, color="#cccccc")


def pipeline(scene: Scene, alpha: float) -> None:
    """Pretrained model → reward model → RL → tuned model, each box a picture of its own part."""
    figure, axes = plt.subplots(1, 4, figsize=(11.5, 2.4), gridspec_kw={"wspace": 0.12})
    pretrained, reward = law(scene.pretrained), scene.rewards["quadratic"]
    tuned = chain(reward.tilt(pretrained, alpha)[0])
    plots.density(axes[0], scene.density, extent=EXTENT)
    plots.samples(axes[0], scene.kept, color=plots.PRETRAINED, size=6)
    plots.reward_contours(axes[1], GRID.axis, reward(GRID.points).reshape(GRID.n, GRID.n))
    plots.samples(axes[1], scene.kept, color=plots.PRETRAINED, size=6)
    for policy, color in ((scene.pretrained, plots.PRETRAINED), (tuned, plots.TARGET)):
        path = rollout(policy, 4, generator=torch.Generator().manual_seed(1)).x
        axes[2].plot(path[..., 0], path[..., 1], color=color, linewidth=1.0, alpha=0.8)
        axes[2].plot(*path[0].T, "o", color=color, markersize=6)
    for ax in (axes[0], axes[3]):
        _mark(ax, scene.cut)
    plots.density(axes[3], density_of(law(tuned)), extent=EXTENT, color=plots.TARGET)
    titles = ("1  pretrained model", "2  reward model", "3  RL", "4  tuned model")
    below = ("makes likely samples", "scores them", "steers every denoising step", "makes good samples")
    for ax, title, text in zip(axes, titles, below, strict=True):
        _window(ax, title)
        ax.set_xlabel(text)
    for before, after in itertools.pairwise(axes):
        ends: dict[str, Any] = dict(xyA=(1.0, 0.5), xyB=(0.0, 0.5), coordsA=before.transAxes, coordsB=after.transAxes)
        arrow = ConnectionPatch(**ends, arrowstyle="-|>", mutation_scale=14, color="#444444", zorder=5)
        arrow.set_in_layout(False)
        figure.add_artist(arrow)


class BeyondView:
    """Three panels: a map of guided samples, one of RL's, and the true rewards of every method, a row each."""

    LOW = -13.0

    def __init__(self, first: Scene):
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.3), width_ratios=[1.15, 1.15, 1])
        self.grey = [plots.density(ax, first.density, extent=EXTENT) for ax in axes[:2]]
        self.marks = [_mark(ax, first.cut) for ax in axes[:2]]
        self.maps = {
            name: plots.samples(ax, torch.zeros(1, 2), color=COLORS[name], size=5)
            for name, ax in zip(("guided", "RL"), axes[:2], strict=True)
        }
        for ax, title in zip(axes[:2], ("Conditional model, guided", "What RL aims at"), strict=True):
            _window(ax, title)
        ax = axes[2]
        self.beyond = ax.add_patch(Rectangle((0, -1), 1, 6, color=plots.REWARD, alpha=0.15, linewidth=0))
        self.strips = {name: ax.scatter([], [], s=5, alpha=0.3, linewidths=0, color=COLORS[name]) for name in ROWS}
        self.means = {name: ax.plot([], [], "|", markersize=18, color="black")[0] for name in ROWS}
        place: dict[str, Any] = dict(x=1.02, transform=ax.get_yaxis_transform(), va="center", fontsize=10)
        self.shares = [ax.text(y=len(ROWS) - 1 - i, s="100%", **place) for i in range(len(ROWS))]
        ax.set(xlim=(self.LOW, 0.3), ylim=(-0.6, 4.6), yticks=range(4, -1, -1), yticklabels=ROWS, xlabel="true reward")
        ax.set_title("Share above the cut", loc="right")
        ax.tick_params(axis="y", length=0)
        frames = itertools.chain(*(ax.spines.values() for ax in axes[:2]))
        moving = [*self.grey, *itertools.chain(*self.marks), *self.maps.values(), self.beyond, *self.strips.values()]
        self.picture = Picture(figure, [*moving, *self.means.values(), *self.shares, *frames])

    def draw(self, scene: Scene, found: Answer) -> None:
        """Move the artists to one setting. Rewards below the panel stay at its edge."""
        for image in self.grey:
            plots.scale_to(image, scene.density)
        for circle, _ in self.marks:
            circle.set_radius(math.sqrt(-scene.cut))
        for name, points in self.maps.items():
            points.set_offsets(found.samples[name].numpy())
        self.beyond.set_x(scene.cut)
        self.beyond.set_width(1 - scene.cut)
        for i, (name, x) in enumerate(found.samples.items()):
            row, r = len(ROWS) - 1 - i, truth(x).clamp_min(self.LOW)
            spread = 0.4 * (torch.arange(len(x)) * 0.618 % 1 - 0.5)
            self.strips[name].set_offsets(torch.stack([r, row + spread], -1).numpy())
            self.means[name].set_data([float(truth(x).mean().clamp_min(self.LOW))], [row])
            self.shares[i].set_text(f"{summary(x, scene.cut).above:.0%}")


def in_words(scene: Scene, found: Answer, reward_name: str) -> str:
    """Where guidance and RL stand against the cut, and whether the reward model told the truth."""
    data, pulled, tuned = (summary(found.samples[name], scene.cut) for name in ("data", "guided", "RL"))
    worse = " <b style='color:#b0413e'>Truly worse than the data.</b>" if tuned.reward < data.reward else ""
    text = (
        f"Above the cut: guided <b>{pulled.above:.0%}</b>, RL <b>{tuned.above:.0%}</b> (KL {found.kl:.1f} nats). "
        f"The {reward_name} reward model explains {scene.rewards[reward_name].R2:.1%} of the data's scores; of RL's "
        f"samples it promises {found.predicted:.2f}, and the truth is <b>{tuned.reward:.2f}</b> "
        f"(data {data.reward:.2f}).{worse}"
    )
    return text.replace("-", "−")


def explore() -> ui.VBox:
    """The widget: the cut, the guidance strength γ, α, and which reward model."""
    view, text = BeyondView(scene()), words()
    view.picture.widget.add_class("beyond")
    for step in range(int(4 * CUTS[0]), int(4 * CUTS[1]) + 1):
        scene(step / 4)  # or the slider would wait for it

    def respond(cut: float, strength: float, alpha: float, reward_name: str) -> None:
        here = scene(round(cut, 2))
        found = answer(here, strength, alpha, reward_name)
        view.draw(here, found)
        view.picture.refresh()
        text.value = in_words(here, found, reward_name)

    controls = [
        slider("reward cut", CUT, *CUTS, 0.25),
        slider("guidance strength γ", 2.0, *STRENGTHS, 0.25),
        log_slider("α", 0.1, *ALPHAS),
        choice("reward model", tuple(DEGREES)),
    ]
    return together(controls, respond, view.picture.widget, text)
