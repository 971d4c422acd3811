r"""What a reader moves in the notebook on the theory (§4): α and t, over the marginals p*_t and along the paths.

    p*_t ∝ p_pre,t exp(v_t/α),   u_t = σ_t ∇v_t/α,   KL(p*_t‖p_pre,t) = (E*[v_t] − α log Z)/α

A `Scene` holds what no slider changes; `answer` and `flight` map settings to arrays; views draw them.
Shapes: n grid cells a side; B particles.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from contourpy import contour_generator
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgb
from torch import Tensor

from ... import plots, worlds
from ...exact import Marginal, TiltedDensity
from ...guidance.value_weighted import ValueWeightedPolicy
from ...policies import Trajectory, rollout, rollout_with
from ...rewards import Reward, query
from ...widgets import Picture, choice, log_slider, moving_image, slider, together, words
from ...worlds import World

ALPHAS = (0.05, 10.0)
GRID, SHOWN = 101, 3.4  # cells a side; half the side of what is shown
CONTOURS, BESIDE = 9, (1.02, 0.05, 0.035, 0.9)  # of v_t; where its colour scale stands
PARTICLES, FOLLOWED, TRAIL, SEED = 400, 7, 8, 2  # particles, those with a trail, its length in steps


def waves(x: Tensor) -> Tensor:
    """r(x) = cos πx₁ + cos πx₂ + 0.3 x₁: high at four of Ring's eight clusters, highest on the right. [B, 2] → [B]."""
    return (math.pi * x).cos().sum(-1) + 0.3 * x[:, 0]


RING = worlds.ring()
REWARDS: dict[str, Reward] = {
    "peak (smooth)": RING.rewards["peak"],
    "waves (multimodal)": waves,
    "disc (discontinuous)": RING.rewards["disc"],
}
FIRST = "peak (smooth)"


@dataclass(frozen=True, eq=False)
class Scene:
    """Ring under one reward. free: paths of the pretrained chain. lattice [m]: the cells along an axis that carry
    arrows; slope [m, n]: the matrix that takes slopes there. low, high: 2 % and 99.9 % quantiles of r under p_pre."""

    world: World
    reward: Reward
    tilted: TiltedDensity
    free: Trajectory
    lattice: Tensor
    slope: Tensor
    low: float
    high: float


@dataclass(frozen=True)
class Answer:
    """One (α, t): the three fields [n, n]; shift σ_t∇v_t/α on the lattice [m, m, 2], nought where no path goes;
    kl KL(p*_t‖p_pre,t); value E*[v_t]; limit α log Z."""

    alpha: float
    t: int
    fields: Marginal
    shift: Tensor
    alpha_bar: float
    kl: float
    value: float
    limit: float


@functools.lru_cache(maxsize=len(REWARDS))
def scene(reward_name: str) -> Scene:
    """The scene of one of `REWARDS`."""
    if reward_name not in REWARDS:
        raise ValueError(f"unknown reward {reward_name!r}; known: {', '.join(REWARDS)}")
    reward = REWARDS[reward_name]
    tilted = TiltedDensity(RING.pretrained, reward, extent=5.0, grid=GRID)
    rewards, order = tilted.reward.reshape(-1).sort()
    below = tilted.pretrained.reshape(-1)[order].cumsum(0)
    low, high = rewards[torch.searchsorted(below, torch.tensor([0.02, 0.999], dtype=below.dtype))].tolist()
    lattice = (tilted.grid.axis.abs() < SHOWN).nonzero()[:, 0][2::6]
    free = rollout(RING.pretrained, PARTICLES, generator=torch.Generator().manual_seed(SEED))
    return Scene(RING, reward, tilted, free, lattice, tilted.grid.slope_matrix()[lattice], low, high)


def answer(scene: Scene, alpha: float, t: int) -> Answer:
    """The exact marginals, value and shift at one α > 0 and t in 0..T."""
    tilted, schedule, at = scene.tilted, scene.world.schedule, scene.lattice
    fields = tilted.marginal(alpha, t)
    mass = fields.density * tilted.grid.spacing**2
    value = float((mass * fields.value).sum())
    limit = tilted.at(alpha).objective
    slope = torch.stack([scene.slope @ fields.value[:, at], fields.value[at] @ scene.slope.mT], -1)
    here = torch.maximum(fields.pretrained / fields.pretrained.max(), fields.density / fields.density.max())[at][:, at]
    shift = torch.where((here > 0.05).unsqueeze(-1), slope * float(schedule.sigma[t]) / alpha, 0.0)
    return Answer(alpha, t, fields, shift, float(schedule.alpha_bar[t]), (value - limit) / alpha, value, limit)


def in_words(answer: Answer) -> str:
    """ᾱ_t, the tilt that is left at t, and the mean value there."""
    arrows = "Long arrows are drawn shorter." if answer.t else "At t = 0 no step is left to shift."
    text = (
        f"<b>t = {answer.t}</b>: signal left ᾱ<sub>t</sub> = {answer.alpha_bar:.3f}, tilt left "
        f"<b>KL(p*<sub>t</sub>‖p<sub>pre,t</sub>) = {answer.kl:.2f} nats</b> = (E*[v<sub>t</sub>] − α log Z)/α.<br>"
        f"E*[v<sub>t</sub>] = {answer.value:.2f} and α log Z = {answer.limit:.2f}, the mark on the colour scale, "
        f"where all of v<sub>t</sub> gathers as t → T. {arrows}"
    )
    return text.replace("-", "−")


class MarginalsView:
    """Three panels: p_pre,t and p*_t, the value v_t with its contours, and the shift over p*_t."""

    def __init__(self, scene: Scene):
        self.scene = scene
        extent, axis, blank = scene.tilted.grid.extent, scene.tilted.grid.axis, scene.tilted.pretrained
        figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.1), layout="none")
        for ax, left in zip(axes, (0.005, 0.32, 0.695), strict=True):
            ax.set_position((left, 0.01, 0.3, 0.9))
        where: dict[str, Any] = dict(extent=(-extent, extent, -extent, extent), zorder=0)
        self.both, self.value, self.target = (ax.imshow(_inks(blank, plots.TARGET), **where) for ax in axes)
        self.contours = axes[1].add_collection(LineCollection([], colors="white", linewidths=0.8, alpha=0.7))
        self.heights = np.linspace(scene.low, scene.high, CONTOURS + 2)[1:-1]
        points = torch.cartesian_prod(axis[scene.lattice], axis[scene.lattice])
        self.arrows = plots.arrows(axes[2], points, torch.ones_like(points), unit=1.0, color=plots.TUNED)
        titles = (
            "$p_{pre,t}$ (grey) is tilted to $p^*_t$,",
            "more where the value $v_t$ is higher;",
            "its slope is the shift $σ_t∇v_t/α$",
        )
        for ax, title in zip(axes, titles, strict=True):
            plots.bare(ax, SHOWN, title)
        self.colors, beside = ScalarMappable(Normalize(scene.low, scene.high), "viridis"), axes[1].inset_axes(BESIDE)
        figure.colorbar(self.colors, cax=beside).outline.set_visible(False)
        beside.tick_params(labelsize=8, length=2)
        (self.limit,) = beside.plot([], [], ">", color=plots.TARGET, markersize=8, clip_on=False)
        self.picture = Picture(figure, [self.both, self.value, self.contours, self.limit, self.target, self.arrows])

    def draw(self, answer: Answer) -> None:
        """Move the artists to one (α, t)."""
        fields, scene = answer.fields, self.scene
        target = _inks(fields.density, plots.TARGET)
        self.target.set_data(target)
        self.both.set_data(_over(_inks(fields.pretrained, plots.PRETRAINED, 0.6), target))
        value, axis = fields.value.numpy().T, scene.tilted.grid.axis.numpy()
        self.value.set_data(self.colors.to_rgba(value, bytes=True))
        contour = contour_generator(axis, axis, value)
        self.contours.set_segments([line for height in self.heights for line in contour.lines(height)])
        self.limit.set_data([-0.2], [min(max(answer.limit, scene.low), scene.high)])
        squared = answer.shift.square().sum(-1).reshape(-1)
        u = answer.shift.reshape(-1, 2) / (1 + squared).sqrt().unsqueeze(-1)
        self.arrows.set_UVC(*np.ma.array(u.T.numpy(), mask=(squared < 1e-3).expand(2, -1).numpy()))


def _inks(density: Tensor, color: str, strength: float = 1.0) -> np.ndarray:
    """A density [n, n] as a picture, white to `color` at its peak: [n, n, 4] bytes, which are the quickest to draw."""
    ink = 1 - np.array(to_rgb(color))
    picture = np.full((*density.shape, 4), 255, np.uint8)
    picture[..., :3] = 255.5 - 255 * strength * (density / density.max()).numpy().T[..., None] * ink
    return picture


def _over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Two pictures printed one over the other."""
    return (below.astype(np.uint16) * above // 255).astype(np.uint8)


@functools.lru_cache(maxsize=len(REWARDS))
def marginals_view(reward_name: str) -> MarginalsView:
    return MarginalsView(scene(reward_name))


def first_marginals(alpha: float = 0.5, t: int = 10) -> Image:
    """The first state of `marginals()`, for a page without a kernel."""
    view = MarginalsView(scene(FIRST))
    view.draw(answer(view.scene, alpha, t))
    return view.picture.still()


def marginals() -> ui.VBox:
    """The widget: α, t and the reward."""
    image, text = moving_image(marginals_view(FIRST).picture.figure, "marginals"), words()

    def respond(alpha: float, t: int, reward_name: str) -> None:
        view = marginals_view(reward_name)
        found = answer(view.scene, alpha, t)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(found)

    T = RING.schedule.T
    controls = [log_slider("α", 0.5, *ALPHAS), slider("time t", 10, 0, T, 1), choice("reward", tuple(REWARDS))]
    return together(controls, respond, image, text)


@dataclass(frozen=True)
class Flight:
    """Paths of both policies under one noise: x [2, T+1, B, 2], the pretrained ones first; rewards: their means.
    kl [T+1]: Σ KL_s over s = T..t+1, what the steered ones have paid down to t, ± kl_se."""

    alpha: float
    x: Tensor
    rewards: tuple[float, float]
    kl: Tensor
    kl_se: Tensor


@functools.lru_cache(maxsize=4)
def flight(scene: Scene, alpha: float) -> Flight:
    """The pretrained paths, and those that the exact value steers."""
    pretrained, T = scene.world.pretrained, scene.world.schedule.T
    steps = ValueWeightedPolicy(pretrained, scene.tilted.values(alpha), alpha=alpha)
    kl = torch.zeros(T + 1, PARTICLES)

    def mean(x: Tensor, t: int) -> Tensor:
        rho, u = steps.proposal(x, t)
        kl[t - 1] = kl[t] + u.square().sum(1) / 2
        return rho + steps.sigma(t) * u

    steered = rollout_with(mean, pretrained, PARTICLES, generator=torch.Generator().manual_seed(SEED))
    x = torch.stack([scene.free.x, steered.x])
    before, after = (float(query(scene.reward, x_0).mean()) for x_0 in x[:, 0])
    return Flight(alpha, x, (before, after), kl.mean(1), kl.std(1) / PARTICLES**0.5)


class Panel:
    """Particles [B, 2] over their exact density [n, n]; the first FOLLOWED of them are larger and leave a trail."""

    def __init__(self, ax: Axes, scene: Scene, *, shade: str, color: str, title: str = ""):
        extent, self.shade = scene.tilted.grid.extent, shade
        where: dict[str, Any] = dict(extent=(-extent, extent, -extent, extent), zorder=0)
        self.density = ax.imshow(_inks(scene.tilted.pretrained, shade), **where)
        self.cloud, self.heads = (plots.samples(ax, torch.zeros(1, 2), color=color, size=size) for size in (7, 30))
        self.trails = LineCollection([], colors=color, linewidths=1.3, zorder=4)
        ax.add_collection(self.trails)
        self.heads.set(alpha=1.0, zorder=5)
        self.moving = [self.density, self.cloud, self.trails, self.heads]
        plots.bare(ax, SHOWN, title)

    def draw(self, density: Tensor, paths: Tensor) -> None:
        """paths [T−t+1, B, 2]: where the particles are, and where they were."""
        self.density.set_data(_inks(density, self.shade, 0.6))
        x = paths[: TRAIL + 1].numpy()
        self.cloud.set_offsets(x[0])
        self.heads.set_offsets(x[0, :FOLLOWED])
        self.trails.set_segments(list(x[:, :FOLLOWED].swapaxes(0, 1)))


def draw_flight(scene: Scene, panels: tuple[Panel, Panel], flight: Flight, t: int) -> None:
    """Show both policies at one t of one flight."""
    fields = scene.tilted.marginal(flight.alpha, t)
    panels[0].draw(fields.pretrained, flight.x[0, t:])
    panels[1].draw(fields.density, flight.x[1, t:])


class FlightView:
    """Two panels: particles of the pretrained chain on p_pre,t, and of the steered one on p*_t."""

    def __init__(self, scene: Scene):
        self.scene = scene
        figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.9), layout="none")
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.92, wspace=0.04)
        free, steered = "Pretrained particles, on $p_{pre,t}$", "Same noise, steered by $∇v_t$, on $p^*_t$"
        self.panels = (
            Panel(axes[0], scene, shade=plots.PRETRAINED, color=plots.PRETRAINED, title=free),
            Panel(axes[1], scene, shade=plots.TARGET, color=plots.TUNED, title=steered),
        )
        self.picture = Picture(figure, [artist for panel in self.panels for artist in panel.moving])

    def draw(self, flight: Flight, t: int) -> None:
        """Move the artists to one α and t."""
        draw_flight(self.scene, self.panels, flight, t)


def flight_in_words(scene: Scene, flight: Flight, t: int) -> str:
    """What the steered particles have paid so far, beside the exact tilt at t, and what they earn in the end."""
    text = (
        f"<b>t = {t}</b>: down to here the steered particles have paid <b>KL {float(flight.kl[t]):.2f} ± "
        f"{float(flight.kl_se[t]):.2f} nats</b>. Ever finer steps would pay KL(p*<sub>t</sub>‖p<sub>pre,t</sub>) = "
        f"{answer(scene, flight.alpha, t).kl:.2f}.<br>At t = 0 their mean reward is {flight.rewards[1]:.2f}, "
        f"that of the pretrained particles {flight.rewards[0]:.2f}."
    )
    return text.replace("-", "−")


@functools.lru_cache(maxsize=len(REWARDS))
def flight_view(reward_name: str) -> FlightView:
    return FlightView(scene(reward_name))


def first_particles(alpha: float = 0.5, t: int = 20) -> Image:
    """A state of `particles()`, for a page without a kernel."""
    view = FlightView(scene(FIRST))
    view.draw(flight(view.scene, alpha), t)
    return view.picture.still()


def particles() -> ui.VBox:
    """The widget: play from t = T to 0, with α and the reward to choose."""
    image, text = moving_image(flight_view(FIRST).picture.figure, "particles"), words()
    T = RING.schedule.T
    play, time = ui.Play(max=T, interval=100), slider("t of the particles", T, 0, T, 1)
    ui.link((play, "value"), (time, "value"), (lambda done: T - done, lambda t: T - t))

    def respond(alpha: float, t: int, reward_name: str) -> None:
        view = flight_view(reward_name)
        found = flight(view.scene, alpha)
        view.draw(found, t)
        image.value, text.value = view.picture.frame(), flight_in_words(view.scene, found, t)

    controls = [log_slider("α of the particles", 0.5, *ALPHAS), time, choice("their reward", tuple(REWARDS))]
    return together(controls, respond, play, image, text)
