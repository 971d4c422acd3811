r"""Worlds: data, schedule, pretrained policy, rewards and extent in one object, ready to be fine-tuned.

`ring` and `grid` are Gaussian mixtures, whose denoiser is exact at any T. `two_moons`, `spiral`, `checkerboard` and
`digits` have learned denoisers, shipped as assets for T = 50. Points [n, 2] lie in about [−2.5, 2.5]²; images are
[n, 1, H, W] in [−1, 1], 8 × 8 for `digits`; `images` takes others from a file.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from . import assets, idx, rewards
from .checks import count
from .denoisers import Denoiser, ExactDenoiser, MLPDenoiser, UNetDenoiser, initial_weights
from .digit_data import digit_classifier, digit_images, few_labels
from .digit_data import digits_bank as digits_bank
from .distributions import GaussianMixture
from .image_rewards import log_probability
from .lora import adapted, load_adapters, merged
from .policies import DenoisingPolicy, RetunedPolicy
from .rewards import Reward
from .schedules import NoiseSchedule

Device = torch.device | str | None
Choice = dict[str, tuple[Reward, float]]  # rewards by name, each with its α; the first is the default
SCALE = 1.6  # of two_moons, and of the others to match: the data reach about ±2.5
TURNS = 2  # of the spiral


@dataclass(frozen=True)
class World:
    """data: (n, *, generator) → samples [n, …]. rewards, alphas: every reward by name, with the α that suits its scale;
    `reward` and `alpha` are the chosen one's. extent: a square [−extent, extent]² that holds every path (None for
    images). mixture: the data's law where it is known."""

    name: str
    schedule: NoiseSchedule
    pretrained: DenoisingPolicy
    data: Callable[..., Tensor]
    reward: Reward
    alpha: float
    rewards: Mapping[str, Reward]
    alphas: Mapping[str, float]
    extent: float | None = None
    mixture: GaussianMixture | None = None

    def with_reward(self, name: str) -> "World":
        """The same world with another of its rewards, and the α that suits it."""
        if name not in self.rewards:
            raise ValueError(f"unknown reward {name!r} in the world {self.name}; known: {', '.join(self.rewards)}")
        return dataclasses.replace(self, reward=self.rewards[name], alpha=self.alphas[name])


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


def digits(*, label: int = 8, device: Device = None) -> World:
    """Handwritten digits, 8 × 8; the denoiser takes a label 0..9, or none. label: the y of the reward log p(y|x).

    At its α each reward's optimum lies at least 1.5 pretrained standard deviations up.
    """
    chosen: Choice = dict(
        ink=(rewards.ink, 0.02),
        symmetry=(rewards.symmetry, 0.04),
        compressed_size=(rewards.compressed_size, 2.0),
        log_probability=(log_probability(digit_classifier(device=device), label), 1.0),
        few_labels=(few_labels, 0.08),
    )

    return _world(
        "digits",
        _trained("digits", device),
        chosen,
        data=lambda n, *, generator: _draw(digit_images()[0], n, generator),
    )


def tuned_digits(reward: str, *, device: Device = None) -> RetunedPolicy:
    """The shipped policy that was fine-tuned for one of the rewards of `digits`, at its α: its adapters written
    into plain weights, which sample faster."""
    pretrained = digits(device=device).with_reward(reward).pretrained
    denoiser = adapted(pretrained.denoiser, generator=torch.Generator(pretrained.schedule.sigma.device))
    load_adapters(denoiser, assets.load(f"digits_lora_{reward}"))
    return RetunedPolicy(pretrained, merged(denoiser).requires_grad_(False))


def images(
    path: str | os.PathLike,
    *,
    T: int = 50,
    classes: int = 10,
    generator: torch.Generator | None = None,
    device: Device = None,
) -> World:
    """Grey images from an IDX file (MNIST, Fashion-MNIST; plain or gzip) and a UNet of their size, not yet trained:

        world = worlds.images("train-images-idx3-ubyte.gz")
        found, labels = idx.labelled("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
        found, labels = found.to(device), labels.to(device)  # the generator, too, lives on that device
        for step in training.pretrain(world.pretrained.denoiser, found, labels=labels, steps=20_000, batch=128, …): ...
        world.pretrained.requires_grad_(False)

    classes: how many labels there may be. generator: draws the first weights; None is the same ones every time.
    Each reward's α is 0.6 of its standard deviation over the first 1000 images.
    """
    found = idx.images(path)
    if len(found) < 2:
        raise ValueError(f"expected at least 2 images in {path}, got {len(found)}")
    height, width = found.shape[2:]
    with initial_weights(0 if generator is None else generator):
        schedule, classes = NoiseSchedule.cosine(T, device=device), count("classes", classes, least=0)
        denoiser = UNetDenoiser(schedule, (height, width), classes=classes)
    denoiser = denoiser.to(device)
    offered = (rewards.ink, rewards.symmetry, rewards.compressed_size)
    spreads = [reward(found[:1000]).std().item() for reward in offered]
    if not min(spreads) > 0:
        raise ValueError(f"expected images that differ in ink, symmetry and size, got {path}, where one is constant")
    chosen: Choice = {reward.__name__: (reward, 0.6 * std) for reward, std in zip(offered, spreads, strict=True)}
    return _world("images", denoiser, chosen, data=lambda n, *, generator: _draw(found, n, generator))


MAKERS = {make.__name__: make for make in (ring, grid, two_moons, spiral, checkerboard, digits)}
NAMES = tuple(MAKERS)


def make(name: str, **options) -> World:
    """The world of that name; `options` are its function's own. ValueError listing the known names for another."""
    if name not in MAKERS:
        raise ValueError(f"unknown world {name!r}; known: {', '.join(NAMES)}")
    return MAKERS[name](**options)


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


def untrained(name: str, *, device: Device = None) -> Denoiser:
    """The network that the asset `name` holds the weights of, with random weights."""
    schedule = NoiseSchedule.cosine(50, device=device)
    network = UNetDenoiser(schedule) if name == "digits" else MLPDenoiser(schedule, fine_std=0.1)
    return network.to(device)


def _trained(name: str, device: Device) -> Denoiser:
    with initial_weights():
        denoiser = untrained(name, device=device)
    denoiser.load_state_dict(assets.load(name))
    return denoiser.eval().requires_grad_(False)


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
    return _world(name, denoiser, chosen, data=mixture.sample, extent=extent, mixture=mixture)


def _learned_world(name: str, chosen: Choice, device: Device) -> World:
    return _world(name, _trained(name, device), chosen, data=SAMPLERS[name], extent=5.0)


def _world(name: str, denoiser: Denoiser, chosen: Choice, **known) -> World:
    first, alpha = next(iter(chosen.values()))
    return World(
        name,
        denoiser.schedule,
        DenoisingPolicy(denoiser, denoiser.schedule),
        reward=first,
        alpha=alpha,
        rewards={key: reward for key, (reward, _) in chosen.items()},
        alphas={key: alpha for key, (_, alpha) in chosen.items()},
        **known,
    )


def _draw(images: Tensor, n: int, generator: torch.Generator) -> Tensor:
    index = torch.randint(len(images), (count("n", n),), device=generator.device, generator=generator)
    return images[index.to(images.device)].to(generator.device)


def _uniform(*size: int, generator: torch.Generator) -> Tensor:
    return torch.rand(*size, device=generator.device, generator=generator)


def _blur(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    return x + std * torch.randn(x.shape, device=x.device, generator=generator)
