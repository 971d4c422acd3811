r"""The playground on digits: what α trades for a bank of samples that is re-weighted, and for a tuned policy, live.

    p_r ∝ p_pre exp(r/α)   beside   p_θ(·; α), tuned once for every α

A `Scene` holds what no slider changes; `bank_at` and `tuned_at` map α to images; a view draws them.
Images are [n, 1, 8, 8] in [−1, 1].
"""

import functools
import math
from dataclasses import dataclass

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from ... import plots, worlds
from ...exact import Frontier, FrontierPoint
from ...policies import Policy, glimpse
from ...rewards import Reward, query
from ...widgets import Picture, choice, log_slider, moving_image, together, words
from ...worlds import digits_rewards

SIDE = 6
WALL = SIDE**2
STEPS = 9  # of DDIM, for a live wall
REWARDS = ("ink", "symmetry", "compressed_size", "log_probability", "few_labels")
DOUBTFUL = "#b0413e"


@dataclass(frozen=True)
class Scene:
    """A bank of pretrained images [N, 1, 8, 8], sorted by one reward, and the frontier of a larger one.

    bank: the images' own rewards. They are kept in bytes, cut to [−1, 1], which is why the frontier is drawn from
    rewards that were taken before (`digits_rewards`): those are of what a policy draws.
    order: places of the live wall's noise, sorted by the reward that the pretrained policy makes of it.
    measured: the tuned policy's reward and KL at a few α (`shipped.digits_measured`), where one is shipped.
    """

    reward_name: str
    reward: Reward
    images: Tensor
    bank: Frontier
    frontier: Frontier
    curve: list[FrontierPoint]
    pretrained: Tensor
    order: Tensor
    measured: dict[str, Tensor] | None


@functools.lru_cache(maxsize=len(REWARDS))
def scene(reward_name: str) -> Scene:
    """The digits' bank under one of its rewards."""
    world = worlds.make("digits").with_reward(reward_name)
    images = worlds.digits_bank()
    with torch.no_grad():
        rewards = query(world.reward, images)
    order = rewards.argsort()
    frontier = Frontier(digits_rewards()[reward_name])
    low, high = alpha_range(reward_name)
    curve = frontier.curve(torch.logspace(math.log10(low), math.log10(high), 60))
    live = live_wall(world.pretrained)
    with torch.no_grad():
        places = query(world.reward, live).argsort()
    measured = worlds.shipped.digits_measured(reward_name) if reward_name in worlds.shipped.DIGITS else None
    bank = Frontier(rewards[order])
    return Scene(reward_name, world.reward, images[order], bank, frontier, curve, live[places], places, measured)


def alpha_range(reward_name: str) -> tuple[float, float]:
    """The span of α worth a look, around the one that suits the reward's scale."""
    suits = worlds.make("digits").with_reward(reward_name).alpha
    return suits / 8, 100 * suits


def bank_at(scene: Scene, alpha: float) -> tuple[Tensor, FrontierPoint]:
    """WALL images drawn from the re-weighted bank, worst reward first, and where α stands on the frontier.

    Systematic resampling along the sorted bank: as α moves, each place on the wall changes its image seldom.
    """
    cdf = scene.bank.weights(alpha).cumsum(0)
    places = (torch.arange(WALL, dtype=cdf.dtype) + 0.5) / WALL * cdf[-1]
    return scene.images[torch.searchsorted(cdf, places)], scene.frontier.at(alpha)


def live_wall(policy: Policy) -> Tensor:
    """WALL images of a policy in STEPS steps, from the same noise every time."""
    return glimpse(policy, WALL, steps=STEPS, generator=torch.Generator().manual_seed(0))


def nearest_price(scene: Scene, alpha: float) -> float:
    """α, or the end of the tuned policy's range that is nearest to it."""
    low, high = worlds.shipped.DIGITS[scene.reward_name]
    return min(max(alpha, low), high)


def tuned_at(scene: Scene, alpha: float) -> Tensor:
    """The tuned policy's wall at α; the same noise at every α and in the order of the pretrained rewards."""
    return live_wall(worlds.shipped.digits(scene.reward_name).at(nearest_price(scene, alpha)))[scene.order]


def tuned_point(scene: Scene, alpha: float) -> dict[str, float]:
    """kl, reward and their standard errors as they were measured, with a smooth curve over log α between."""
    assert scene.measured is not None
    at, known = math.log(nearest_price(scene, alpha)), scene.measured["alpha"].log()
    names = ("kl", "kl_se", "reward", "reward_se")
    curve = PchipInterpolator(known, torch.stack([scene.measured[name] for name in names], 1))
    return dict(zip(names, curve(at).tolist(), strict=True))


class View:
    """Three panels: the re-weighted wall, the tuned policy's wall (or the pretrained one), the frontier."""

    def __init__(self, scene: Scene):
        self.scene = scene
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 4.1), width_ratios=[1, 1, 1.15])
        title = "Pretrained digits" if scene.measured is None else "The tuned policy, live"
        self.bank = plots.show_wall(axes[0], scene.pretrained, columns=SIDE, title="A bank, re-weighted by exp(r/α)")
        self.live = plots.show_wall(axes[1], scene.pretrained, columns=SIDE, title=title)
        trusted = [p for p in scene.curve if p.trusted]
        kl, reward = [p.kl for p in scene.curve], [p.reward for p in scene.curve]
        axes[2].plot(kl, reward, ":", color=plots.TARGET)
        plots.frontier(
            axes[2],
            [p.kl for p in trusted],
            [p.reward for p in trusted],
            title=f"The frontier of {len(scene.frontier.rewards):,} samples",
            exact=False,
        )
        axes[2].set(xlabel="KL from the pretrained model (nats), ± 2 s.e.", ylabel="expected reward, ± 2 s.e.")
        if len(trusted) < len(scene.curve):
            edge = max(p.kl for p in trusted)
            axes[2].axvspan(edge, 1.05 * max(kl), color=DOUBTFUL, alpha=0.08, linewidth=0)
            style = dict(textcoords="offset points", color=DOUBTFUL)
            axes[2].annotate("too few effective\nsamples to trust", (edge, min(reward)), (6, 6), **style)
        axes[2].set_xlim(-0.02 * max(kl), 1.05 * max(kl))
        if scene.measured is not None:
            attained = [tuned_point(scene, p.alpha) for p in scene.curve]
            axes[2].plot([p["kl"] for p in attained], [p["reward"] for p in attained], color=plots.TUNED, linewidth=1)
            end = max(p["kl"] for p in attained), max(p["reward"] for p in attained)
            axes[2].annotate("tuned", end, (6, -4), textcoords="offset points", color=plots.TUNED)
        (self.best,) = axes[2].plot([], [], "o", color=plots.TARGET, markersize=7)
        (self.here,) = axes[2].plot([], [], "o", color=plots.TUNED, markersize=5)
        self.errors = [axes[2].plot([], [], color=dot.get_color(), linewidth=1.5)[0] for dot in (self.best, self.here)]
        self.picture = Picture(figure, [self.bank, self.live, *self.errors, self.best, self.here])

    def draw(self, alpha: float) -> FrontierPoint:
        """Move everything to α; returns the frontier's point."""
        images, point = bank_at(self.scene, alpha)
        self.bank.set_data(plots.wall(images, columns=SIDE))
        self.best.set_data([point.kl], [point.reward])
        self.errors[0].set_data(*cross(point.kl, point.kl_se, point.reward, point.reward_se))
        if self.scene.measured is not None:
            self.live.set_data(plots.wall(tuned_at(self.scene, alpha), columns=SIDE))
            here = tuned_point(self.scene, alpha)
            self.here.set_data([here["kl"]], [here["reward"]])
            self.errors[1].set_data(*cross(here["kl"], here["kl_se"], here["reward"], here["reward_se"]))
        return point


def cross(kl: float, kl_se: float, reward: float, reward_se: float) -> tuple[list[float], list[float]]:
    """± 2 standard errors around a point, as the two strokes of a cross: (KL, reward)."""
    across, up = [kl - 2 * kl_se, kl + 2 * kl_se], [reward - 2 * reward_se, reward + 2 * reward_se]
    return [*across, math.nan, kl, kl], [reward, reward, math.nan, *up]


@functools.lru_cache(maxsize=len(REWARDS))
def view(reward_name: str) -> View:
    return View(scene(reward_name))


def explore() -> ui.VBox:
    """The playground: α and the reward move the re-weighted bank, and the tuned policy where one is shipped."""
    image, text = moving_image(view("ink").picture.figure, "digits"), words()
    alpha, reward_name = log_slider("α on digits", 0.02, *alpha_range("ink")), choice("reward of the digits", REWARDS)

    def rescale(change: dict) -> None:
        low, high = alpha_range(change["new"])
        with alpha.hold_trait_notifications():
            alpha.min, alpha.max, alpha.value = math.log10(low), math.log10(high), 8 * low

    reward_name.observe(rescale, names="value")

    def respond(alpha: float, reward_name: str) -> None:
        shown = view(reward_name)
        point = shown.draw(alpha)
        image.value, text.value = shown.picture.frame(), in_words(shown.scene, alpha, point)

    return together([alpha, reward_name], respond, image, text)


def in_words(scene: Scene, alpha: float, point: FrontierPoint) -> str:
    """The optimum by re-weighting and, where one is shipped, the tuned policy."""
    warning = "" if point.trusted else f" <b style='color:{DOUBTFUL}'>Too few to trust.</b>"
    said = (
        f"<b>Optimum: KL {point.kl:.2f} ± {point.kl_se:.2f} nats, "
        f"reward {point.reward:.3g} ± {point.reward_se:.1g}</b> "
        f"(pretrained {float(scene.frontier.rewards.mean()):.3g}). "
        f"Effective sample size {point.size:,.0f} of {len(scene.frontier.rewards):,}.{warning}"
    )
    if scene.measured is None:
        return said + "<br>No policy tuned for this reward at every α is shipped, so there is no live wall."
    here, price = tuned_point(scene, alpha), nearest_price(scene, alpha)
    away = "" if price == alpha else f" It was trained for α from {price:g} {'up' if price > alpha else 'down'}."
    return (
        f"{said}<br><b>Tuned: KL {here['kl']:.2f} ± {here['kl_se']:.2f} nats, reward {here['reward']:.3g} ± "
        f"{here['reward_se']:.1g}</b>, measured with all 50 steps; the wall takes {STEPS}.{away}"
    )
