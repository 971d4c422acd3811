"""What the tests measure against: random mixtures and their laws by torch.distributions, in float64.

Nothing here calls the mathematics of the library; it only builds its objects.
"""

import math
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from tutorial_lib.denoisers import ExactDenoiser, UNetDenoiser, initial_weights
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.mdp import TabularMDP
from tutorial_lib.policies import DenoisingPolicy
from tutorial_lib.rewards import peak
from tutorial_lib.schedules import NoiseSchedule

Network = TypeVar("Network", bound=nn.Module)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(seed: int, D: int, K: int, *, condition: float = 30.0) -> tuple[Tensor, Tensor, Tensor]:
    """Random weights [K], means [K, D] and full covariances [K, D, D] with eigenvalues in 1/condition..1, float64."""
    g = seeded(seed)
    weights = (torch.rand(K, generator=g, dtype=torch.float64) + 0.05).log().softmax(0)
    means = 2 * torch.randn(K, D, generator=g, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(K, D, D, generator=g, dtype=torch.float64))[0]
    place = torch.rand(K, D, generator=g, dtype=torch.float64)
    place[:, 0] = 1  # the condition is reached
    covariances = (basis * condition ** (-place).unsqueeze(-2)) @ basis.mT
    return weights, means, (covariances + covariances.mT) / 2


def law(weights: Tensor, means: Tensor, covariances: Tensor) -> MixtureSameFamily:
    """The same mixture as torch.distributions has it, in float64."""
    return MixtureSameFamily(
        Categorical(weights.double()), MultivariateNormal(means.double(), covariances.double()), validate_args=False
    )


def noised_law(weights: Tensor, means: Tensor, covariances: Tensor, level: float) -> MixtureSameFamily:
    """The law of √ᾱ x_0 + √(1−ᾱ) ε."""
    eye = torch.eye(means.shape[-1], dtype=torch.float64)
    return law(weights, math.sqrt(level) * means.double(), level * covariances.double() + (1 - level) * eye)


def score(of, x: Tensor) -> Tensor:
    """∇_x of.log_prob(x) by autograd in float64."""
    x = x.double().requires_grad_()
    return torch.autograd.grad(of.log_prob(x).sum(), x)[0]


def around(x_law: MixtureSameFamily, n: int, seed: int, *, spread: float = 1.5) -> Tensor:
    """Points where a mixture has its mass and a little beyond, [n, D] in float64."""
    g = seeded(seed)
    component = cast(MultivariateNormal, x_law.component_distribution)
    k = torch.randint(len(component.loc), (n,), generator=g)
    z = spread * torch.randn(n, component.loc.shape[-1], generator=g, dtype=torch.float64)
    return component.loc[k] + torch.einsum("bde,be->bd", component.scale_tril[k], z)


def chain(mixture: GaussianMixture, T: int, *, kind: str = "cosine") -> DenoisingPolicy:
    schedule = getattr(NoiseSchedule, kind)(T)
    return DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule)


def ring_mixture() -> GaussianMixture:
    """Eight Gaussians of standard deviation 0.3 on a circle of radius 2."""
    angle = torch.arange(8) * math.pi / 4
    return GaussianMixture(
        torch.full((8,), 1 / 8), 2 * torch.stack([angle.cos(), angle.sin()], -1), stds=torch.full((8,), 0.3)
    )


def ring(T: int) -> DenoisingPolicy:
    return chain(ring_mixture(), T)


RING_PEAK = (2.0, 0.5)
RING_REWARD = peak(RING_PEAK)  # −‖x − (2, 0.5)‖²
RING_ALPHA, RING_EXTENT = 0.5, 5.0


def wave(x: Tensor) -> Tensor:
    """A reward with many maxima: [B, 2] → [B]."""
    return (2.2 * x[:, 0]).sin() + (1.7 * x[:, 1]).cos()


def gaussian_chain(mean: Tensor, covariance: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
    """Mean and covariance of x_0 under the chain of one Gaussian's exact denoiser, which is linear: float64."""
    eye = torch.eye(len(mean), dtype=torch.float64)
    centre, spread = torch.zeros_like(mean), eye
    for t in range(schedule.T, 0, -1):
        level, signal, carry = (a[t].double() for a in (schedule.alpha_bar, schedule.signal, schedule.carry))
        gain = level.sqrt() * covariance @ torch.linalg.inv(level * covariance + (1 - level) * eye)
        slope = signal * gain + carry * eye
        centre = slope @ centre + signal * (mean - level.sqrt() * gain @ mean)
        spread = slope @ spread @ slope.mT + schedule.sigma[t].double() ** 2 * eye
    return centre, spread


def stirred(network: Network, spread: float = 0.3) -> Network:
    """The same network with its tunable parameters moved at random."""
    with torch.no_grad():
        for i, p in enumerate(p for p in network.parameters() if p.requires_grad):
            p.add_(spread * torch.randn(p.shape, generator=seeded(i)))
    return network


def image_chain(T: int = 4, classes: int = 3) -> DenoisingPolicy:
    """A small image model with random weights, frozen as a shipped one is."""
    with initial_weights(0):
        denoiser = UNetDenoiser(NoiseSchedule.cosine(T), classes=classes, channels=(8, 16, 16))
    return DenoisingPolicy(denoiser.requires_grad_(False), denoiser.schedule)


def images(n: int = 5, size: int = 8, seed: int = 1) -> Tensor:
    return torch.randn(n, 1, size, size, generator=seeded(seed))


def random_mdp(seed, *, S=4, A=3, T=3, deterministic=False):
    """Everything random and different at every step; one action in ten is one that the reference never takes."""
    g = torch.Generator().manual_seed(seed)

    def rows(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64).add(0.05)

    if deterministic:
        after = torch.randint(S, (T, S, A), generator=g)
        transitions = torch.nn.functional.one_hot(after, S).double()
    else:
        transitions = rows(T, S, A, S)
    reference = rows(T, S, A)
    reference[..., 1:] *= rows(T, S, A - 1) > 0.15
    rewards = torch.randn(T, S, A, generator=g, dtype=torch.float64)
    return TabularMDP(
        transitions / transitions.sum(-1, keepdim=True),
        rewards,
        reference / reference.sum(-1, keepdim=True),
        T,
        terminal_rewards=torch.randn(S, generator=g, dtype=torch.float64),
        start=torch.full((S,), 1 / S),
    )
