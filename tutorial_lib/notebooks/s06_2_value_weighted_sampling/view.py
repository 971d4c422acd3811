r"""What a reader moves in the notebook on value-weighted sampling (§6.2): α, γ, the estimator of v_t, the particles.

    steered:    x_{t−1} ~ N( ρ + γ (σ_t²/α) ∇v̂_{t−1}(ρ), σ_t² I )
    chosen:     x_{t−1} ~ p_pre(·|x_t), then copied or picked with weights exp(v̂/α)

A `Scene` holds every estimator's values on a grid, for a few α; `answer` maps settings to arrays; a view draws them.
Shapes: n grid cells a side; B particles.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from torch import Tensor

from ... import plots
from ...exact import GridValues, Tilt, TiltedDensity
from ...grids import Grid
from ...guidance import sequential_monte_carlo
from ...guidance.value_weighted import ValueWeightedPolicy
from ...guidance.values import Tweedie
from ...metrics import energy_distance, rollout_with_kl
from ...policies import DenoisingPolicy
from ...rewards import query
from ...widgets import Picture, choice, moving_image, notches, slider, together, words
from ...worlds import World

STEERED, CLOUD, CHOSEN = SAMPLERS = ("Algorithm 4 (slopes)", "sequential Monte Carlo", "SVDD")
EXACT, SOFT_Q, MONTE_CARLO, TWEEDIE, FLIPPED = ESTIMATORS = (
    "exact v",
    "soft Q",
    "Monte Carlo",
    "Tweedie",
    "wrong sign",
)
INKS = {EXACT: plots.TARGET, SOFT_Q: plots.TUNED, MONTE_CARLO: "#7b4fb5", TWEEDIE: plots.PRETRAINED, FLIPPED: "#b0413e"}
PARTICLES, COUNTS = 320, (1, 2, 4, 8, 16, 32, 64)  # points shown; particles to a cloud, or candidates to a step
GRID, SHOWN, BELIEVED_AT = 81, 3.4, 25  # cells a side; half the side of what is shown; the t of the first panel
Value = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Held:
    """Values [T+1, n, n] of one estimator at one α, looked up between the cells; `field` is that of BELIEVED_AT."""

    look_up: GridValues
    field: Tensor

    def __call__(self, x: Tensor, t: int) -> Tensor:
        return self.look_up(x, t)

    def grad(self, x: Tensor, t: int) -> Tensor:
        return self.look_up.grad(x, t)


@dataclass(frozen=True, eq=False)
class Scene:
    """A world's exact tilt, every estimator's values by (name, α), and exact draws [B, 2] by α."""

    world: World
    tilted: TiltedDensity
    values: Mapping[tuple[str, float], Held]
    draws: Mapping[float, Tensor]

    @property
    def alphas(self) -> tuple[float, ...]:
        return tuple(sorted(self.draws))


@dataclass(frozen=True)
class Answer:
    """What one setting gives. x_0 [B, 2] and their rewards [B]; target: the exact tilt; belief [n, n]: v̂ at
    BELIEVED_AT; distance: energy distance to exact draws. regret: of Algorithm 4, with its s.e., and for the cloud a
    bound on it. kl: what Algorithm 4 paid; effective, ancestors: the cloud's lowest share, and the share of x_T with
    descendants.
    """

    x_0: Tensor
    rewards: Tensor
    target: Tilt
    belief: Tensor
    distance: float
    regret: float = math.nan
    regret_se: float = math.nan
    kl: float = math.nan
    effective: float = math.nan
    ancestors: float = math.nan


def make_scene(world: World, learned: Mapping[float, Mapping[str, Value]]) -> Scene:
    """learned: fitted values by α and by name, SOFT_Q and MONTE_CARLO."""
    assert world.extent is not None
    tilted = TiltedDensity(world.pretrained, world.reward, extent=world.extent, grid=GRID)
    guess = on_grid(Tweedie(world.pretrained, world.reward), world, tilted.grid)
    values: dict[tuple[str, float], Held] = {}
    draws: dict[float, Tensor] = {}
    for alpha, fitted in learned.items():
        exact = tilted.through_time(alpha)[1]
        fields = {EXACT: exact, TWEEDIE: guess, FLIPPED: torch.cat([exact[:1], -exact[1:]])}
        fields |= {name: on_grid(value, world, tilted.grid) for name, value in fitted.items()}
        values |= {(name, alpha): Held(GridValues(v, tilted.grid), v[BELIEVED_AT]) for name, v in fields.items()}
        draws[alpha] = tilted.sample(alpha, torch.rand(PARTICLES, 2, generator=_seeded(1)))
    return Scene(world, tilted, values, draws)


@torch.no_grad()
def on_grid(value: Value, world: World, grid: Grid) -> Tensor:
    """A value at every t on a grid: [T+1, n, n]."""
    rows = [value(grid.points, t).double() for t in range(world.schedule.T + 1)]
    return torch.stack(rows).reshape(-1, grid.n, grid.n)


def answer(scene: Scene, alpha: float, strength: float, sampler: str, estimator: str, count: int) -> Answer:
    """PARTICLES points of one sampler, on the same noise every time: γ acts on Algorithm 4, `count` on the others."""
    if (estimator, alpha) not in scene.values:
        raise ValueError(f"no values of {estimator!r} at α = {alpha}; known: {', '.join(ESTIMATORS)} at {scene.alphas}")
    value, pretrained = scene.values[estimator, alpha], scene.world.pretrained
    if sampler == STEERED:
        x_0, told = _steer(scene, pretrained, value, alpha, strength)
    elif sampler == CLOUD:
        x_0, told = _cloud(scene, pretrained, value, alpha, count)
    elif sampler == CHOSEN:
        path = sequential_monte_carlo.svdd(
            pretrained, value, alpha=alpha, n=PARTICLES, candidates=count, generator=_seeded(0)
        )
        x_0, told = path.x_0, {}
    else:
        raise ValueError(f"unknown sampler {sampler!r}; known: {', '.join(SAMPLERS)}")
    with torch.no_grad():
        rewards = query(scene.world.reward, x_0)
    distance = energy_distance(x_0, scene.draws[alpha])
    return Answer(x_0, rewards, scene.tilted.at(alpha), value.field, distance, **told)


def _steer(
    scene: Scene, pretrained: DenoisingPolicy, value: Held, alpha: float, strength: float
) -> tuple[Tensor, dict[str, float]]:
    policy = ValueWeightedPolicy(pretrained, value, alpha=alpha, strength=strength)
    path, kl = rollout_with_kl(policy, PARTICLES, generator=_seeded(0))
    x_0 = path.x_0.clamp(-1e3, 1e3)  # where the steps overshoot, particles leave for infinity
    with torch.no_grad():
        J = (query(scene.world.reward, x_0) - alpha * kl).double()
    gain = _gain(scene, alpha)
    told = dict(
        regret=(scene.tilted.at(alpha).objective - float(J.mean())) / gain,
        regret_se=float(J.std()) / gain / PARTICLES**0.5,
        kl=float(kl.mean()),
    )
    return x_0, told


def _cloud(
    scene: Scene, pretrained: DenoisingPolicy, value: Held, alpha: float, count: int
) -> tuple[Tensor, dict[str, float]]:
    path = sequential_monte_carlo.sample(
        pretrained, value, alpha=alpha, n=count, clouds=PARTICLES // count, generator=_seeded(0)
    )
    gain, log_z = _gain(scene, alpha), path.log_z.double()
    told = dict(
        regret=(scene.tilted.at(alpha).objective - alpha * float(log_z.mean())) / gain,
        regret_se=alpha * float(log_z.std()) / gain / len(log_z) ** 0.5,
        effective=float(path.effective.mean(1).min()),
        ancestors=len(path.x[-1].unique(dim=0)) / PARTICLES,
    )
    return path.x_0, told


def _gain(scene: Scene, alpha: float) -> float:
    """J* − J_pre."""
    return scene.tilted.at(alpha).objective - float((scene.tilted.pretrained * scene.tilted.reward).sum())


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def in_words(answer: Answer, sampler: str, count: int) -> str:
    """Reward against the best, the distance to the target, and what this sampler alone can say."""
    error = float(answer.rewards.std()) / PARTICLES**0.5
    first = (
        f"<b>E[r] = {float(answer.rewards.mean()):.2f} ± {error:.2f}</b>, the target has {answer.target.reward:.2f}. "
        f"Energy distance to exact draws <b>{answer.distance:.3f}</b> (±0.01 is noise)."
    )
    if sampler == STEERED:
        second = f"KL {answer.kl:.2f} nats paid; <b>regret {answer.regret:.0%} ± {answer.regret_se:.0%}</b>."
    elif sampler == CLOUD:
        second = (
            f"{PARTICLES // count} cloud(s) of {count}: <b>regret ≤ {answer.regret:.0%} ± {answer.regret_se:.0%}</b>, "
            f"effective share at its lowest {answer.effective:.0%}, {answer.ancestors:.0%} of the x<sub>T</sub> still "
            f"have descendants. γ does not act."
        )
    else:
        second = f"Best of {count} at every step, in a soft sense; nothing corrects a wrong v. γ does not act."
    return f"{first}<br>{second}".replace("-", "−")


class SamplersView:
    """Three panels: what the estimator believes at one t, samples on the exact target, and the law of the rewards."""

    def __init__(self, scene: Scene):
        self.scene, extent = scene, scene.tilted.grid.extent
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.7), width_ratios=[1, 1, 1.1])
        where = (-extent, extent, -extent, extent)
        self.low, self.high = np.quantile(scene.values[EXACT, scene.alphas[1]].field, [0.3, 1.0])
        colors = ScalarMappable(Normalize(self.low, self.high), "viridis")
        self.belief = axes[0].imshow(np.zeros((2, 2)), cmap="viridis", norm=colors.norm, extent=where, zorder=0)
        plots.bare(axes[0], SHOWN, f"What the estimator believes: $\\hat v_{{{BELIEVED_AT}}}$")
        figure.colorbar(colors, cax=axes[0].inset_axes((0.96, 0.05, 0.03, 0.9))).outline.set_visible(False)
        self.target = plots.density(axes[1], scene.tilted.pretrained, extent=extent, color=plots.TARGET)
        plots.bare(axes[1], SHOWN, "Samples on the exact target")
        self.points = plots.samples(axes[1], torch.zeros(1, 2), size=6)
        self.edges = torch.linspace(_low_reward(scene), float(scene.tilted.reward.max()), 120, dtype=torch.float64)
        pretrained = self._below(scene.tilted.reward.reshape(-1), scene.tilted.pretrained.reshape(-1))
        lines = [("pretrained", plots.PRETRAINED, 1.5), ("exact target", plots.TARGET, 3), ("samples", plots.TUNED, 2)]
        drawn = [
            axes[2].plot(self.edges, pretrained, color=color, linewidth=width, label=name)[0]
            for name, color, width in lines
        ]
        _, self.best, self.law = drawn
        axes[2].set(ylim=(0, 1.02), xlabel="reward r", title="Share of samples with reward ≤ r")
        axes[2].legend(handles=drawn, loc="center left")
        self.picture = Picture(figure, [self.belief, self.target, self.points, self.best, self.law])

    def _below(self, rewards: Tensor, weights: Tensor) -> Tensor:
        """The share of rewards [B], weighted [B], at or below each of `edges`: [120]."""
        order = rewards.double().argsort()
        cdf = torch.cat([torch.zeros(1, dtype=torch.float64), weights.double()[order].cumsum(0)])
        return cdf[torch.searchsorted(rewards.double()[order].contiguous(), self.edges, right=True)]

    def draw(self, answer: Answer) -> None:
        """Move the artists to one answer."""
        self.belief.set_data(answer.belief.numpy().T)
        plots.scale_to(self.target, answer.target.mass)
        self.points.set_offsets(answer.x_0.numpy())
        self.best.set_ydata(self._below(self.scene.tilted.reward.reshape(-1), answer.target.mass.reshape(-1)))
        self.law.set_ydata(self._below(answer.rewards, torch.full_like(answer.rewards, 1 / len(answer.rewards))))


def _low_reward(scene: Scene) -> float:
    """The reward that 1 % of the exact samples at the largest α stay below."""
    rewards, order = scene.tilted.reward.reshape(-1).sort()
    below = scene.tilted.at(scene.alphas[-1]).mass.reshape(-1)[order].cumsum(0)
    return float(rewards[torch.searchsorted(below, 0.01)])


FIRST = dict(alpha=0.5, strength=1.0, sampler=STEERED, estimator=TWEEDIE, count=16)


def still(scene: Scene, **settings):
    """One state of `samplers`, the first unless told otherwise, for a page without a kernel."""
    view = SamplersView(scene)
    view.draw(answer(scene, **{**FIRST, **settings}))
    return view.picture.still()


def samplers(scene: Scene) -> ui.VBox:
    """The widget: α, γ, the sampler, its estimator and its particles."""
    view = SamplersView(scene)
    image, text = moving_image(view.picture.figure, "samplers"), words()

    def respond(alpha: float, strength: float, count: int, sampler: str, estimator: str) -> None:
        found = answer(scene, alpha, strength, sampler, estimator, count)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(found, sampler, count)

    controls = [
        notches("α", scene.alphas, 0.5),
        slider("guidance strength γ", 1.0, 0.0, 3.0, 0.1),
        notches("particles", COUNTS, 16),
        choice("sampler", SAMPLERS, STEERED),
        choice("estimator of v", ESTIMATORS, TWEEDIE),
    ]
    return together(controls, respond, image, text)


# figures of the notebook


def show_on_target(ax: Axes, tilted: TiltedDensity, alpha: float, x: Tensor, title: str) -> None:
    """Samples [B, 2] over the exact tilt."""
    plots.density(ax, tilted.at(alpha).mass, extent=tilted.grid.extent, color=plots.TARGET)
    plots.samples(ax, x, size=4)
    plots.bare(ax, SHOWN, title)


def show_beliefs(beliefs: Mapping[str, Value], grid: Grid, times: tuple[int, ...]) -> None:
    """v̂_t of several estimators (rows) at several t (columns), in colours that suit the first row's last map."""

    def on_map(value: Value, t: int) -> np.ndarray:
        return value(grid.points, t).detach().reshape(grid.n, grid.n).numpy().T

    maps = {name: [on_map(value, t) for t in times] for name, value in beliefs.items()}
    low, high = np.quantile(maps[next(iter(maps))][-1], [0.2, 1.0])
    extent, shade = 2 * (-grid.extent, grid.extent), Normalize(low, high)
    figure, axes = plt.subplots(len(maps), len(times), figsize=(2.6 * len(times), 2.55 * len(maps)), squeeze=False)
    for row, (name, fields) in zip(axes, maps.items(), strict=True):
        for ax, t, field in zip(row, times, fields, strict=True):
            image = ax.imshow(field, cmap="viridis", norm=shade, extent=extent)
            plots.bare(ax, SHOWN, f"{name}, t = {t}")
    figure.colorbar(image, ax=axes, shrink=0.7, label="value")


def label_ends(ax: Axes, **spread: float) -> None:
    """Each labelled line's label at its right end, in its colour; spread: offsets in points, by label."""
    for line in ax.lines:
        if not (name := str(line.get_label())).startswith("_"):
            x, y = np.asarray(line.get_xdata())[-1], np.asarray(line.get_ydata())[-1]
            ax.annotate(
                name, (x, y), (6, spread.get(name, 0)), textcoords="offset points", va="center", color=line.get_color()
            )
