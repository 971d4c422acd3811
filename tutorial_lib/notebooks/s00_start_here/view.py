r"""The playground of the first notebook: what does α trade in the plane? (`digit_playground`: on images.)

    maximise E[r(x_0)] − α KL(p_θ‖p_pre)   →   p_r ∝ p_pre exp(r/α)

A `Scene` holds what no slider changes; `answer` maps settings to arrays; a view draws them.
"""

import functools
import math
from dataclasses import dataclass

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from ... import plots, worlds
from ...amortised import ALPHAS
from ...exact import Frontier, FrontierPoint, GridValues, Tilt, TiltedDensity
from ...grids import Grid
from ...guidance.value_weighted import ValueWeightedPolicy
from ...guidance.values import Tweedie
from ...metrics import rollout_with_kl
from ...policies import Policy, SteeredPolicy
from ...rewards import query
from ...widgets import Picture, choice, log_slider, moving_image, slider, together, words
from ...worlds import World

EXACT, EXACT_VALUE, TWEEDIE = UNTRAINED = (
    "exact soft-optimal chain",
    "value-weighted, exact v",
    "value-weighted, Tweedie's v",
)
TRAINED = {
    "soft PPO, trained": "soft_ppo",
    "reward backpropagation, trained": "reward_backprop",
    "reward-weighted MLE, trained": "reward_weighted_mle",
    "path consistency, trained": "path_consistency",
}
PARTICLES = 400
PLANE_WORLDS = ("ring", "grid", "two_moons", "spiral", "checkerboard")


@dataclass(frozen=True, eq=False)
class Scene:
    """One world and reward: the pretrained density and its exact tilt at every α."""

    world: World
    reward_name: str
    tilted: TiltedDensity
    frontier: Frontier
    curve: list[FrontierPoint]
    pretrained_objective: float


@dataclass(frozen=True)
class Answer:
    """What one setting gives. x_0 [n, 2]; target: the exact tilt; regret in J* − J_pre; *_se: standard errors."""

    x_0: Tensor
    target: Tilt
    reward: float
    kl: float
    objective: float
    reward_se: float
    regret: float
    regret_se: float


@functools.lru_cache(maxsize=8)
def scene(world_name: str, reward_name: str) -> Scene:
    """The scene of a world in the plane and one of its rewards."""
    world = worlds.make(world_name).with_reward(reward_name)
    assert world.extent is not None
    tilted = TiltedDensity(world.pretrained, world.reward, extent=world.extent, grid=81)
    frontier = Frontier(tilted.reward.reshape(-1), tilted.pretrained.reshape(-1))
    curve = frontier.curve(torch.logspace(math.log10(ALPHAS[0]), 3, 80))
    return Scene(world, reward_name, tilted, frontier, curve, float((tilted.pretrained * tilted.reward).sum()))


def methods(world_name: str, reward_name: str) -> tuple[str, ...]:
    """What can be chosen there: trained policies are shipped for the ring, and backpropagation needs a slope."""
    ready = world_name == "ring"
    return (*UNTRAINED, *(name for name, by in TRAINED.items() if ready and reward_name in worlds.shipped.RING[by]))


def answer(scene: Scene, alpha: float, strength: float, method: str) -> Answer:
    """Samples of one method at one α and guidance strength γ, with the exact target beside them.

    The noise is the same at every setting, so that samples glide. Where the steps overshoot and particles leave for
    infinity, reward, KL, J and regret are those of the particles that stayed, and infinite where none did.
    """
    target = scene.tilted.at(alpha)
    if method == EXACT:
        uniforms = torch.rand(PARTICLES, 2, generator=torch.Generator().manual_seed(0))
        x_0 = scene.tilted.sample(alpha, uniforms)
        return Answer(x_0, target, target.reward, target.kl, target.objective, 0.0, 0.0, 0.0)
    policy = policy_of(scene, alpha, strength, method)
    path, kl = rollout_with_kl(policy, PARTICLES, generator=torch.Generator().manual_seed(0))
    stayed = path.x_0.abs().amax(1) < 1e3
    if not stayed.any():
        return Answer(path.x_0, target, -math.inf, math.inf, -math.inf, math.inf, math.inf, math.inf)
    with torch.no_grad():
        columns = torch.stack([query(scene.world.reward, path.x_0[stayed]), kl[stayed]]).double()
    objective = columns[0] - alpha * columns[1]
    gain = max(target.objective - scene.pretrained_objective, 1e-12)
    error = 1 / math.sqrt(len(objective))
    (reward, mean_kl), J = columns.mean(1).tolist(), float(objective.mean())
    spread = objective.std() / gain * error
    regret = (target.objective - J) / gain
    return Answer(path.x_0, target, reward, mean_kl, J, float(columns[0].std()) * error, regret, float(spread))


class Scaled(nn.Module):
    """γ times the shift of a policy."""

    def __init__(self, policy: Policy, strength: float):
        super().__init__()
        self.policy, self.strength = policy, strength

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        return self.strength * self.policy.shift(x_t, t)


def policy_of(scene: Scene, alpha: float, strength: float, method: str) -> Policy:
    """The policy of a method; γ scales the shift that it adds to every step of the pretrained model."""
    pretrained, known = scene.world.pretrained, methods(scene.world.name, scene.reward_name)
    if method not in known or method == EXACT:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(known)}")
    if method in TRAINED:
        member = worlds.shipped.ring(TRAINED[method], scene.reward_name).at(alpha)
        return SteeredPolicy(pretrained, Scaled(member, strength))
    value = exact_value(scene, alpha) if method == EXACT_VALUE else Tweedie(pretrained, scene.world.reward)
    return ValueWeightedPolicy(pretrained, value, alpha=alpha, strength=strength)


@functools.lru_cache(maxsize=1)
def exact_value(scene: Scene, alpha: float) -> GridValues:
    """The value at the last α that was asked for, so that moving γ does not make it again."""
    return scene.tilted.values(alpha)


def in_words(scene: Scene, answer: Answer, method: str) -> str:
    """KL, reward and regret as a sentence."""
    if not math.isfinite(answer.objective):
        return (
            "<b>Every particle flew off.</b> The steps overshoot at this α and γ: the value's slope is far too steep."
        )
    one_in = math.exp(min(answer.kl, 20))
    noise = "" if method == EXACT else f" ± {answer.reward_se:.2f}"
    first = (
        f"<b>KL {answer.kl:.2f} nats</b>, about as choosy as keeping one pretrained sample in {one_in:,.0f}. "
        f"<b>Reward {answer.reward:.2f}{noise}</b> (pretrained {scene.pretrained_objective:.2f})."
    )
    if method == EXACT:
        return f"{first}<br>J = J* = {answer.target.objective:.2f}: the optimum itself. γ does not act on it."
    return (
        f"{first}<br>J = {answer.objective:.2f} where J* = {answer.target.objective:.2f}: "
        f"<b>regret {answer.regret:.1%} ± {answer.regret_se:.1%}</b>. {_verdict(answer)}"
    )


def _verdict(answer: Answer) -> str:
    if answer.regret < 0.02 + 2 * answer.regret_se:
        return f"Nearly optimal, as far as {PARTICLES} particles can tell."
    if answer.regret < 0.2:
        return "Close, with something left to gain."
    return "Worse than doing nothing." if answer.regret > 1 else "Far from the frontier."


class PlaneView:
    """Three panels: pretrained density and reward, exact target and samples, frontier and this setting's point."""

    def __init__(self, scene: Scene):
        self.scene = scene
        figure, axes = plt.subplots(1, 3, figsize=(11.5, 4.1), width_ratios=[1, 1, 1.15])
        extent, tilted = 0.7 * scene.tilted.grid.extent, scene.tilted
        plots.density(axes[0], tilted.pretrained, extent=tilted.grid.extent, title="Pretrained, with reward contours")
        fine = Grid(tilted.grid.extent, 401)
        plots.reward_contours(axes[0], fine.axis, query(scene.world.reward, fine.points).reshape(401, 401))
        title = "Exact target, and samples of the method"
        self.target = plots.density(
            axes[1], tilted.pretrained, extent=tilted.grid.extent, color=plots.TARGET, title=title
        )
        self.points = plots.samples(axes[1], torch.zeros(1, 2))
        for ax in axes[:2]:
            ax.set(xlim=(-extent, extent), ylim=(-extent, extent))
        kl, reward = [p.kl for p in scene.curve], [p.reward for p in scene.curve]
        plots.frontier(axes[2], kl, reward, title="No method lies above the frontier")
        self.right, low, top = 1.25 * max(kl), scene.pretrained_objective, max(reward)
        self.bottom = low - 0.35 * (top - low)
        axes[2].set(xlim=(-0.03 * self.right, self.right), ylim=(self.bottom, top + 0.08 * (top - low)))
        axes[2].plot(0, low, "o", color=plots.PRETRAINED, markersize=9)
        axes[2].annotate("pretrained", (0, low), (8, -12), textcoords="offset points", color=plots.PRETRAINED)
        (self.gap,) = axes[2].plot([], [], color=plots.TUNED, linewidth=1.2)
        (self.best,) = axes[2].plot([], [], "o", color=plots.TARGET, markersize=11)
        (self.here,) = axes[2].plot([], [], "o", color=plots.TUNED, markersize=7)
        self.picture = Picture(figure, [self.target, self.points, self.gap, self.best, self.here])

    def draw(self, answer: Answer) -> None:
        """Move the artists to one answer. A point off the panel waits at its edge as a triangle."""
        plots.scale_to(self.target, answer.target.mass)
        self.points.set_offsets(answer.x_0.numpy())
        kl, reward = min(answer.kl, 0.985 * self.right), max(answer.reward, self.bottom)
        self.here.set_data([kl], [reward])
        self.here.set_marker("o" if (kl, reward) == (answer.kl, answer.reward) else ">" if kl < answer.kl else "v")
        self.best.set_data([answer.target.kl], [answer.target.reward])
        self.gap.set_data([kl, answer.target.kl], [reward, answer.target.reward])


@functools.lru_cache(maxsize=8)
def plane_view(world_name: str, reward_name: str) -> PlaneView:
    return PlaneView(scene(world_name, reward_name))


def plane() -> ui.VBox:
    """The playground in the plane: α, γ, method, reward and world."""
    image, text = moving_image(plane_view("ring", "peak").picture.figure, "plane"), words()
    method = choice("method", methods("ring", "peak"), EXACT_VALUE)
    reward_name, world_name = choice("reward", ("peak", "half_plane", "disc")), choice("world", PLANE_WORLDS)

    def offer(_: object) -> None:
        found = methods(world_name.value, reward_name.value)
        kept = method.value if method.value in found else EXACT_VALUE
        if found != method.options:
            method.options, method.value = found, kept

    for control in (reward_name, world_name):
        control.observe(offer, names="value")

    def respond(alpha: float, strength: float, method: str, reward_name: str, world_name: str) -> None:
        view = plane_view(world_name, reward_name)
        found = answer(view.scene, alpha, strength, method)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(view.scene, found, method)

    moved = log_slider("α", 0.5, *ALPHAS), slider("guidance strength γ", 1.0, 0.0, 3.0, 0.05)
    return together([*moved, method, reward_name, world_name], respond, image, text)
