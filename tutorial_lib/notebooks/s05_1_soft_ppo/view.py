r"""Pictures of soft PPO at work, and the widget that moves α, the clip and the batch (§5.1).

`look` measures a policy at one moment of its training, under noise that is the same at every moment; `curves` and
`approach` draw a training run. The widget holds one short run for each setting; `answer` looks up a moment of one.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from tqdm.auto import tqdm

from ... import plots, worlds
from ...algorithms import Step, soft_ppo
from ...denoisers import initial_weights
from ...exact import SoftValues, TiltedDensity
from ...grids import Grid
from ...metrics import entropy
from ...policies import Policy, SteeredPolicy, rollout
from ...rewards import Reward, query
from ...widgets import Picture, moving_image, notches, slider, together, words

T, ITERATIONS, WIDTH, PARTICLES, EVERY = 10, 18, 64, 400, 3
ALPHAS, CLIPS, BATCHES = (0.2, 0.5, 2.0), (0.01, 0.1, 1.0), (16, 64)
CLIPPED, SLIP = "#7a4fa3", "#b0413e"


@dataclass(frozen=True)
class Look:
    """A policy seen on n paths: x_0 [n, 2]; the return of each in units of α, r/α − Σ log-ratio, `sampled` [n], and
    r/α − Σ KL_t, `averaged` [n]; the entropy of x_0 in nats."""

    x_0: Tensor
    sampled: Tensor
    averaged: Tensor
    entropy: float


@torch.no_grad()
def look(policy: Policy, reward: Reward, *, alpha: float, n: int = 1000) -> Look:
    """The policy under one noise, whatever its weights."""
    path = rollout(policy, n, generator=torch.Generator().manual_seed(0))
    x, t, _ = path.steps()
    r = query(reward, path.x_0) / alpha
    kl = path.by_step(policy.kl(x, t)).sum(0)
    return Look(path.x_0, r - policy.log_ratio(path).sum(0), r - kl, entropy(path.x_0))


def approach(looks: Mapping[int, Look], target: Tensor, *, extent: float, shown: float = 3.4) -> Figure:
    """Samples over the exact target [m, m], one panel for each iteration."""
    figure, axes = plt.subplots(1, len(looks), figsize=(2.35 * len(looks), 2.7))
    for ax, (iteration, seen) in zip(axes, looks.items(), strict=True):
        plots.density(ax, target, extent=extent, color=plots.TARGET)
        plots.samples(ax, seen.x_0)
        plots.bare(ax, shown, "pretrained" if iteration == 0 else f"after {iteration}")
    return figure


def curves(history: Sequence[Step], looks: Mapping[int, Look], *, optimum: float, target_entropy: float) -> Figure:
    """Five panels of one run: J, reward, path KL, share of clipped ratios, entropy of the samples."""
    figure, axes = plt.subplots(1, 5, figsize=(12.5, 2.6))
    iterations = [step.iteration for step in history]
    rows = {
        "J climbs to the optimum": ([step.objective for step in history], plots.TUNED),
        "so does the reward": ([step.reward for step in history], plots.REWARD),
        "KL is spent, then kept": ([step.kl for step in history], plots.PRETRAINED),
        "Share of ratios clipped": ([step.extra["clipped"] for step in history], CLIPPED),
    }
    for ax, (title, (values, color)) in zip(axes, rows.items(), strict=False):
        ax.plot(iterations, values, color=color)
        ax.set(title=title, xlabel="iteration")
    _level(axes[0], optimum, "best of the family", above=True)
    axes[4].plot(list(looks), [seen.entropy for seen in looks.values()], "o-", color=plots.TUNED, markersize=4)
    axes[4].set(title="Entropy of $x_0$ (nats)", xlabel="iteration")
    _level(axes[4], target_entropy, "the target's", above=False)
    return figure


def _level(ax: Axes, height: float, name: str, *, above: bool) -> None:
    """A dashed line in the target's colour, its name at the right, and room for it."""
    ax.axhline(height, color=plots.TARGET, linestyle="--", linewidth=1.2)
    ax.margins(y=0.22)
    look: dict[str, Any] = dict(ha="right", va="bottom" if above else "top", color=plots.TARGET, fontsize=9)
    where: dict[str, Any] = dict(xycoords=("axes fraction", "data"), textcoords="offset points")
    ax.annotate(name, (1, height), (-2, 3 if above else -3), **where, **look)


def pitfall(honest: Sequence[Step], slipped: Sequence[Step], believed: Sequence[float]) -> Figure:
    """Two runs: the share of clipped ratios, the true one and, of the slip's updates, the `believed`; and path KL."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.2))
    for history, color, name in ((honest, plots.TUNED, "PPO"), (slipped, SLIP, "the slip, in truth")):
        iterations = [step.iteration for step in history]
        left.plot(iterations, [step.extra["clipped"] for step in history], color=color, label=name)
        right.semilogy(iterations[1:], [step.kl for step in history][1:], color=color, label=name)
    updates = np.linspace(1, len(slipped), len(believed))
    left.plot(updates, believed, "--", color=SLIP, label="the slip, as it believes")
    left.set(xlabel="iteration", ylim=(-0.04, 1.5), yticks=[0, 0.5, 1], title="Share of ratios outside 1 ± ε")
    left.legend(loc="upper right", fontsize=9)
    right.set(xlabel="iteration", ylabel="nats", title="Path KL: one is held, one runs away")
    return figure


def beside(world: worlds.World, alpha: float, policies: Mapping[str, Policy]) -> Figure:
    """Samples of each policy over the exact target and the reward's contours, one panel each."""
    extent = world.extent or 5.0
    tilted = TiltedDensity(world.pretrained, world.reward, extent=extent, grid=161)
    figure, axes = plt.subplots(1, len(policies), figsize=(3.6 * len(policies), 3.7), squeeze=False)
    fine = Grid(extent, 401)
    for ax, (title, policy) in zip(axes[0], policies.items(), strict=True):
        plots.density(ax, tilted.at(alpha).mass, extent=extent, color=plots.TARGET)
        plots.reward_contours(ax, fine.axis, query(world.reward, fine.points).reshape(401, 401))
        plots.samples(ax, rollout(policy, 1000, generator=torch.Generator().manual_seed(0)).x_0)
        plots.bare(ax, 3.4, title)
    return figure


def mass_entropy(mass: Tensor, *, extent: float) -> float:
    """Differential entropy in nats of a density given by cell masses [m, m] on [−extent, extent]²."""
    cell = (2 * extent / (len(mass) - 1)) ** 2
    return float(-torch.special.xlogy(mass, mass / cell).sum())


@dataclass(frozen=True)
class Goal:
    """What one α asks for on Ring: the target [m, m], J* and J_pre of the chain, the best reward it can have."""

    target: Tensor
    optimum: float
    pretrained: float


@dataclass(frozen=True)
class Run:
    """One training run, seen every EVERY iterations: x_0 [F, n, 2], J, KL and the share of clipped ratios, [F] each.
    Nothing has been clipped before the first iteration."""

    x_0: Tensor
    objective: Tensor
    kl: Tensor
    clipped: Tensor


@dataclass(frozen=True)
class Scene:
    """Ring in T steps, its goal for each α, and a run for each (α, clip, batch)."""

    extent: float
    goals: dict[float, Goal]
    runs: dict[tuple[float, float, int], Run]


@dataclass(frozen=True)
class Answer:
    """One moment of one run: frame of it, and its regret (J* − J)/(J* − J_pre)."""

    goal: Goal
    run: Run
    frame: int
    regret: float


def train(world: worlds.World, alpha: float, clip: float, n: int) -> Run:
    """ITERATIONS of PPO from the same network and the same noise."""
    with initial_weights(0):
        policy = SteeredPolicy(world.pretrained, width=WIDTH)
    steps = soft_ppo.fine_tune(
        policy,
        world.reward,
        alpha=alpha,
        clip=clip,
        n=n,
        iterations=ITERATIONS,
        generator=torch.Generator().manual_seed(0),
    )
    frames = [_frame(policy, world.reward, alpha, 0.0)]
    for step in steps:
        if step.iteration % EVERY == 0:
            frames.append(_frame(policy, world.reward, alpha, step.extra["clipped"]))
    x_0, objective, kl, clipped = zip(*frames, strict=True)
    return Run(torch.stack(x_0), *map(torch.tensor, (objective, kl, clipped)))


def _frame(policy: Policy, reward: Reward, alpha: float, clipped: float) -> tuple[Tensor, float, float, float]:
    """x_0 [n, 2], J and KL of a policy, J from the sampled log-ratio: near the optimum it has the least noise."""
    path = rollout(policy, PARTICLES, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        paid = policy.log_ratio(path).sum(0)
        J = query(reward, path.x_0) - alpha * paid
    return path.x_0, float(J.mean()), float(paid.mean()), clipped


@functools.lru_cache(maxsize=1)
def scene() -> Scene:
    """Train every run, once; behind a progress bar, for it takes several seconds."""
    world = worlds.ring(T)
    extent = world.extent or 5.0
    tilted = TiltedDensity(world.pretrained, world.reward, extent=extent, grid=121)
    goals = {}
    for alpha in ALPHAS:
        soft = SoftValues(world.pretrained, world.reward, alpha=alpha, extent=extent, grid=81)
        goals[alpha] = Goal(tilted.at(alpha).mass, soft.optimum, soft.pretrained_objective)
    settings = list(itertools.product(ALPHAS, CLIPS, BATCHES))
    return Scene(extent, goals, {setting: train(world, *setting) for setting in tqdm(settings)})


def answer(scene: Scene, iteration: int, alpha: float, clip: float, batch: int) -> Answer:
    """The moment after `iteration`, a multiple of EVERY, of the run with these settings."""
    key = (alpha, clip, batch)
    if key not in scene.runs or iteration not in range(0, ITERATIONS + 1, EVERY):
        raise ValueError(
            f"expected α in {ALPHAS}, clip in {CLIPS}, batch in {BATCHES} and iterations 0, {EVERY}, … "
            f"{ITERATIONS}, got {key} and {iteration}"
        )
    goal, found, frame = scene.goals[alpha], scene.runs[key], iteration // EVERY
    return Answer(goal, found, frame, float((goal.optimum - found.objective[frame]) / (goal.optimum - goal.pretrained)))


def in_words(answer: Answer, iteration: int, batch: int) -> str:
    """Where the run stands, and what it has paid for."""
    run, i = answer.run, answer.frame
    text = (
        f"<b>After {iteration} iterations</b>, {iteration * batch:,} queries of the reward: "
        f"J = {float(run.objective[i]):.2f} where J* = {answer.goal.optimum:.2f}, "
        f"<b>regret {answer.regret:.1%}</b>.<br>"
        f"Path KL {float(run.kl[i]):.2f} nats, at its largest {float(run.kl[: i + 1].max()):.1f} so far; "
        f"{float(run.clipped[i]):.0%} of the ratios were outside 1 ± clip."
    )
    return text.replace("-", "−")


class TrainingView:
    """Four panels: samples on the exact target; regret, path KL and the share of clipped ratios against iterations."""

    TOP = 8.0  # nats of KL that fit in

    def __init__(self, scene: Scene):
        first = next(iter(scene.goals.values())).target
        figure, axes = plt.subplots(1, 4, figsize=(11.5, 3.1), width_ratios=[1.15, 1, 1, 1], layout="none")
        figure.subplots_adjust(left=0.01, right=0.985, bottom=0.17, top=0.9, wspace=0.32)
        self.target = plots.density(axes[0], first, extent=scene.extent, color=plots.TARGET)
        self.points = plots.samples(axes[0], torch.zeros(1, 2), size=5)
        plots.bare(axes[0], 3.4, "Samples on the exact target")
        self.iterations = np.arange(0, ITERATIONS + 1, EVERY)
        axes[1].set(ylim=(5e-3, 3), yscale="log", title="Regret, pretrained: 100 %")
        axes[1].set_yticks([0.01, 0.1, 1], ["1 %", "10 %", "100 %"])
        axes[2].set(ylim=(-0.02 * self.TOP, self.TOP), title="Path KL (nats)")
        axes[3].set(ylim=(-0.02, 1), yticks=[0, 0.5, 1], yticklabels=["0 %", "50 %", "100 %"], title="Ratios clipped")
        self.lines, self.dots = [], []
        for ax, color in zip(axes[1:], (plots.TUNED, plots.PRETRAINED, CLIPPED), strict=True):
            ax.set(xlim=(-0.5, ITERATIONS + 0.5), xlabel="iteration")
            self.lines += ax.plot([], [], color=color)
            self.dots += ax.plot([], [], "o", color=color, markersize=8, clip_on=False)
        self.picture = Picture(figure, [self.target, self.points, *self.lines, *self.dots])

    def draw(self, answer: Answer) -> None:
        """Move the artists to one moment of one run. What is off a panel waits at its edge."""
        run, goal, i = answer.run, answer.goal, answer.frame
        plots.scale_to(self.target, goal.target)
        self.points.set_offsets(run.x_0[i].numpy())
        regret = ((goal.optimum - run.objective) / (goal.optimum - goal.pretrained)).clamp(5e-3, 3)
        columns = (regret, run.kl.clamp_max(self.TOP), run.clipped)
        for line, dot, values in zip(self.lines, self.dots, columns, strict=True):
            line.set_data(self.iterations, values)
            dot.set_data([self.iterations[i]], [float(values[i])])


@functools.lru_cache(maxsize=1)
def training_view() -> TrainingView:
    return TrainingView(scene())


FIRST = (9, 0.5, 0.1, 64)


def first_training() -> Image:
    """The first state of `training()`, for a page without a kernel."""
    view = TrainingView(scene())
    view.draw(answer(scene(), *FIRST))
    return view.picture.still()


def training() -> ui.VBox:
    """The widget: iteration, α, clip and batch."""
    view = training_view()
    image, text = moving_image(view.picture.figure, "training"), words()

    def respond(iteration: int, alpha: float, clip: float, batch: int) -> None:
        found = answer(scene(), iteration, alpha, clip, batch)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(found, iteration, batch)

    iteration, alpha, clip, batch = FIRST
    controls = [
        slider("iteration", iteration, 0, ITERATIONS, EVERY),
        notches("α", ALPHAS, alpha),
        notches("clip ε", CLIPS, clip),
        notches("batch (paths)", BATCHES, batch),
    ]
    return together(controls, respond, image, text)
