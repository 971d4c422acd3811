r"""What a reader moves in the notebook on reward-weighted MLE (§6.1): α against the effective sample size.

    w_i ∝ exp(r(x_i)/α),  x_i ~ p_pre;   ESS = 1/Σ w_i² → n Z(α)²/Z(α/2),   Z(α) = E_pre[exp(r/α)]

A `Scene` holds what no slider changes; `answer` maps settings to arrays; `WeightView` draws them.
Shapes: B, n, N samples of p_pre; m grid cells a side.
"""

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image
from matplotlib.figure import Figure
from torch import Tensor
from tqdm.auto import tqdm

from ... import plots, worlds
from ...algorithms import Step, run
from ...algorithms.reward_weighted_mle import fine_tune, share_of_samples
from ...checks import positive
from ...exact import SoftValues, Tilt, TiltedDensity
from ...metrics import quiet_objective
from ...policies import Policy, SteeredPolicy, rollout
from ...rewards import Reward, peak, query
from ...widgets import Picture, choice, log_slider, notches, together, words

ALPHAS, SIZES = (0.05, 5.0), (100, 500, 2500)
REWARDS = {"a peak on the ring": peak((2.0, 0.5)), "a peak beyond the ring": peak((3.0, 1.0))}
BLUR, SHOWN = 0.15, 3.7
OFFLINE, ONLINE, LIMIT = "offline", "online", "endless samples"
COLORS = {OFFLINE: plots.PRETRAINED, ONLINE: plots.TUNED, LIMIT: plots.TARGET}


def exact_share(tilted: TiltedDensity, alpha: float) -> float:
    """Z(α)²/Z(α/2): the share of n that ESS tends to, from J* = α log Z at α and at α/2."""
    return math.exp(2 / positive("alpha", alpha) * (tilted.at(alpha).objective - tilted.at(alpha / 2).objective))


@dataclass(frozen=True, eq=False)
class Scene:
    """One reward on Ring: samples x_0 [N, 2] of p_pre and their rewards [N]; the exact share at alphas [M]; and each
    sample's blurred indicator along both axes, [2, m, N]."""

    tilted: TiltedDensity
    x_0: Tensor
    rewards: Tensor
    alphas: Tensor
    shares: Tensor
    bumps: Tensor


@functools.lru_cache(maxsize=2)
def scene(reward_name: str) -> Scene:
    """The scene of one of REWARDS; ValueError for another."""
    if reward_name not in REWARDS:
        raise ValueError(f"unknown reward {reward_name!r}; known: {', '.join(REWARDS)}")
    world, reward = worlds.ring(T=20), REWARDS[reward_name]
    tilted = TiltedDensity(world.pretrained, reward, extent=5.0, grid=101)
    x_0 = rollout(world.pretrained, SIZES[-1], generator=torch.Generator().manual_seed(0)).x_0
    alphas = torch.logspace(math.log10(ALPHAS[0]), math.log10(ALPHAS[1]), 41)
    shares = torch.tensor([exact_share(tilted, float(alpha)) for alpha in alphas])
    distance = tilted.grid.axis.float()[:, None] - x_0.T[:, None]
    bumps = (-(distance / BLUR).square() / 2).exp() / (BLUR * math.sqrt(2 * math.pi))
    return Scene(tilted, x_0, query(reward, x_0), alphas, shares, bumps)


@dataclass(frozen=True)
class Answer:
    """One setting: weights [n], their effective sample size and n times the exact share; the weighted samples' density,
    blurred [m, m]; their mean reward; and the exact target."""

    alpha: float
    weights: Tensor
    effective: float
    foretold: float
    density: Tensor
    reward: float
    target: Tilt


def answer(scene: Scene, alpha: float, n: int) -> Answer:
    """The first n samples, weighted by exp(r/α)."""
    weights = (scene.rewards[:n] / positive("alpha", alpha)).softmax(0)
    first, second = scene.bumps[:, :, :n]
    return Answer(
        alpha,
        weights,
        n * share_of_samples(weights),
        n * exact_share(scene.tilted, alpha),
        (first * weights) @ second.mT,
        float(weights @ scene.rewards[:n]),
        scene.tilted.at(alpha),
    )


def in_words(found: Answer) -> str:
    """How many samples are left, and whether what they say can be trusted."""
    n, heaviest = len(found.weights), float(found.weights.max())
    verdict = (
        "<b>Enough to learn from.</b>"
        if found.effective >= 100
        else "<b>Few: what is learned will remember them.</b>"
        if found.effective >= 10
        else "<b style='color:#b0413e'>A handful: these points are what will be learned.</b>"
    )
    foretold = f"{found.foretold:.1f}" if found.foretold >= 1 else "not even one"
    text = (
        f"α = {found.alpha:.3g}: <b>{found.effective:.1f} effective samples</b> of {n} ({foretold} foretold), the "
        f"heaviest carries {heaviest:.1%}. {verdict}<br>"
        f"Mean reward under the weights {found.reward:.2f}, under the exact target {found.target.reward:.2f}."
    )
    return text.replace("-", "−")


class WeightView:
    """Three panels: samples as large as their weights on the exact target, what they add up to, and ESS against α."""

    def __init__(self, scene: Scene):
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.15])
        extent, mass = scene.tilted.grid.extent, scene.tilted.pretrained
        titles = ("Exact target, weighted samples", "What these samples show")
        self.target = plots.density(axes[0], mass, extent=extent, color=plots.TARGET, title=titles[0])
        self.points = plots.samples(axes[0], scene.x_0[:1])
        self.density = plots.density(axes[1], mass, extent=extent, color=plots.TUNED, title=titles[1])
        for ax in axes[:2]:
            ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
        ax = axes[2]
        (self.curve,) = ax.loglog([], [], color=plots.TARGET)
        (self.here,) = ax.loglog([], [], "o", color=plots.TUNED, markersize=9)
        ax.axhline(1, color=plots.PRETRAINED, linewidth=1, linestyle="--")
        ax.text(ALPHAS[1], 1.1, "one sample", ha="right", va="bottom", color=plots.PRETRAINED, fontsize=10)
        ax.set(
            xlim=(ALPHAS[0] / 1.12, ALPHAS[1] * 1.12),
            ylim=(0.3, SIZES[-1]),
            xlabel="α",
            title="Effective samples: foretold, and these",
        )
        self.picture = Picture(figure, [self.target, self.points, self.density, self.curve, self.here])

    def draw(self, scene: Scene, found: Answer) -> None:
        """Move the artists to one setting."""
        n = len(found.weights)
        plots.scale_to(self.target, found.target.mass)
        plots.scale_to(self.density, found.density)
        self.points.set_offsets(scene.x_0[:n].numpy())
        self.points.set_sizes(areas(found.weights))
        self.curve.set_data(scene.alphas, n * scene.shares)
        self.here.set_data([found.alpha], [found.effective])


def areas(weights: Tensor) -> np.ndarray:
    """Marker areas for weights [n] that sum to one; an even weight still makes a small dot."""
    return (1 + 1500 * weights).clamp_max(500).numpy()


FIRST = (0.5, 500, "a peak beyond the ring")


def weights() -> ui.VBox:
    """The widget: α, the number of samples, and the reward."""
    view, text = WeightView(scene(FIRST[2])), words()
    view.picture.widget.add_class("weights")
    for name in REWARDS:
        scene(name)  # or the menu would wait for it

    def respond(alpha: float, n: int, reward_name: str) -> None:
        found = answer(scene(reward_name), alpha, n)
        view.draw(scene(reward_name), found)
        view.picture.refresh()
        text.value = in_words(found)

    controls = [
        log_slider("α", FIRST[0], *ALPHAS),
        notches("samples n", SIZES, FIRST[1]),
        choice("reward", list(REWARDS), FIRST[2]),
    ]
    return together(controls, respond, view.picture.widget, text)


def first_weights() -> Image:
    """The widget's first state, for a page without a kernel."""
    alpha, n, reward_name = FIRST
    view = WeightView(scene(reward_name))
    view.draw(scene(reward_name), answer(scene(reward_name), alpha, n))
    return view.picture.still()


@dataclass(frozen=True)
class Row:
    """One α of a contest: the effective sample size of p_pre's samples, and each form's regret."""

    alpha: float
    effective: float
    regrets: Mapping[str, float]


def contest(
    start: SteeredPolicy,
    reward: Reward,
    limit: Callable[[float], Policy],
    *,
    alphas: Sequence[float],
    extent: float,
    n: int = 64,
    iterations: int = 8,
    progress: bool = False,
) -> list[Row]:
    """Offline and online from the same start with the same n·iterations rewards and updates, at each α.

    limit: α → the policy that endless samples would teach. Offline weights are plain, exp(r/α).
    """
    x_0 = rollout(start.pretrained, n * iterations, generator=torch.Generator().manual_seed(0)).x_0
    r, rows = query(reward, x_0), []
    for alpha in tqdm(alphas, disable=not progress):
        soft = SoftValues(start.pretrained, reward, alpha=alpha, extent=extent, grid=81)
        policies: dict[str, Policy] = {LIMIT: limit(alpha)}
        for name, effective in ((OFFLINE, 1e-6), (ONLINE, 0.1)):
            policies[name] = learner = copy.deepcopy(start)
            g = torch.Generator().manual_seed(0)
            options: dict[str, Any] = dict(iterations=iterations, n=n, updates=15, batch=800, effective=effective)
            run(fine_tune(learner, reward, alpha=alpha, generator=g, online=name == ONLINE, **options))
        regrets = {}
        for name, policy in policies.items():
            g = torch.Generator().manual_seed(1)
            J, _ = quiet_objective(policy, reward, alpha=alpha, n=3000, generator=g)
            regrets[name] = soft.share(soft.optimum - J)
        rows.append(Row(alpha, len(r) * share_of_samples((r / alpha).softmax(0)), regrets))
    return rows


def show_lesson(x_0: Tensor, weights: Tensor, snapshots: Mapping[str, Tensor], target: Tensor, extent: float) -> Figure:
    """Samples [B, 2] as large as their weights [B], then what was learned, by title, over the target's masses."""
    figure, axes = plt.subplots(1, 1 + len(snapshots), figsize=(2.7 * (1 + len(snapshots)), 3))
    for ax in axes:
        plots.density(ax, target, extent=extent, color=plots.TARGET)
        ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
    plots.samples(axes[0], x_0, color=plots.PRETRAINED).set_sizes(areas(weights))
    axes[0].set_title("the first lesson")
    for ax, (title, learned) in zip(axes[1:], snapshots.items(), strict=True):
        plots.samples(ax, learned)
        ax.set_title(title)
    return figure


def show_contest(rows: Sequence[Row], tilted: TiltedDensity, n: int) -> Figure:
    """Effective samples of n against α, and each form's regret."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.7))
    alphas = [row.alpha for row in rows]
    fine = torch.logspace(math.log10(min(alphas)), math.log10(max(alphas)), 41).tolist()
    left.loglog(fine, [n * exact_share(tilted, alpha) for alpha in fine], color=plots.TARGET)
    left.loglog(alphas, [row.effective for row in rows], "o", color=plots.PRETRAINED)
    left.axhline(1, color=plots.PRETRAINED, linewidth=1, linestyle="--")
    left.set(xlabel="α", title=f"Effective samples of {n}: foretold, and drawn")
    for name, color in COLORS.items():
        regrets = [row.regrets[name] for row in rows]
        right.loglog(alphas, regrets, ":" if name == LIMIT else "o-", color=color, label=name)
    right.set(xlabel="α", ylabel="regret", title="Regret: cold targets need new samples")
    plots.percents(right)
    right.legend()
    return figure


def show_progress(history: Sequence[Step], levels: Mapping[str, float]) -> Figure:
    """J of the samples of each round but the first, beside exact levels by name; ESS/n of their weights."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
    steps, objectives = [step.iteration for step in history], [step.objective for step in history]
    left.plot(steps[1:], objectives[1:], "o-", color=plots.TUNED)
    for name, height in levels.items():
        left.axhline(height, xmax=0.86, color=plots.TARGET, linewidth=1.2)
        left.text(steps[-1] + 0.5, height, name, va="center", color=plots.TARGET)
    title = f"The first lesson does most of it (from J = {objectives[0]:.1f})".replace("-", "−")
    left.set(xlabel="round", ylabel="J of its samples", title=title, xlim=(1.5, steps[-1] * 7 / 6))
    right.plot(steps, [step.extra["effective"] for step in history], "o-", color=plots.TUNED)
    right.set(xlabel="round", ylabel="ESS / n", ylim=(0, 1), title="The better the policy, the evener the weights")
    return figure


def show_fits(x: Tensor, target: Tensor, fits: Mapping[str, Tensor]) -> Figure:
    """A density [n] at x [n], and a panel for each fitted one by title."""
    figure, axes = plt.subplots(1, len(fits), figsize=(3.4 * len(fits), 2.9), sharey=True)
    for ax, (title, density) in zip(axes, fits.items(), strict=True):
        ax.fill_between(x, target, color=plots.TARGET, alpha=0.3, linewidth=0)
        ax.plot(x, density, color=plots.TUNED)
        ax.set(xlim=(-5, 5), yticks=[], xlabel="$x_0$", title=title)
    return figure
