r"""Worlds in the plane: points [n, 2] that lie in about [−2.5, 2.5]².

`ring` and `grid` are Gaussian mixtures, whose denoiser is exact at any T. `two_moons`, `spiral` and `checkerboard` have
learned denoisers, shipped as assets for T = 50.
"""

import math

import torch
from torch import Tensor

from .. import assets, rewards
from ..denoisers import ExactDenoiser, MLPDenoiser, initial_weights
from ..distributions import GaussianMixture
from ..schedules import NoiseSchedule
from .world import Choice, Device, World, make_world

SCALE = 1.6  # of two_moons, and of the others to match: the data reach about ±2.5
TURNS = 2  # of the spiral


def ring(T: int = 50, *, device: Device = None) -> World:
    """Eight Gaussians of std 0.3 on a circle of radius 2."""
    angle = torch.arange(8) * math.pi / 4
    mixture = _mixture(2 * torch.stack([angle.cos(), angle.sin()], -1), std=0.3)
    chosen = _point_rewards(peak=(2.0, 0.5), normal=(-1.0, 1.0), disc=(-1.5, -1.5), radius=0.8)
    return _exact_world("ring", mixture, T, chosen, extent=5.0, device=device)


def grid(T: int = 50, *, device: Device = None) -> World:
    """Twenty-five Gaussians of std 0.2, five by five, 1.2 apart."""
    axis = torch.arange(-2, 3) * 1.2
    mixture = _mixture(torch.cartesian_prod(axis, axis), std=0.2)
    chosen = _point_rewards(peak=(1.2, 0.9), normal=(1.0, 2.0), disc=(-1.2, 0.6), radius=1.1)
    return _exact_world("grid", mixture, T, chosen, extent=5.0, device=device)


def islands(T: int = 50, *, device: Device = None) -> World:
    """Five Gaussians of std 0.3 on a circle of radius 2; the reward is a narrow peak, a bump of std 0.3 on one of them
    and all but nothing elsewhere. In no menu: a hard case for methods that follow a slope (§5.2)."""
    angle = torch.arange(5) * 2 * math.pi / 5
    means = 2 * torch.stack([angle.cos(), angle.sin()], -1)
    chosen: Choice = dict(bump=(lambda x: (-(x - means[0].to(x)).square().sum(-1) / (2 * 0.3**2)).exp(), 0.2))
    return _exact_world("islands", _mixture(means, std=0.3), T, chosen, extent=5.0, device=device)


def two_moons(*, device: Device = None) -> World:
    """Two interlocking half circles."""
    chosen = _point_rewards(peak=(2.0, 0.5), normal=(0.0, 1.0), disc=(-1.6, 0.8), radius=1.0)
    return _learned_world("two_moons", chosen, device)


def spiral(*, device: Device = None) -> World:
    """One arm, two turns."""
    chosen = _point_rewards(peak=(1.5, 1.0), normal=(-1.0, 0.0), disc=(0.0, 0.0), radius=0.8)
    return _learned_world("spiral", chosen, device)


def checkerboard(*, device: Device = None) -> World:
    """The eight dark squares of a four by four board, uniform on each."""
    chosen = _point_rewards(peak=(1.2, 0.6), normal=(1.0, 1.0), disc=(-1.2, 0.0), radius=1.2)
    return _learned_world("checkerboard", chosen, device)


def two_moons_samples(n: int, *, generator: torch.Generator) -> Tensor:
    """Half circles of radius 1.6, blurred by a Gaussian of std 0.13: [n, 2]."""
    angle = math.pi * _uniform(n, generator=generator)
    arc = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], -1)
    upper = _uniform(n, 1, generator=generator) < 0.5
    return SCALE * _blur(torch.where(upper, arc, -arc), 0.08, generator)


def spiral_samples(n: int, *, generator: torch.Generator) -> Tensor:
    """An Archimedean spiral out to radius 2.4, even along the arm, blurred by a Gaussian of std 0.1: [n, 2]."""
    radius = _uniform(n, generator=generator).sqrt()
    angle = 2 * math.pi * TURNS * radius
    return _blur(1.5 * SCALE * torch.stack([radius * angle.cos(), radius * angle.sin()], -1), 0.1, generator)


def checkerboard_samples(n: int, *, generator: torch.Generator) -> Tensor:
    """Uniform on the eight dark squares of side 1.2 of a board on [−2.4, 2.4]²: [n, 2]."""
    column = (4 * _uniform(n, generator=generator)).floor()
    row = 2 * (2 * _uniform(n, generator=generator)).floor() + column % 2
    corner = torch.stack([column, row], -1) - 2
    return 0.75 * SCALE * (corner + _uniform(n, 2, generator=generator))


SAMPLERS = dict(two_moons=two_moons_samples, spiral=spiral_samples, checkerboard=checkerboard_samples)


def untrained(*, device: Device = None) -> MLPDenoiser:
    """The network of the three learned worlds, with random weights."""
    return MLPDenoiser(NoiseSchedule.cosine(50, device=device), fine_std=0.1).to(device)


def _mixture(means: Tensor, std: float) -> GaussianMixture:
    return GaussianMixture(torch.full((len(means),), 1 / len(means)), means, stds=torch.full((len(means),), std))


def _point_rewards(
    *, peak: tuple[float, float], normal: tuple[float, float], disc: tuple[float, float], radius: float
) -> Choice:
    """The three rewards of every 2-D world, each with its α: a slope that is known, one to climb over, and a jump."""
    return dict(
        peak=(rewards.peak(peak), 0.5),
        half_plane=(rewards.half_plane(normal), 0.2),
        disc=(rewards.disc(disc, radius=radius), 0.2),
    )


def _exact_world(
    name: str,
    mixture: GaussianMixture,
    T: int,
    chosen: Choice,
    *,
    extent: float,
    device: Device,
) -> World:
    schedule = NoiseSchedule.cosine(T, device=device)
    mixture = mixture.to(schedule.sigma.device)
    denoiser = ExactDenoiser(mixture, schedule)
    return make_world(name, denoiser, chosen, data=mixture.sample, extent=extent, mixture=mixture)


def _learned_world(name: str, chosen: Choice, device: Device) -> World:
    with initial_weights():
        denoiser = untrained(device=device)
    denoiser.load_state_dict(assets.load(name))
    return make_world(name, denoiser.eval().requires_grad_(False), chosen, data=SAMPLERS[name], extent=5.0)


def _uniform(*size: int, generator: torch.Generator) -> Tensor:
    return torch.rand(*size, device=generator.device, generator=generator)


def _blur(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    return x + std * torch.randn(x.shape, device=x.device, generator=generator)
