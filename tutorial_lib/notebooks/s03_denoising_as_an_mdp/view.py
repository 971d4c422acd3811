"""Stepping through one denoising trajectory as an episode of an MDP (§3): the picture, the words and the widget."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from torch import Tensor

from ... import plots
from ...widgets import Picture, log_slider, moving_image, slider, together, words
from .study import ALPHAS, PARTICLES, Answer, Scene, answer, reach, scene

SHOWN, NEAR, REACH = 3.7, 1.3, 3.0  # half the side of the map and of a close-up; of the action's panel, in units of σ_t
FIRST: dict[str, Any] = dict(step=15, alpha=0.2, particle=1)
TICKS = tuple(step * 10.0**power for power in range(-3, 3) for step in (1, 5))  # of the KL, few on its scale
PAID, TO_COME = to_rgba(plots.TUNED, 0.4), to_rgba(plots.PRETRAINED, 0.2)  # the KL of steps before this one, and after
CIRCLE = torch.stack([torch.linspace(0, 2 * torch.pi, 73).cos(), torch.linspace(0, 2 * torch.pi, 73).sin()], -1)


def in_words(answer: Answer) -> str:
    """State, action, KL and return of the step from x_t."""
    t, kl = answer.t, float(answer.kl[answer.t])
    here, there = (f"({x:z.2f}, {y:z.2f})" for x, y in answer.path[[t, t - 1]].tolist())
    away, paid = float(answer.u.norm()), float(answer.kl[t:].sum())
    so_far = float(answer.fees[t - 1]) + (answer.reward if t == 1 else 0)
    earned = f"r(x<sub>0</sub>) = {answer.reward:.2f}" if t == 1 else "no reward yet"
    return plots.minus(
        f"<b>State</b> t = {t}, x<sub>{t}</sub> = {here}. <b>Action</b> x<sub>{t - 1}</sub> = {there}, from a policy "
        f"whose mean is ‖u‖ = {away:.2f} widths from the pretrained one: "
        f"<b>KL<sub>{t}</sub> = ½·{away:.2f}² = {kl:.3f} nats</b>.<br>"
        f"KL so far {paid:.2f} nats at α = {answer.alpha:.3g}; {earned}; "
        f"<b>return so far {so_far:z.2f}</b>."
    )


def show_reward(ax: Axes, scene: Scene) -> None:
    """The reward's contours on the part of the plane that is shown."""
    axis = scene.tilted.grid.axis
    inside = axis.abs() <= SHOWN
    plots.reward_contours(ax, axis[inside], scene.tilted.reward[inside][:, inside], levels=4)
    ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN))


class Map:
    """The plane at one step: p_t in grey, the path so far, the state, the Gaussian of the step and the action."""

    def __init__(self, ax: Axes, scene: Scene, *, title: str = ""):
        self.density = plots.density(ax, scene.densities[-1], extent=scene.tilted.grid.extent, title=title)
        show_reward(ax, scene)
        self.path = _line(ax, "-", plots.TUNED, linewidth=1, alpha=0.6)
        self.before = _line(ax, "--", plots.PRETRAINED, linewidth=1.5)
        self.after = _line(ax, "-", plots.TUNED, linewidth=1.5)
        self.state = _line(ax, "o", plots.TUNED, markersize=8)
        self.action = _line(ax, "o", plots.TUNED, markersize=8, markerfacecolor="white")
        contours = list(ax.collections)  # drawn anew too, or the density would cover them
        self.moving: list[Artist] = [self.density, *contours, self.path, self.before, self.after]
        self.moving += [self.state, self.action]

    def draw(self, answer: Answer) -> None:
        """Move to one step."""
        x, t = answer.path, answer.t
        plots.scale_to(self.density, answer.density)
        self.path.set_data(*x[t - 1 :].T)
        self.before.set_data(*(answer.rho + answer.sigma * CIRCLE).T)
        self.after.set_data(*(answer.rho + answer.sigma * (answer.u + CIRCLE)).T)
        self.state.set_data(*x[t, :, None])
        self.action.set_data(*x[t - 1, :, None])


def close_up(ax: Axes, scene: Scene, answer: Answer) -> Map:
    """The map around one step, NEAR to each side of the pretrained mean; its title says t, σ_t and the KL."""
    t = answer.t
    panel = Map(ax, scene, title=f"t = {t}: $σ_t$ = {answer.sigma:.2f}, KL {float(answer.kl[t]):.2f} nats")
    panel.draw(answer)
    (x, y), half = answer.rho.tolist(), NEAR
    ax.set(xlim=(x - half, x + half), ylim=(y - half, y + half))
    return panel


class StepView:
    """Four panels under the settings: the map, the action in units of σ_t, every step's KL, and the return so far."""

    def __init__(self, scene: Scene):
        self.T, figure = scene.T, plt.figure(figsize=(11.5, 4.3))
        self.settings = figure.suptitle(" ", fontsize=11, x=0.01, ha="left")
        axes = figure.subplot_mosaic([["map", "action", "kl"], ["map", "action", "return"]], width_ratios=[1, 1, 1.1])
        self.map = Map(axes["map"], scene, title="State: ● on $p_t$.  Action: ○")
        self._action_panel(axes["action"])
        self._accounts(axes["kl"], axes["return"], reach(scene))
        steps = [self.shift, self.after, self.action, *self.names, *self.kl, self.fees, self.reward]
        self.picture = Picture(figure, [self.settings, *self.map.moving, *steps])

    def _action_panel(self, ax: Axes) -> None:
        plots.bare(ax, REACH, "Two Gaussians, in units of $σ_t$")
        ax.plot(*CIRCLE.T, "--", color=plots.PRETRAINED)
        ax.plot(0, 0, "+", color=plots.PRETRAINED, markersize=10)
        named = {"pretrained, at 0": plots.PRETRAINED, "policy, at u": plots.TUNED}
        self.names = [ax.text(0, 0, name, color=color, ha="center", va="center") for name, color in named.items()]
        self.shift = _line(ax, "-", plots.TUNED)
        self.after = _line(ax, "-", plots.TUNED)
        self.action = _line(ax, "o", plots.TUNED, markersize=8, markerfacecolor="white")

    def _accounts(self, kl: Axes, returns: Axes, reach: tuple[float, float, float]) -> None:
        highest, low, high = reach
        room = 0.1 * (high - low)
        ticks = [tick for tick in TICKS if highest / 20 <= tick <= highest]
        kl.set_yscale("function", functions=(np.sqrt, np.square))  # so that a small KL is seen
        kl.set(ylim=(0, 1.1 * highest), yticks=[0, *ticks], title="KL$_t$ of the step from $x_t$ (square-root axis)")
        returns.set(ylim=(low - room, high + room), xlabel="t", title="Return so far; the reward comes last")
        for ax in (kl, returns):
            ax.set_xlim(self.T + 0.6, -0.6)
        returns.axhline(0, color=plots.PRETRAINED, linewidth=1)
        self.kl = kl.bar(range(1, self.T + 1), [0] * self.T, width=0.7)
        self.fees = _line(returns, "o-", plots.TUNED, markersize=3)
        self.reward = _line(returns, "-", plots.REWARD, linewidth=4)

    def draw(self, answer: Answer) -> None:
        """Move the artists to one step. An action beyond its panel waits at the edge."""
        t, u = answer.t, answer.u
        step = f"Step {self.T + 1 - t} of {self.T}, t = {t}"
        self.settings.set_text(f"{step};  α = {answer.alpha:.3g};  particle {answer.particle}")
        self.map.draw(answer)
        self.shift.set_data([0, float(u[0])], [0, float(u[1])])
        self.after.set_data(*(u + CIRCLE).T)
        self.action.set_data(*answer.action.clamp(-REACH, REACH)[:, None])
        for name, place in zip(self.names, beside_circles(u), strict=True):
            name.set_position((float(place[0]), float(place[1])))
        for s, bar in enumerate(self.kl, start=1):
            bar.set_height(float(answer.kl[s]))
            bar.set_color(plots.TUNED if s == t else PAID if s > t else TO_COME)
        self.fees.set_data(range(t - 1, self.T + 1), answer.fees[t - 1 :])
        end = float(answer.fees[0])
        self.reward.set_data([0, 0], [end, end + answer.reward])
        self.reward.set_visible(t == 1)


def beside_circles(u: Tensor) -> Tensor:
    """Where the names of the circles around 0 and around u stand, above the higher and below the lower one: [2, 2]."""
    up = 1.35 if u[1] > 0 else -1.35
    places = torch.stack([torch.tensor([0.0, -up]), u + torch.tensor([0.0, up])])
    return places.clamp(torch.tensor([-2.0, -REACH]), torch.tensor([2.0, REACH]))


def _line(ax: Axes, style: str, color: str, **look: Any) -> Line2D:
    (line,) = ax.plot([], [], style, color=color, **look)
    return line


def still(of: Scene | None = None, **settings: Any) -> Image:
    """The widget's picture at a step, an alpha and a particle, for a page without a kernel; FIRST where none is given.
    `of`: a scene, Ring's if none."""
    of = of or scene()
    view = StepView(of)
    view.draw(answer(of, **(FIRST | settings)))
    return view.picture.still()


def play(of: Scene | None = None) -> ui.VBox:
    """The widget: the step, α, and which of the particles to follow. `of`: a scene, Ring's if none."""
    of = of or scene()
    view, text = StepView(of), words()
    image = moving_image(view.picture.figure, "episode")

    def respond(step: int, alpha: float, particle: int) -> None:
        found = answer(of, step=step, alpha=alpha, particle=particle)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(found)

    controls = [
        slider("step", FIRST["step"], 1, of.T, 1),
        log_slider("α", FIRST["alpha"], *ALPHAS),
        slider("particle", FIRST["particle"], 1, PARTICLES, 1),
    ]
    return together(controls, respond, image, text)
