r"""Reward backpropagation, measured (§5.2): the gradients of single paths, and a policy for every notch of α and K.

Shapes: samples [B, 2]; what belongs to the steps is [T], entry t − 1 for the step from x_t.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ...algorithms import reward_backprop, run
from ...exact import TiltedDensity
from ...metrics import modes_covered
from ...policies import Policy, SteeredPolicy, rollout
from ...rewards import Reward, query
from ...worlds import World

ALPHAS, DEPTHS = (0.01, 0.1, 0.3), (5, 20)
ITERATIONS, PATHS = 60, 64  # of each training in a scene
SHARE = 0.05  # of the samples, from which on a mode counts as covered


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
) -> Scene:
    """Train them all, behind a progress bar. ValueError for a world whose modes are not known."""
    if world.mixture is None or world.extent is None:
        raise ValueError(f"expected a world whose mixture is known, got {world.name}")
    tilted = TiltedDensity(world.pretrained, reward, extent=world.extent)
    masses = {alpha: tilted.at(alpha).mass.reshape(-1) for alpha in alphas}
    modes = {a: modes_covered(tilted.grid.points, world.mixture, weights=m, share=SHARE) for a, m in masses.items()}
    pairs = [(alpha, last) for alpha in alphas for last in depths]
    tuned = {pair: tune(world, reward, *pair, iterations=iterations) for pair in tqdm(pairs)}
    return Scene(world, tilted, modes, tuned)


def tune(world: World, reward: Reward, alpha: float, last: int, *, iterations: int) -> Tuned:
    """One training, and 1000 paths of what it led to: the same noise for every policy, so that samples glide."""
    assert world.mixture is not None
    policy, g = SteeredPolicy(world.pretrained), torch.Generator().manual_seed(0)
    options: dict[str, Any] = dict(n=PATHS, iterations=iterations, last=last, mixed=False)
    run(reward_backprop.fine_tune(policy, reward, alpha=alpha, generator=g, **options))
    path = rollout(policy, 1000, generator=g.manual_seed(1))
    x_t, t, _ = path.steps()
    with torch.no_grad():
        kl = path.by_step(policy.kl(x_t, t))[1:].mean(1)
        earned = query(reward, path.x_0).mean().item()
    return Tuned(alpha, last, path.x_0, kl, earned, modes_covered(path.x_0, world.mixture, share=SHARE))


def answer(scene: Scene, *, alpha: float, last: int) -> Tuned:
    """The policy of these settings."""
    if (alpha, last) not in scene.tuned:
        raise ValueError(f"expected α in {scene.alphas} and K in {scene.depths}, got {alpha} and {last}")
    return scene.tuned[alpha, last]
