"""One denoising trajectory as an episode of an MDP, stepped through (§3).

    state (x_t, t),   action x_{t−1} ~ N(ρ + σ_t u, σ_t² I),   price KL_t = ½‖u‖²,   return r(x_0) − α Σ_t KL_t

A `Scene` holds what α does not change; `walk` maps α to the episodes of a few particles; `StepView` draws one step of
one of them. Shapes: P particles; rows t = 1..T of an episode's arrays belong to the step from x_t, row 0 is empty.
"""

import functools
from dataclasses import dataclass
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from torch import Tensor

from ... import plots
from ...exact import TiltedDensity
from ...guidance.value_weighted import ValueWeightedPolicy
from ...policies import rollout_with
from ...rewards import Reward, query
from ...widgets import Picture, log_slider, moving_image, slider, together, words
from ...worlds import World

ALPHAS, PARTICLES, SEED = (0.1, 10.0), 8, 1
SHOWN, REACH = 3.7, 3.0  # half the side of the map, in the data's units; of the action's panel, in units of σ_t
FIRST_STEP = 15  # that the widget shows
CIRCLE = torch.stack([torch.linspace(0, 2 * torch.pi, 73).cos(), torch.linspace(0, 2 * torch.pi, 73).sin()], -1)


@dataclass(frozen=True, eq=False)
class Scene:
    """A mixture world under one reward: its exact tilt, and p_t on the tilt's grid for every t, [T+1, n, n]."""

    world: World
    reward: Reward
    tilted: TiltedDensity
    densities: Tensor


@dataclass(frozen=True)
class Walk:
    """P episodes at one α: x, ρ and u [T+1, P, 2], kl [T+1, P], reward r(x_0) [P]."""

    alpha: float
    x: Tensor
    rho: Tensor
    u: Tensor
    kl: Tensor
    reward: Tensor

    @property
    def T(self) -> int:
        return len(self.x) - 1

    def fees(self, particle: int) -> Tensor:
        """−α Σ KL paid on arriving at x_t, [T+1]. With r(x_0) added, entry 0 is the return."""
        paid = self.kl[1:, particle].flip(0).cumsum(0).flip(0)
        return -self.alpha * torch.cat([paid, paid.new_zeros(1)])


def scene(world: World, reward: Reward) -> Scene:
    """The scene of a world with a known mixture; ValueError for another."""
    if world.mixture is None or world.extent is None:
        raise ValueError(f"expected a world whose mixture is known, got {world.name}")
    tilted = TiltedDensity(world.pretrained, reward, extent=world.extent, grid=101)
    levels = world.schedule.alpha_bar.tolist()
    densities = [tilted.grid.mass(world.mixture.noised(level).log_prob(tilted.grid.points)) for level in levels]
    return Scene(world, reward, tilted, torch.stack(densities))


@functools.lru_cache(maxsize=1)
def walk(scene: Scene, alpha: float) -> Walk:
    """A few particles under value-weighted steps with the exact v: the same noise at every α, so that paths glide."""
    pretrained = scene.world.pretrained
    policy = ValueWeightedPolicy(pretrained, scene.tilted.values(alpha), alpha=alpha)
    rho, u = torch.zeros(2, pretrained.schedule.T + 1, PARTICLES, 2)

    def mean(x_t: Tensor, t: int) -> Tensor:
        rho[t], u[t] = policy.proposal(x_t, t)
        return rho[t] + policy.sigma(t) * u[t]

    path = rollout_with(mean, policy, PARTICLES, generator=torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        return Walk(alpha, path.x, rho, u, u.square().sum(-1) / 2, query(scene.reward, path.x_0))


def in_words(walk: Walk, particle: int, t: int) -> str:
    """State, action, price and return of the step from x_t."""
    here, there = (f"({x:z.2f}, {y:z.2f})" for x, y in walk.x[[t, t - 1], particle].tolist())
    away, kl = walk.u[t, particle].norm().item(), walk.kl[t, particle].item()
    paid, reward = walk.kl[t:, particle].sum().item(), walk.reward[particle].item()
    so_far = walk.fees(particle)[t - 1].item() + (reward if t == 1 else 0)
    earned = f"r(x<sub>0</sub>) = {reward:.2f}" if t == 1 else "no reward yet"
    text = (
        f"<b>State</b> t = {t}, x<sub>{t}</sub> = {here}. <b>Action</b> x<sub>{t - 1}</sub> = {there}, from a policy "
        f"whose mean is ‖u‖ = {away:.2f} widths from the pretrained one: "
        f"<b>KL<sub>{t}</sub> = ½·{away:.2f}² = {kl:.3f} nats</b>.<br>"
        f"KL so far {paid:.2f} nats at α = {walk.alpha:.3g}; {earned}; "
        f"<b>return so far {so_far:z.2f}</b>."
    )
    return text.replace("-", "−")


def show_reward(ax: Axes, scene: Scene) -> None:
    """The reward's contours on the part of the plane that is shown."""
    axis = scene.tilted.grid.axis
    inside = axis.abs() <= SHOWN
    plots.reward_contours(ax, axis[inside], scene.tilted.reward[inside][:, inside], levels=4)
    ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))


class Map:
    """The plane at one step: p_t in grey, the path so far, the state, the Gaussian of the step and the action."""

    def __init__(self, ax: Axes, scene: Scene, *, title: str = ""):
        self.scene, extent = scene, scene.tilted.grid.extent
        self.density = plots.density(ax, scene.densities[-1], extent=extent, title=title)
        show_reward(ax, scene)
        self.path = _line(ax, "-", plots.TUNED, linewidth=1, alpha=0.6)
        self.before = _line(ax, "--", plots.PRETRAINED, linewidth=1.5)
        self.after = _line(ax, "-", plots.TUNED, linewidth=1.5)
        self.state = _line(ax, "o", plots.TUNED, markersize=8)
        self.action = _line(ax, "o", plots.TUNED, markersize=8, markerfacecolor="white")
        contours = list(ax.collections)  # drawn anew too, or the density would cover them
        self.moving: list[Artist] = [self.density, *contours, self.path, self.before, self.after]
        self.moving += [self.state, self.action]

    def draw(self, walk: Walk, particle: int, t: int) -> None:
        """Move to the step from x_t."""
        x, sigma = walk.x[:, particle], self.scene.world.schedule.sigma[t]
        rho, u = walk.rho[t, particle], walk.u[t, particle]
        plots.scale_to(self.density, self.scene.densities[t])
        self.path.set_data(*x[t - 1 :].T)
        self.before.set_data(*(rho + sigma * CIRCLE).T)
        self.after.set_data(*(rho + sigma * (u + CIRCLE)).T)
        self.state.set_data(*x[t, :, None])
        self.action.set_data(*x[t - 1, :, None])


class StepView:
    """Four panels: the map, the action in units of σ_t, the KL paid at every step, and the return so far."""

    def __init__(self, scene: Scene):
        self.scene, T = scene, scene.world.schedule.T
        figure = plt.figure(figsize=(11.5, 4.1))
        axes = figure.subplot_mosaic(
            [["map", "action", "price"], ["map", "action", "return"]], width_ratios=[1, 1, 1.1]
        )
        self.map = Map(axes["map"], scene, title="State: ● on $p_t$.  Action: ○")
        ax = plots.bare(axes["action"], REACH, "Two Gaussians, in units of $σ_t$")
        ax.plot(*CIRCLE.T, "--", color=plots.PRETRAINED)
        ax.plot(0, 0, "+", color=plots.PRETRAINED, markersize=10)
        ax.text(-REACH, -REACH, "pretrained, at 0", color=plots.PRETRAINED, ha="left")
        ax.text(REACH, -REACH, "policy, at u", color=plots.TUNED, ha="right")
        self.shift = _line(ax, "-", plots.TUNED)
        self.after = _line(ax, "-", plots.TUNED)
        self.action = _line(ax, "o", plots.TUNED, markersize=8, markerfacecolor="white")
        axes["price"].set_yscale("function", functions=(np.sqrt, np.square))  # so that a small price is seen
        axes["price"].set(ylim=(0, 1.5), yticks=[0, 0.1, 0.5, 1], title="KL$_t$, the price of the step from $x_t$")
        axes["return"].set(ylim=(-0.7, 1.1), xlabel="t", title="Return so far; the reward comes last")
        for ax in (axes["price"], axes["return"]):
            ax.set_xlim(T + 0.6, -0.6)
        axes["return"].axhline(0, color=plots.PRETRAINED, linewidth=1)
        self.prices = axes["price"].bar(range(1, T + 1), [0] * T, width=0.7)
        self.fees = _line(axes["return"], "o-", plots.TUNED, markersize=3)
        self.reward = _line(axes["return"], "-", plots.REWARD, linewidth=4)
        moving = [*self.map.moving, self.shift, self.after, self.action, *self.prices]
        self.picture = Picture(figure, [*moving, self.fees, self.reward])

    def draw(self, walk: Walk, particle: int, t: int) -> None:
        """Move the artists to the step from x_t. What lies beyond a panel waits at its edge."""
        self.map.draw(walk, particle, t)
        u, sigma = walk.u[t, particle], self.scene.world.schedule.sigma[t]
        self.shift.set_data([0, float(u[0])], [0, float(u[1])])
        self.after.set_data(*(u + CIRCLE).T)
        z = ((walk.x[t - 1, particle] - walk.rho[t, particle]) / sigma).clamp(-REACH, REACH)
        self.action.set_data(*z[:, None])
        for s, bar in enumerate(self.prices, start=1):
            bar.set_height(float(walk.kl[s, particle]))
            bar.set_color(plots.TUNED if s == t else "#a9c6f0" if s > t else "#e5e7eb")
        fees = walk.fees(particle)
        self.fees.set_data(range(t - 1, walk.T + 1), fees[t - 1 :])
        earned = fees[:1] + torch.stack([torch.zeros(1), walk.reward[[particle]]])
        self.reward.set_data([0, 0], earned)
        self.reward.set_visible(t == 1)


def _line(ax: Axes, style: str, color: str, **look: Any) -> Line2D:
    (line,) = ax.plot([], [], style, color=color, **look)
    return line


def step_through(world: World, reward: Reward) -> ui.VBox:
    """The widget: the step, α, and which of the particles to follow."""
    here = scene(world, reward)
    view, text = StepView(here), words()
    image = moving_image(view.picture.figure, "episode")

    def respond(step: int, alpha: float, particle: int) -> None:
        found = walk(here, alpha)
        t = found.T + 1 - step
        view.draw(found, particle - 1, t)
        image.value, text.value = view.picture.frame(), in_words(found, particle - 1, t)

    T = world.schedule.T
    controls = [
        slider("step", FIRST_STEP, 1, T, 1),
        log_slider("α", 0.2, *ALPHAS),
        slider("particle", 1, 1, PARTICLES, 1),
    ]
    return together(controls, respond, image, text)
