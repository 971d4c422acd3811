r"""What a world is: data, schedule, pretrained policy, rewards and extent in one object, ready to be fine-tuned."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import count
from ..denoisers import Denoiser
from ..distributions import GaussianMixture
from ..policies import DenoisingPolicy
from ..rewards import Reward
from ..schedules import NoiseSchedule

Device = torch.device | str | None
Choice = dict[str, tuple[Reward, float]]  # rewards by name, each with its α; the first is the default


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


def make_world(name: str, denoiser: Denoiser, chosen: Choice, **known) -> World:
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


def draw(images: Tensor, n: int, generator: torch.Generator) -> Tensor:
    index = torch.randint(len(images), (count("n", n),), device=generator.device, generator=generator)
    return images[index.to(images.device)].to(generator.device)
