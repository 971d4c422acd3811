"""One denoising trajectory as an episode of an MDP (§3).

    state (x_t, t),   action x_{t−1} ~ N(ρ + σ_t u, σ_t² I),   KL_t = ½‖u‖²,   return r(x_0) − α Σ_t KL_t

A `Scene` holds what α does not change; `walk` maps α to the episodes of a few particles; `answer` is one step of one of
them. Shapes: P particles; rows t = 1..T of an episode's arrays belong to the step from x_t, row 0 is empty.
"""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from ... import worlds
from ...checks import count
from ...exact import TiltedDensity
from ...guidance.value_weighted import ValueWeightedPolicy
from ...policies import rollout_with
from ...rewards import Reward, query
from ...worlds import World

ALPHAS, PARTICLES, SEED = (0.1, 10.0), 8, 1


@dataclass(frozen=True, eq=False)
class Scene:
    """A mixture world, one reward, their exact tilt, and p_t's masses on the tilt's grid for every t, [T+1, n, n]."""

    world: World
    reward: Reward
    tilted: TiltedDensity
    densities: Tensor

    @property
    def T(self) -> int:
        return self.world.schedule.T


@dataclass(frozen=True)
class Walk:
    """P episodes at one α: x, ρ and u [T+1, P, 2], kl [T+1, P], reward r(x_0) [P]."""

    alpha: float
    x: Tensor
    rho: Tensor
    u: Tensor
    kl: Tensor
    reward: Tensor


@dataclass(frozen=True)
class Answer:
    """The step from x_t of one particle at one α. path [T+1, 2]; density: p_t's masses [n, n]; rho, u [2]: the means
    are ρ and ρ + σ_t u; action [2]: (x_{t−1} − ρ)/σ_t; kl [T+1]; fees [T+1]: −α Σ KL paid on arriving at x_t, so that
    entry 0 and the reward r(x_0) make the return."""

    alpha: float
    particle: int
    t: int
    path: Tensor
    density: Tensor
    sigma: float
    rho: Tensor
    u: Tensor
    action: Tensor
    kl: Tensor
    fees: Tensor
    reward: float


def scene(world: World | None = None, reward: Reward | None = None) -> Scene:
    """The scene of a world with a known mixture, Ring with 20 steps if none, under a reward, the world's own if none.
    ValueError for another world."""
    world = world or worlds.ring(T=20)
    reward = reward or world.reward
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
    rho, u = torch.zeros(2, scene.T + 1, PARTICLES, 2)

    def mean(x_t: Tensor, t: int) -> Tensor:
        rho[t], u[t] = policy.proposal(x_t, t)
        return rho[t] + policy.sigma(t) * u[t]

    path = rollout_with(mean, policy, PARTICLES, generator=torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        return Walk(alpha, path.x, rho, u, u.square().sum(-1) / 2, query(scene.reward, path.x_0))


def reach(scene: Scene) -> tuple[float, float, float]:
    """The highest KL of a step, and the lowest and highest return so far, of all particles over the range of α."""
    highest, returns = 0.0, [torch.zeros(1)]
    for alpha in torch.logspace(math.log10(ALPHAS[0]), math.log10(ALPHAS[1]), 7).tolist():
        found = walk(scene, alpha)
        highest, fees = max(highest, float(found.kl.max())), -alpha * found.kl.sum(0)
        returns += [fees, fees + found.reward]
    low, high = torch.cat(returns).aminmax()
    return highest, float(low), float(high)


def answer(scene: Scene, *, step: int, alpha: float, particle: int = 1) -> Answer:
    """Step 1..T (the one from x_t, t = T + 1 − step) of particle 1..P at one α > 0."""
    for name, value, most in (("step", step, scene.T), ("particle", particle, PARTICLES)):
        if count(name, value) > most:
            raise ValueError(f"{name} must be a whole number in 1..{most}, got {value}")
    found, t, i = walk(scene, alpha), scene.T + 1 - step, particle - 1
    x, rho, kl, sigma = found.x[:, i], found.rho[t, i], found.kl[:, i], float(scene.world.schedule.sigma[t])
    paid = torch.cat([kl[1:].flip(0).cumsum(0).flip(0), torch.zeros(1)])
    return Answer(
        alpha,
        particle,
        t,
        x,
        scene.densities[t],
        sigma,
        rho,
        found.u[t, i],
        (x[t - 1] - rho) / sigma,
        kl,
        -alpha * paid,
        float(found.reward[i]),
    )


@dataclass(frozen=True)
class Episodes:
    """Made-up episodes of a chain in three dimensions, for an exercise: at each step the means of two policies, `ours`
    and `theirs` [T+1, n, 3], their common width `sigma` [T+1], and the reward r [n] at the end. Row 0 is no step."""

    ours: Tensor
    theirs: Tensor
    sigma: Tensor
    r: Tensor


def episodes(n: int = 50) -> Episodes:
    """The same every time; both policies have the same mean in row 0."""
    generator, sigma = torch.Generator().manual_seed(4), worlds.ring(T=20).schedule.sigma.clone()
    sigma[0] = 1.0
    theirs, u = torch.randn(2, len(sigma), n, 3, generator=generator)
    u[0] = 0.0
    return Episodes(theirs + 0.5 * sigma[:, None, None] * u, theirs, sigma, torch.rand(n, generator=generator))


def to_go(of: Episodes, *, alpha: float) -> Tensor:
    """The return from x_t onwards, r(x_0) − α Σ_{s ≤ t} KL_s, collected forward from the end: [T+1, n]."""
    found = [of.r]
    for ours, theirs, sigma in zip(of.ours[1:], of.theirs[1:], of.sigma[1:], strict=True):
        found.append(found[-1] - alpha * kl_divergence(Normal(ours, sigma), Normal(theirs, sigma)).sum(1))
    return torch.stack(found)


def to_go_slips(of: Episodes, *, alpha: float) -> dict[str, Tensor]:
    """Wrong returns to go, by what they are."""
    moved = of.ours - of.theirs
    u = moved / of.sigma[:, None, None]
    kl, paid = u.square().sum(-1) / 2, {}
    paid["the return with each KL taken without its ½"] = 2 * kl.cumsum(0)
    paid["the return with a mean over coordinates in place of half their sum"] = u.square().mean(-1).cumsum(0)
    paid["the return with means that are not divided by σ_t"] = (moved.square().sum(-1) / 2).cumsum(0)
    paid["the return as if α = 1"] = kl.cumsum(0) / alpha
    paid["the return that pays for the steps before x_t"] = kl.flip(0).cumsum(0).flip(0)
    paid["the return that does not pay for its own step"] = kl.cumsum(0) - kl
    paid["the return that pays for its own step alone"] = kl
    paid["the return that adds the KL"] = -kl.cumsum(0)
    return {name: of.r - alpha * cost for name, cost in paid.items()}
