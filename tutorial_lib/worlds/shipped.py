r"""Policies that were fine-tuned beforehand and are shipped.

`ring` and `digits` hold every α of a range in one, for each algorithm or reward; `digits_at_one_alpha` has adapters of
the image network for each reward, at its α. All were made by `python -m tutorial_lib.recipes NAME …`.
"""

import functools

import torch
from torch import Tensor

from .. import assets
from ..amortised import AmortisedAdapters, AmortisedPolicy
from ..denoisers import adapted, load_adapters, merged
from ..policies import RetunedPolicy
from .digits import digits as digits_world
from .plane import ring as ring_world
from .world import Device

RING = {
    "soft_ppo": ("peak", "half_plane", "disc"),
    "reward_backprop": ("peak", "half_plane"),  # the disc has no slope to follow
    "reward_weighted_mle": ("peak", "half_plane", "disc"),
    "path_consistency": ("peak", "half_plane", "disc"),
}
APPLIED = "ring_applied_tilts"
DIGITS = {"ink": (0.01, 1.0), "few_labels": (0.04, 4.0)}  # rewards, each with its range of α


def ring_asset(algorithm: str) -> str:
    return f"ring_{algorithm}"


def digits_asset(reward: str) -> str:
    return f"digits_amortised_{reward}"


@functools.cache
def ring(algorithm: str, reward: str, *, device: Device = None) -> AmortisedPolicy:
    """The ring's policy that `algorithm` tuned for `reward`, at every α of its range; ValueError for another pair."""
    if reward not in RING.get(algorithm, ()):
        known = "; ".join(f"{name} for {', '.join(rewards)}" for name, rewards in RING.items())
        raise ValueError(f"no policy tuned by {algorithm!r} for {reward!r} is shipped; known: {known}")
    tuned = AmortisedPolicy(ring_world(device=device).pretrained)
    stored = {key: value.float() for key, value in assets.load(ring_asset(algorithm)).items()}
    prefix = f"{reward}."
    tuned.load_state_dict({key.removeprefix(prefix): stored[key] for key in stored if key.startswith(prefix)})
    return tuned.requires_grad_(False)


@functools.cache
def applied_tilts() -> dict[str, Tensor]:
    """The α that the ring's policies really applied, by `metrics.applied_tilt`: `alpha` [P], which was asked
    for, and under each "reward.method" (soft_ppo and so on, exact_v, tweedie) [P, 2], the applied α and r². NaN where
    the paths leave every grid."""
    return assets.load(APPLIED)


@functools.cache
def digits(reward: str, *, device: Device = None) -> AmortisedAdapters:
    """The digits' policy that reward backpropagation tuned for `reward`, at every α of its range."""
    if reward not in DIGITS:
        raise ValueError(f"no policy of the digits is shipped for {reward!r}; known: {', '.join(DIGITS)}")
    pretrained = digits_world(device=device).pretrained
    generator = torch.Generator(pretrained.schedule.sigma.device)
    tuned = AmortisedAdapters(pretrained, alphas=DIGITS[reward], generator=generator)
    stored = assets.load(digits_asset(reward))
    load_adapters(tuned.denoiser.network, {key: value.float() for key, value in stored.items()})
    return tuned.requires_grad_(False)


def digits_measured(reward: str) -> dict[str, Tensor]:
    """What its members attained when it was made, by name: alpha [P], and reward, kl and objective with their _se."""
    columns = assets.manifest()[digits_asset(reward)]["recipe"]["measured"]
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in columns.items()}


def digits_at_one_alpha(reward: str, *, device: Device = None) -> RetunedPolicy:
    """The shipped policy that was fine-tuned for one of the rewards of `digits`, at its α: its adapters written
    into plain weights, which sample faster."""
    pretrained = digits_world(device=device).with_reward(reward).pretrained
    denoiser = adapted(pretrained.denoiser, generator=torch.Generator(pretrained.schedule.sigma.device))
    load_adapters(denoiser, assets.load(f"digits_lora_{reward}"))
    return RetunedPolicy(pretrained, merged(denoiser).requires_grad_(False))
