r"""What a reader moves in the notebook on path consistency (§6.3): α and the share of paths that p_pre drew.

    an iteration's n paths:  (1 − share)·n by p_θ,  share·n by p_pre,  for path consistency and for PPO alike

A `Study` holds the pupil of every setting, trained once; `ShareView` draws one setting. Shapes: x_0 [B, 2].
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from tqdm.auto import tqdm

from ... import plots
from ...algorithms import Step, Training, ValueNetwork, minibatches, path_consistency, path_kl, run, soft_ppo
from ...checks import count
from ...denoisers import initial_weights
from ...exact import GaussianOptimum, TiltedDensity
from ...metrics import quiet_objective
from ...policies import DenoisingPolicy, Policy, SteeredPolicy, Trajectory, log_ratio, rollout
from ...rewards import Reward
from ...widgets import Picture, notches, together, words
from ...worlds import World

ALPHAS, SHARES = (0.2, 0.5, 2.0), (0.0, 0.5, 1.0)
CONSISTENCY, PPO = METHODS = ("path consistency", "PPO")
LINES = {CONSISTENCY: "-", PPO: "--"}
PARTICLES, SHOWN = 400, 3.4
ITERATIONS, PATHS = 15, 128  # of each training in a study


def beginner(pretrained: DenoisingPolicy, seed: int = 0) -> SteeredPolicy:
    """A policy that is still p_pre, with the same random weights for the same seed."""
    with initial_weights(seed):
        return SteeredPolicy(pretrained)


def foreign_ppo(
    policy: SteeredPolicy,
    reward: Reward,
    *,
    alpha: float,
    generator: torch.Generator,
    off_policy: float,
    recorded: bool = True,
    behaviour: Policy | None = None,
    iterations: int = ITERATIONS,
    n: int = PATHS,
    clip: float = 0.1,
) -> Iterator[Step]:
    """Soft PPO as it should not be used: a share `off_policy` of its paths is by `behaviour` (p_pre unless given).

    recorded: a path's p_old is the policy that drew it, as a rollout writes it down; else all count as p_θ's own.
    """
    n = count("n", n, least=2)
    if not 0 <= off_policy <= 1:
        raise ValueError(f"off_policy must lie in [0, 1], got {off_policy!r}")
    critic, others, sampler = ValueNetwork(policy, generator=generator), round(off_policy * n), behaviour
    sampler = policy.pretrained if sampler is None else sampler
    plan: dict[str, Any] = dict(alpha=alpha, n=n, iterations=iterations, learning_rate=4e-3)
    training = Training(policy, reward, generator=generator, helpers=[critic], **plan)
    foreign = (torch.arange(n) >= n - others).repeat(policy.schedule.T).unsqueeze(1)
    for _ in training:
        drawn = [rollout(p, m, generator=generator).x for p, m in ((policy, n - others), (sampler, others)) if m]
        path = Trajectory(torch.cat(drawn, 1))
        r, (x, t, x_next) = training.rewards(path.x_0), path.steps()
        critic.adapt(r)
        with torch.no_grad():
            rho, sigma = policy.pretrained.mean(x, t), policy.schedule.at("sigma", t, x)
            z, theirs = (x_next - rho) / sigma, (sampler.mean(x, t) - rho) / sigma
            old = log_ratio(torch.where(foreign, theirs, policy.shift(x, t)) if recorded else policy.shift(x, t), z)
            values = path.by_step(critic(x, t))
            values[0] = r
            advantage = soft_ppo.advantages(values, path.by_step(old), lam=0.99)
            returns, kl = (advantage + values)[1:].reshape(-1), path_kl(policy, path)
        advantage = soft_ppo.standardised(advantage[1:].reshape(-1))
        for rows in minibatches(len(x), 3, generator):
            new = log_ratio(policy.shift(x[rows], t[rows]), z[rows])
            objective = soft_ppo.loss(new, old[rows], advantage[rows], clip=clip)
            missed = (critic(x[rows], t[rows]) - returns[rows]) / critic.scale
            training.descend(objective + missed.square().mean() / 2)
        yield training.step(objective.item(), r, kl)


@dataclass(frozen=True)
class Pupil:
    """What one training came to: samples x_0 [PARTICLES, 2], and the regret with its standard error."""

    x_0: Tensor
    regret: float
    regret_se: float


@dataclass(frozen=True, eq=False)
class Study:
    """Every pupil by (method, α, share), the exact target and the family gap by α."""

    world: World
    shares: Sequence[float]
    targets: Mapping[float, Tensor]
    family_gaps: Mapping[float, float]
    pupils: Mapping[tuple[str, float, float], Pupil]


def study(
    world: World,
    *,
    alphas: Sequence[float] = ALPHAS,
    shares: Sequence[float] = SHARES,
    iterations: int = ITERATIONS,
    n: int = PATHS,
    progress: bool = False,
) -> Study:
    """Train both methods at every α and share, with the same number of paths, from the same seed."""
    assert world.extent is not None
    tilted = TiltedDensity(world.pretrained, world.reward, extent=world.extent)
    best = {a: GaussianOptimum(world.pretrained, world.reward, alpha=a, extent=world.extent, grid=81) for a in alphas}
    settings = [(method, a, share) for a in alphas for share in shares for method in METHODS]
    pupils = {}
    for method, alpha, share in tqdm(settings, disable=not progress):
        teach: Callable[..., Iterator[Step]] = path_consistency.fine_tune if method == CONSISTENCY else foreign_ppo
        policy, g = beginner(world.pretrained), torch.Generator().manual_seed(0)
        run(teach(policy, world.reward, alpha=alpha, generator=g, iterations=iterations, n=n, off_policy=share))
        pupils[method, alpha, share] = examine(policy, dataclasses.replace(world, alpha=alpha), best[alpha])
    gaps = {alpha: found.family_gap for alpha, found in best.items()}
    return Study(world, shares, {alpha: tilted.at(alpha).mass for alpha in alphas}, gaps, pupils)


def examine(policy: Policy, world: World, best: GaussianOptimum) -> Pupil:
    """Samples, from the same noise for everyone, and regret."""
    noise = torch.Generator().manual_seed(1)
    J, se = quiet_objective(policy, world.reward, alpha=world.alpha, n=2000, generator=noise)
    x_0 = rollout(policy, PARTICLES, generator=torch.Generator().manual_seed(2)).x_0
    return Pupil(x_0, best.soft.share(best.soft.optimum - J), best.soft.share(se))


def in_words(study: Study, alpha: float, share: float) -> str:
    """Both regrets at one setting, and whose paths they learned from."""
    source = {0.0: "all paths its own", 1.0: "all paths p_pre's"}.get(share, f"{share:.0%} of the paths p_pre's")
    parts = []
    for method in METHODS:
        pupil = study.pupils[method, alpha, share]
        gone = (pupil.x_0.abs().amax(1) > SHOWN).float().mean().item()
        note = f" (ran away: {gone:.0%} of its samples are out of the picture)" if gone > 0.1 else ""
        parts.append(f"{method} <b>{pupil.regret:.1%}</b> ± {pupil.regret_se:.1%}{note}")
    return f"α = {alpha:g}, {source}. Regret: {', '.join(parts)}; {study.family_gaps[alpha]:.1%} is the family's."


class ShareView:
    """Three panels: samples of both methods on the exact target, and both regrets against the share."""

    def __init__(self, study: Study):
        self.study = study
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.2])
        first, extent = next(iter(study.targets.values())), study.world.extent or SHOWN
        blank = torch.zeros(PARTICLES, 2)
        self.maps, self.clouds, self.curves, self.dots = [], [], [], []
        for ax, method in zip(axes[:2], METHODS, strict=True):
            self.maps.append(plots.density(ax, first, extent=extent, color=plots.TARGET, title=method))
            self.clouds.append(plots.samples(ax, blank, size=5))
            ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
        ax = axes[2]
        for method in METHODS:
            self.curves += ax.semilogy([], [], LINES[method], color=plots.TUNED)
            self.dots += ax.semilogy([], [], "o", color=plots.TUNED, markersize=8)
        self.floor = ax.axhline(1, color=plots.TARGET, linewidth=1, linestyle=":")
        labels: dict[str, Any] = dict(fontsize=10, ha="right", va="bottom")
        names = (*METHODS, "the family's own")
        colors = (plots.TUNED, plots.TUNED, plots.TARGET)
        self.names = [ax.text(1.04, 1, name, color=c, **labels) for name, c in zip(names, colors, strict=True)]
        top = max(2.0, *(2 * pupil.regret for pupil in study.pupils.values()))
        ax.set(xlim=(-0.05, 1.05), ylim=(0.008, top), xlabel="share of paths drawn by $p_{pre}$", ylabel="regret")
        plots.percents(ax, 1)
        ax.set(title="PPO needs its own paths")
        moving = [*self.maps, *self.clouds, *self.curves, *self.dots, self.floor, *self.names]
        self.picture = Picture(figure, moving)

    def draw(self, alpha: float, share: float) -> None:
        """Move the artists to one setting."""
        study = self.study
        for i, method in enumerate(METHODS):
            plots.scale_to(self.maps[i], study.targets[alpha])
            self.clouds[i].set_offsets(study.pupils[method, alpha, share].x_0.numpy())
            regrets = [study.pupils[method, alpha, s].regret for s in study.shares]
            self.curves[i].set_data(study.shares, regrets)
            self.dots[i].set_data([share], [study.pupils[method, alpha, share].regret])
            self.names[i].set_y(1.12 * regrets[-1])
        self.floor.set_ydata([study.family_gaps[alpha]] * 2)
        self.names[-1].set_y(study.family_gaps[alpha] / 1.05)
        self.names[-1].set_va("top")


def play(study: Study) -> ui.VBox:
    """The widget: α and the share of p_pre's paths, over policies that are trained already."""
    view, text = ShareView(study), words()
    view.picture.widget.add_class("shares")

    def respond(alpha: float, share: float) -> None:
        view.draw(alpha, share)
        view.picture.refresh()
        text.value = in_words(study, alpha, share)

    controls = [
        notches("α", list(study.targets), list(study.targets)[len(study.targets) // 2]),
        notches("share of p_pre", study.shares, study.shares[-1]),
    ]
    return together(controls, respond, view.picture.widget, text)


def show_lessons(snapshots: Mapping[str, Tensor], target: Tensor, data: Tensor, *, extent: float) -> Figure:
    """Grey: the paths' ends that it learns from. Then samples [B, 2] by title over the exact target's masses."""
    figure, axes = plt.subplots(1, 1 + len(snapshots), figsize=(2.4 * (1 + len(snapshots)), 2.7))
    for ax in axes:
        plots.density(ax, target, extent=extent, color=plots.TARGET)
        ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
    plots.samples(axes[0], data, color=plots.PRETRAINED)
    axes[0].set_title("all it ever learns from")
    for ax, (title, x_0) in zip(axes[1:], snapshots.items(), strict=True):
        plots.samples(ax, x_0)
        ax.set_title(title)
    return figure


def show_phi(ax: Axes, phi: Mapping[str, Tensor], *, title: str = "") -> None:
    """φ_t [T+1, B] against t, a line a path, in one shade for each source of paths; time runs to the right."""
    shades = (plots.TARGET, plots.PRETRAINED, plots.REWARD)
    for (name, lines), shade in zip(phi.items(), shades, strict=True):
        drawn = ax.plot(range(len(lines)), lines.numpy(), color=shade, linewidth=0.8, alpha=0.6)
        drawn[0].set_label(name)
    ax.set(xlim=(len(lines) - 1, 0), xlabel="time t", title=title)


def show_curves(ax: Axes, curves: Mapping[str, Mapping[int, float]], *, floor: float, title: str = "") -> None:
    """Regret against iterations by name, in the legend as they end, and the family gap."""
    looks = [(color, style) for style in ("-", "--") for color in (plots.TUNED, "#b0413e", "#7a4fa3")]
    ranked = sorted(curves.items(), key=lambda item: -list(item[1].values())[-1])
    for (color, style), (name, curve) in zip(looks, ranked, strict=False):
        ax.semilogy(list(curve), list(curve.values()), style, color=color, label=name)
    ax.axhline(floor, color=plots.TARGET, linestyle=":", label="family gap")
    ax.set(xlabel="iteration", ylabel="regret", title=title, xticks=list(ranked[0][1]))
    plots.percents(ax)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
