r"""What α trades in the plane, for the first notebook's playground: settings → arrays (`digits_study`: on images).

    maximise E[r(x_0)] − α KL(p_θ‖p_pre)   →   p_r ∝ p_pre exp(r/α)

A `Scene` holds what no setting changes; `answer` maps α, γ and a method to samples and what they attain.
The exact target is told by its KL(x_0), a method by its KL(path) = Σ_t KL_t, which is never less.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ... import worlds
from ...amortised import ALPHAS
from ...exact import Frontier, FrontierPoint, GridValues, Tilt, TiltedDensity
from ...grids import Grid
from ...guidance.value_weighted import ValueWeightedPolicy
from ...guidance.values import Tweedie
from ...metrics import rollout_with_kl
from ...policies import Fenced, Policy, SteeredPolicy
from ...rewards import query
from ...worlds import World

EXACT, EXACT_VALUE, TWEEDIE = UNTRAINED = (
    "exact soft-optimal chain",
    "value-weighted, exact v",
    "value-weighted, Tweedie's v",
)
IN_FULL = dict(
    soft_ppo="soft PPO",
    reward_backprop="reward backpropagation",
    reward_weighted_mle="reward-weighted MLE",
    path_consistency="path consistency",
)
TRAINED = {f"{IN_FULL.get(by, by)}, trained": by for by in worlds.shipped.RING}
STORED = {EXACT_VALUE: "exact_v", TWEEDIE: "tweedie"} | TRAINED  # names in the asset of applied tilts
PLANE_WORLDS, REWARDS = ("ring", "grid", "two_moons", "spiral", "checkerboard"), ("peak", "half_plane", "disc")
PARTICLES, FINE = 400, 401  # points drawn; cells a side for the reward's contours


@dataclass(frozen=True, eq=False)
class Scene:
    """One world and reward: the pretrained density, its exact tilt at every α, and the frontier of KL(x_0).

    axis [FINE], reward [FINE, FINE]: the reward on a grid fine enough for contours.
    """

    world: World
    reward_name: str
    tilted: TiltedDensity
    frontier: Frontier
    curve: list[FrontierPoint]
    pretrained_objective: float
    axis: Tensor
    reward: Tensor


@dataclass(frozen=True)
class Answer:
    """What one setting gives: samples x_0 [n, 2], the exact target, and what the method attains.

    kl: KL(path), but KL(x_0) for exact draws, whose two KLs are one. regret: in units of J* − J_pre. *_se: standard
    errors. left: how many of the PARTICLES flew off; the others alone are in x_0 and in the numbers, which are
    infinite where fewer than two stayed.
    """

    method: str
    alpha: float
    strength: float
    x_0: Tensor
    left: int
    target: Tilt
    reward: float
    kl: float
    objective: float
    reward_se: float
    regret: float
    regret_se: float


@dataclass(frozen=True)
class Applied:
    """The α that a method really applied: 1/α is the slope of log p_θ(x_0)/p_pre(x_0) against r, and r² what the line
    explains. NaN where the method's paths leave every grid."""

    alpha: float
    r2: float


@functools.lru_cache(maxsize=8)
def scene(world_name: str, reward_name: str) -> Scene:
    """The scene of a world in the plane and one of its rewards."""
    if world_name not in PLANE_WORLDS:
        raise ValueError(f"unknown world {world_name!r} in the plane; known: {', '.join(PLANE_WORLDS)}")
    world = worlds.make(world_name).with_reward(reward_name)
    assert world.extent is not None
    tilted = TiltedDensity(world.pretrained, world.reward, extent=world.extent, grid=81)
    frontier = Frontier(tilted.reward.reshape(-1), tilted.pretrained.reshape(-1))
    curve = frontier.curve(torch.logspace(math.log10(ALPHAS[0]), 3, 80))
    before = float((tilted.pretrained * tilted.reward).sum())
    fine = Grid(world.extent, FINE)
    reward = query(world.reward, fine.points).reshape(FINE, FINE)
    return Scene(world, reward_name, tilted, frontier, curve, before, fine.axis, reward)


def methods(world_name: str, reward_name: str) -> tuple[str, ...]:
    """What can be chosen there: trained policies are shipped for the ring, and backpropagation needs a slope."""
    ready = world_name == "ring"
    return (*UNTRAINED, *(name for name, by in TRAINED.items() if ready and reward_name in worlds.shipped.RING[by]))


def answer(scene: Scene, alpha: float, strength: float, method: str) -> Answer:
    """Samples of one method at one α and guidance strength γ, with the exact target beside them.

    The noise is the same at every setting, so that samples glide.
    """
    target = scene.tilted.at(alpha)
    if method == EXACT:
        x_0 = scene.tilted.sample(alpha, torch.rand(PARTICLES, 2, generator=_noise()))
        attained = target.reward, target.kl, target.objective, 0.0, 0.0, 0.0
        return Answer(method, alpha, strength, x_0, 0, target, *attained)
    policy = Fenced(policy_of(scene, alpha, strength, method))
    path, kl = rollout_with_kl(policy, PARTICLES, generator=_noise())
    stayed = policy.stayed(path)
    x_0, left = path.x_0[stayed], int((~stayed).sum())
    return Answer(method, alpha, strength, x_0, left, target, *_attained(scene, target, x_0, kl[stayed]))


def _attained(scene: Scene, target: Tilt, x_0: Tensor, kl: Tensor) -> tuple[float, float, float, float, float, float]:
    """reward, KL(path), J, the reward's standard error, regret and its standard error, of x_0 [n, 2] and kl [n]."""
    if len(x_0) < 2:
        return -math.inf, math.inf, -math.inf, math.inf, math.inf, math.inf
    with torch.no_grad():
        r, kl = query(scene.world.reward, x_0).double(), kl.double()
    J, error = r - target.alpha * kl, 1 / math.sqrt(len(r))
    gain = max(target.objective - scene.pretrained_objective, 1e-12)
    mean = float(J.mean())
    regret, regret_se = (target.objective - mean) / gain, float(J.std()) * error / gain
    return float(r.mean()), float(kl.mean()), mean, float(r.std()) * error, regret, regret_se


def applied(scene: Scene, answer: Answer) -> Applied | None:
    """Between the stored α, asked/applied and r² run straight in log α. None where nothing is stored: beyond the ring,
    and at γ ≠ 1."""
    if answer.method == EXACT:
        return Applied(answer.alpha, 1.0)
    known = worlds.shipped.applied_tilts()
    key = f"{scene.reward_name}.{STORED[answer.method]}"
    if scene.world.name != "ring" or answer.strength != 1 or key not in known:
        return None
    asked, (alphas, r2) = known["alpha"].numpy(), known[key].T.numpy()
    ratio, share = (np.interp(math.log(answer.alpha), np.log(asked), y) for y in (asked / alphas, r2))
    return Applied(answer.alpha / ratio if ratio else math.inf, float(share))


def _noise() -> torch.Generator:
    return torch.Generator().manual_seed(0)


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


def slips_of_an_optimum(r: Tensor, alpha: float) -> dict[str, Tensor]:
    """What J* = α log E exp(r/α) becomes by a slip of the pen, for the rewards r [N] of samples of p_pre."""
    n = math.log(len(r))
    return {
        "J_pre, the mean of r": r.mean(),
        "α log of a sum where a mean belongs": alpha * (r / alpha).logsumexp(0),
        "log Z, without the α in front of it": (r / alpha).logsumexp(0) - n,
        "the J* of α = 1": r.logsumexp(0) - n,
        "the largest reward, which is J* as α falls to 0": r.max(),
    }
