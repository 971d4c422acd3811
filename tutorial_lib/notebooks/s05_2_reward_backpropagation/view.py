r"""Reward backpropagation, measured and drawn (§5.2): memory, paths' gradients, and the widget that moves α and K.

A `Scene` trains a policy for every notch of α and K; `Tuned` is what one of them became; `TunedView` draws it. Shapes:
samples [B, 2]; what belongs to the steps is [T], entry t − 1 for the step from x_t.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter
from torch import Tensor
from tqdm.auto import tqdm

from ... import plots
from ...algorithms import reward_backprop, run
from ...denoisers import initial_weights
from ...exact import TiltedDensity
from ...metrics import modes_covered
from ...policies import Policy, SteeredPolicy, rollout
from ...rewards import Reward, query
from ...widgets import Picture, notches, together, words
from ...worlds import World

ALPHAS, DEPTHS = (0.01, 0.1, 0.3), (5, 20)
ITERATIONS, PATHS = 60, 64  # of each training in a scene
SHARE = 0.05  # of the samples, from which on a mode counts as covered
SHOWN, REACH = 3.4, 0.6  # half a map's side; the highest KL of one step that the widget shows
STRAY = "#b0413e"


def saved_bytes(policy: Policy, reward: Reward, *, n: int, last: int | None = None, checkpointed: bool = False) -> int:
    """What autograd keeps between the forward and the backward pass of n paths, the policy's own weights aside."""
    weights = {p.untyped_storage().data_ptr() for p in policy.parameters()}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return x

    T = policy.schedule.T
    noise = torch.zeros(T + 1, n, *policy.shape, device=policy.schedule.sigma.device)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        x_0, kl = reward_backprop.sample(policy, noise, last=last or T, checkpointed=checkpointed)
        _alive = reward_backprop.loss(reward(x_0), kl)
    return sum(size for place, size in kept.items() if place not in weights)


def peak_bytes(policy: Policy, reward: Reward, *, n: int, last: int | None = None, checkpointed: bool = False) -> int:
    """`saved_bytes`, and the one step at a time that checkpointing runs again on the way back."""
    again = saved_bytes(policy, reward, n=n, last=1) if checkpointed else 0
    return again + saved_bytes(policy, reward, n=n, last=last, checkpointed=checkpointed)


def path_gradients(policy: Policy, reward: Reward, n: int, *, generator: torch.Generator) -> Tensor:
    """∂r(x_0)/∂u_t along n paths, [T, n, …]: how each path would have every step's shift changed."""
    T = policy.schedule.T
    noise = torch.randn(T + 1, n, *policy.shape, device=policy.schedule.sigma.device, generator=generator)
    nudge, x = torch.zeros_like(noise[1:]).requires_grad_(), noise[-1]
    for t in range(T, 0, -1):
        x = policy.mean(x, t) + policy.sigma(t) * (nudge[t - 1] + noise[t - 1])
    return torch.autograd.grad(query(reward, x).sum(), nudge)[0]


def top_share(gradients: Tensor, part: float = 0.01) -> Tensor:
    """Share of the energy Σ‖g‖² that lies in the largest `part` of the paths: [T, n, …] → [T]."""
    if not 0 < part < 1:
        raise ValueError(f"part must lie in (0, 1), got {part!r}")
    energy = gradients.flatten(2).square().sum(2).sort(1, descending=True).values
    return energy[:, : max(1, round(part * energy.shape[1]))].sum(1) / energy.sum(1)


@dataclass(frozen=True)
class Tuned:
    """A policy trained at one α with gradients through the last K steps: samples x [B, 2], mean KL of each step [T],
    E[r], and the modes covered."""

    alpha: float
    last: int
    x: Tensor
    kl: Tensor
    reward: float
    modes: int

    @property
    def objective(self) -> float:
        """J = E[r] − α Σ KL_t."""
        return self.reward - self.alpha * self.kl.sum().item()


@dataclass(frozen=True, eq=False)
class Scene:
    """A world, its exact tilt, the modes that the optimum covers at each α, and every trained policy by (α, K)."""

    world: World
    tilted: TiltedDensity
    modes: Mapping[float, int]
    tuned: Mapping[tuple[float, int], Tuned]

    @property
    def alphas(self) -> list[float]:
        return sorted({alpha for alpha, _ in self.tuned})

    @property
    def depths(self) -> list[int]:
        return sorted({last for _, last in self.tuned})


def scene(
    world: World,
    reward: Reward,
    *,
    alphas: Sequence[float] = ALPHAS,
    depths: Sequence[int] = DEPTHS,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> Scene:
    """Train them all, behind a progress bar. ValueError for a world whose modes are not known."""
    if world.mixture is None or world.extent is None:
        raise ValueError(f"expected a world whose mixture is known, got {world.name}")
    tilted = TiltedDensity(world.pretrained, reward, extent=world.extent)
    masses = {alpha: tilted.at(alpha).mass.reshape(-1) for alpha in alphas}
    modes = {a: modes_covered(tilted.grid.points, world.mixture, weights=m, share=SHARE) for a, m in masses.items()}
    pairs = [(alpha, last) for alpha in alphas for last in depths]
    tuned = {pair: tune(world, reward, *pair, iterations=iterations, seed=seed) for pair in tqdm(pairs)}
    return Scene(world, tilted, modes, tuned)


def tune(world: World, reward: Reward, alpha: float, last: int, *, iterations: int, seed: int) -> Tuned:
    """One training, and 1000 paths of what it led to: the same noise for every policy, so that samples glide."""
    g = torch.Generator()
    with initial_weights(seed):
        policy = SteeredPolicy(world.pretrained)
    g.manual_seed(seed)
    run(reward_backprop.fine_tune(policy, reward, alpha=alpha, generator=g, n=PATHS, iterations=iterations, last=last))
    path = rollout(policy, 1000, generator=g.manual_seed(seed + 1))
    x_t, t, _ = path.steps()
    with torch.no_grad():
        kl = path.by_step(policy.kl(x_t, t))[1:].mean(1)
        earned = query(reward, path.x_0).mean().item()
    assert world.mixture is not None
    return Tuned(alpha, last, path.x_0, kl, earned, modes_covered(path.x_0, world.mixture, share=SHARE))


def in_words(scene: Scene, tuned: Tuned) -> str:
    """What the policy covers, earns and pays, beside the optimum."""
    best, stray = scene.tilted.at(tuned.alpha), tuned.kl[tuned.last :].sum().item()
    text = (
        f"<b>α = {tuned.alpha:g}, gradient through the last {tuned.last} of {len(tuned.kl)} steps.</b> Modes covered: "
        f"<b>{tuned.modes}</b>, the optimum {scene.modes[tuned.alpha]}. "
        f"J = {tuned.reward:.2f} − {tuned.alpha:g} × {tuned.kl.sum():.2f} = <b>{tuned.objective:.2f}</b>, "
        f"the optimum {best.objective:.2f}.<br>"
    )
    if tuned.last < len(tuned.kl):
        text += (
            f"{stray:.2f} nats are paid at steps that no gradient reached: the network is shared, the bill is not seen."
        )
    else:
        text += "Every step sees the reward, and its own bill."
    return text.replace("-", "−")


class TunedView:
    """Three panels: samples on the exact target, modes against α, and the KL of every step."""

    def __init__(self, scene: Scene):
        self.scene, extent = scene, scene.tilted.grid.extent
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.2])
        first = scene.tuned[scene.alphas[0], scene.depths[-1]]
        self.target = plots.density(
            axes[0], scene.tilted.at(first.alpha).mass, extent=extent, color=plots.TARGET, title="Samples on the target"
        )
        self.samples = plots.samples(axes[0], first.x, size=4)
        axes[0].set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))
        ax = axes[1]
        ax.semilogx(scene.alphas, [scene.modes[a] for a in scene.alphas], "o-", color=plots.TARGET, markersize=4)
        ax.text(scene.alphas[0], scene.modes[scene.alphas[0]] + 0.15, "exact optimum", color=plots.TARGET, va="bottom")
        (self.line,) = ax.semilogx([], [], "o-", color=plots.TUNED, markersize=4)
        (self.here,) = ax.semilogx([], [], "o", color=plots.TUNED, markersize=10)
        top = max([*scene.modes.values(), *(tuned.modes for tuned in scene.tuned.values())])
        ax.set(xlabel="α", ylim=(0, top + 0.8), title="Modes covered, at this K")
        ax, T = axes[2], scene.world.schedule.T
        self.bars = ax.bar(range(1, T + 1), [0.0] * T, width=0.75)
        self.edge = ax.axvline(T + 0.5, color="#444444", linewidth=1, linestyle="--")
        ax.text(0.98, 0.96, "reached", color=plots.TUNED, transform=ax.transAxes, ha="right", va="top")
        ax.text(0.05, 0.96, "not reached", color=STRAY, transform=ax.transAxes, ha="left", va="top")
        ax.set(xlim=(T + 1, 0), ylim=(0, REACH), xlabel="t", title="KL$_t$ (nats); left of the line no gradient")
        self.picture = Picture(figure, [self.target, self.samples, self.line, self.here, *self.bars, self.edge])

    def draw(self, tuned: Tuned) -> None:
        """Move the artists to one policy. A KL beyond the panel ends at its edge."""
        scene = self.scene
        plots.scale_to(self.target, scene.tilted.at(tuned.alpha).mass)
        self.samples.set_offsets(tuned.x.numpy())
        self.line.set_data(scene.alphas, [scene.tuned[a, tuned.last].modes for a in scene.alphas])
        self.here.set_data([tuned.alpha], [tuned.modes])
        self.edge.set_xdata([tuned.last + 0.5] * 2)
        for t, (bar, kl) in enumerate(zip(self.bars, tuned.kl.tolist(), strict=True), start=1):
            bar.set_height(min(kl, REACH))
            bar.set_color(plots.TUNED if t <= tuned.last else STRAY)


def explore(scene: Scene) -> ui.VBox:
    """The widget: α and K."""
    view, text = TunedView(scene), words()
    view.picture.widget.add_class("tuned")

    def respond(alpha: float, last: int) -> None:
        tuned = scene.tuned[alpha, last]
        view.draw(tuned)
        view.picture.refresh()
        text.value = in_words(scene, tuned)

    controls = [notches("α", scene.alphas, scene.alphas[0]), notches("K", scene.depths, scene.depths[-1])]
    return together(controls, respond, view.picture.widget, text)


def show_training(target: Tensor, extent: float, snapshots: Mapping[int, Tensor]) -> None:
    """Samples by the number of reward queries so far, on the target [n, n]."""
    _, axes = plt.subplots(1, len(snapshots), figsize=(11.5, 2.7))
    for ax, (queries, x) in zip(axes, snapshots.items(), strict=True):
        plots.density(ax, target, extent=extent, color=plots.TARGET, title=f"{queries:,} queries")
        plots.samples(ax, x)
        ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))


def show_race(
    ax: Axes, curves: Mapping[str, tuple[Sequence[int], Sequence[float], str]], *, family: float, good: float
) -> None:
    """Regret against reward queries: name → (queries, regret, colour). Two lines across: the family's gap, the aim."""
    for name, (queries, regret, color) in curves.items():
        ax.loglog(queries, regret, color=color, label=name)
    for height, label in ((good, f"{good:.0%}"), (family, "family gap")):
        ax.axhline(height, color=plots.PRETRAINED, linestyle="--", linewidth=1)
        ax.text(1, height, f" {label}", color=plots.PRETRAINED, va="center", transform=ax.get_yaxis_transform())
    ax.set(xlabel="reward queries", ylabel="regret")
    plots.percents(ax)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="upper right")


def show_memory(ax: Axes, T: Sequence[int], curves: Mapping[str, tuple[Sequence[float], str]]) -> None:
    """Mebibytes against T, both logarithmic: name → (values, colour)."""
    for name, (values, color) in curves.items():
        ax.loglog(T, values, "o-", color=color)
        ax.annotate(name, (T[-1], values[-1]), (6, 0), textcoords="offset points", va="center", color=color)
    ax.set(xlabel="T", ylabel="MiB kept for the backward pass", xticks=list(T), xticklabels=[str(t) for t in T])
    ax.minorticks_off()


def show_truncation(ax: Axes, trained: Mapping[int, float], least: Mapping[int, float], random: float) -> None:
    """Regret against K: trained, the least that steering only these steps allows, and that of a random K."""
    look: dict[str, Any] = dict(markersize=6)
    ax.semilogx(list(least), list(least.values()), "o-", color=plots.TARGET, **look)
    ax.semilogx(list(trained), list(trained.values()), "o-", color=plots.TUNED, **look)
    ax.axhline(random, color=plots.TUNED, linestyle=":")
    first, second, *_ = trained
    middle = list(trained)[len(trained) // 2]
    for text, K, height, color in (
        ("best that steers these K steps alone", middle, least[middle], plots.TARGET),
        ("trained, last K", second, trained[second], plots.TUNED),
        ("trained, random K", first, random, plots.TUNED),
    ):
        ax.annotate(text, (K, height), (6, 7), textcoords="offset points", color=color)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel="K", ylabel="regret", ylim=(0, 1.08), xticks=list(trained), xticklabels=[str(K) for K in trained])
    ax.minorticks_off()


def show_tails(ax: Axes, shares: Mapping[str, tuple[Tensor, str]]) -> None:
    """Share of the gradient's energy in the top 1 % of the paths against t: name → ([T], colour)."""
    for name, (share, color) in shares.items():
        T = len(share)
        ax.plot(range(1, T + 1), share, color=color)
        ax.annotate(name, (0.75 * T, float(share[round(0.75 * T)])), (0, -16), textcoords="offset points", color=color)
    ax.axhline(0.01, color=plots.PRETRAINED, linestyle="--", linewidth=1)
    ax.text(T, 0.02, "all paths alike", color=plots.PRETRAINED, va="bottom")
    ax.set(xlabel="t", xlim=(T, 1), ylim=(0, 1), ylabel="share of energy", xticks=range(T, 0, -5))
