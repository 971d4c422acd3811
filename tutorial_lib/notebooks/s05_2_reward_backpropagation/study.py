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


@dataclass(frozen=True)
class Slopes:
    """Two estimates along n paths of how r(x_0) answers to a nudge of the shift u_t, the same for all x_t.

    x [T+1, n, …], index t; stretch [T, n] = ‖∂x_0/∂x_{t−1}‖, the largest singular value; along [T, n, …] = ∂r/∂u_t;
    across [T, n, …] = (r − r̄) z_{t−1}, the score's, r̄ the mean of the other paths.
    """

    x: Tensor
    stretch: Tensor
    along: Tensor
    across: Tensor


def path_slopes(policy: Policy, reward: Reward, n: int, *, generator: torch.Generator) -> Slopes:
    """All of it, on the same n paths of points."""
    T, sigma = policy.schedule.T, policy.schedule.sigma
    noise = torch.randn(T + 1, n, *policy.shape, device=sigma.device, generator=generator)
    nudge, x = torch.zeros_like(noise[1:]).requires_grad_(), [noise[-1]]
    for t in range(T, 0, -1):
        x.append(policy.mean(x[-1], t) + policy.sigma(t) * (nudge[t - 1] + noise[t - 1]))
    r = query(reward, x[-1].detach())
    rows = [torch.autograd.grad(row.sum(), nudge, retain_graph=True)[0] for row in x[-1].unbind(1)]
    stretch = torch.linalg.matrix_norm(torch.stack(rows, -2), ord=2) / sigma[1:, None]
    along = torch.autograd.grad(query(reward, x[-1]).sum(), nudge)[0]
    across = ((r - r.mean()) * n / (n - 1))[:, None] * noise[:-1]
    return Slopes(torch.stack(x[::-1]).detach(), stretch, along, across)


def batch_slopes(slopes: Slopes, t: int, *, n: int) -> tuple[Tensor, Tensor]:
    """What each batch of n paths says of the slope in u_t, along and across: both [batches], projected on the direction
    of their common mean."""
    along, across = slopes.along[t - 1], slopes.across[t - 1]
    direction = torch.nn.functional.normalize((along + across).mean(0), dim=0)
    told_along, told_across = ((g @ direction).reshape(-1, n).mean(1) for g in (along, across))
    return told_along, told_across


def top_share(gradients: Tensor, part: float = 0.01) -> Tensor:
    """Share of the energy Σ‖g‖² that lies in the largest `part` of the paths: [T, n, …] → [T]."""
    if not 0 < part < 1:
        raise ValueError(f"part must lie in (0, 1), got {part!r}")
    energy = gradients.flatten(2).square().sum(2).sort(1, descending=True).values
    return energy[:, : max(1, round(part * energy.shape[1]))].sum(1) / energy.sum(1)


@dataclass(frozen=True)
class Line:
    """A chain of numbers, x_{t−1} = a_t x_t + σ_t (u_t + z_{t−1}) from x_T = z_T, and the reward −(x_0 − c)².

    a, sigma, u: [T+1], row 0 unused; z: [T+1, n]."""

    a: Tensor
    sigma: Tensor
    u: Tensor
    z: Tensor
    c: float = 2.0

    @property
    def T(self) -> int:
        return len(self.u) - 1


def line(T: int = 8, n: int = 50) -> Line:
    g = torch.Generator().manual_seed(5)
    a, sigma = 0.7 + 0.5 * torch.rand(T + 1, generator=g), 0.2 + 0.6 * torch.rand(T + 1, generator=g)
    return Line(a, sigma, 0.5 * torch.randn(T + 1, generator=g), torch.randn(T + 1, n, generator=g))


def line_slopes(line: Line, *, alpha: float, last: int) -> tuple[Tensor, dict[str, Tensor]]:
    """∂J/∂u_t for t = 1..T through the last K steps, by autograd, [T]; and what it would be after common slips."""

    def slopes(*, last: int = last, alpha: float = alpha, a: Tensor = line.a, sigma: Tensor | None = None) -> Tensor:
        u, x = line.u.clone().requires_grad_(), line.z[-1]
        for t in range(line.T, 0, -1):
            x = x.detach() if t == last else x
            scale = line.sigma[t] if sigma is None else sigma[t]
            x = line.a[t] * x.detach() + a[t] * (x - x.detach()) + line.sigma[t] * line.z[t - 1] + scale * u[t]
            x = x + (line.sigma[t] - scale) * u[t].detach()
        J = -(x - line.c).square().mean() - alpha * u[1 : last + 1].square().sum() / 2
        return torch.autograd.grad(J, u)[0][1:].where(torch.arange(1, line.T + 1) <= last, 0.0)

    ones, nothing = torch.ones_like(line.a), torch.where(torch.arange(1, line.T + 1) <= last, -alpha * line.u[1:], 0.0)
    return slopes(), {
        "the gradient as if the reward were 0": nothing,
        "a gradient of the reward alone: the KL is missing": slopes(alpha=0.0),
        "the gradient as if α = 1": slopes(alpha=1.0),
        "the gradient through all steps, without truncation": slopes(last=line.T),
        "the gradient as if x_0 answered to every x_t one to one": slopes(a=ones),
        "the gradient without the step's own σ_t": slopes(sigma=ones),
        "the gradient of one K less": slopes(last=last - 1),
    }


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
