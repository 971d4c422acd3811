"""Policies that were fine-tuned beforehand and are shipped, every α of a range in one.

`policy`: on the ring, for each algorithm and reward. `digits`: adapters of the image network, for each reward.
They were made by `python -m tutorial_lib.assets NAME …`; the recipes are in `assets.ring` and `assets.digits`.
"""

import functools

import torch
from torch import Tensor

from . import assets, worlds
from .amortised import AmortisedAdapters, AmortisedPolicy
from .denoisers import initial_weights
from .lora import load_adapters

WORLD = "ring"
REWARDS = {
    "soft_ppo": ("peak", "half_plane", "disc"),
    "reward_backprop": ("peak", "half_plane"),  # the disc has no slope to follow
    "reward_weighted_mle": ("peak", "half_plane", "disc"),
    "path_consistency": ("peak", "half_plane", "disc"),
}


def asset(algorithm: str) -> str:
    return f"{WORLD}_{algorithm}"


@functools.cache
def policy(algorithm: str, reward: str, *, device: worlds.Device = None) -> AmortisedPolicy:
    """The ring's policy that `algorithm` tuned for `reward`, at every α of its range; ValueError for another pair."""
    if reward not in REWARDS.get(algorithm, ()):
        known = "; ".join(f"{name} for {', '.join(rewards)}" for name, rewards in REWARDS.items())
        raise ValueError(f"no policy tuned by {algorithm!r} for {reward!r} is shipped; known: {known}")
    with initial_weights():
        tuned = AmortisedPolicy(worlds.make(WORLD, device=device).pretrained)
    stored = {key: value.float() for key, value in assets.load(asset(algorithm)).items()}
    prefix = f"{reward}."
    tuned.load_state_dict({key.removeprefix(prefix): stored[key] for key in stored if key.startswith(prefix)})
    return tuned.requires_grad_(False)


DIGITS = {"ink": (0.01, 1.0), "few_labels": (0.04, 4.0)}  # rewards, each with its range of α


def digits_asset(reward: str) -> str:
    return f"digits_amortised_{reward}"


def digits_measured(reward: str) -> dict[str, Tensor]:
    """What its members attained when it was made, by name: alpha [P], and reward, kl and objective with their _se."""
    columns = assets.manifest()[digits_asset(reward)]["recipe"]["measured"]
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in columns.items()}


@functools.cache
def digits(reward: str, *, device: worlds.Device = None) -> AmortisedAdapters:
    """The digits' policy that reward backpropagation tuned for `reward`, at every α of its range."""
    if reward not in DIGITS:
        raise ValueError(f"no policy of the digits is shipped for {reward!r}; known: {', '.join(DIGITS)}")
    pretrained = worlds.make("digits", device=device).pretrained
    generator = torch.Generator(pretrained.schedule.sigma.device)
    tuned = AmortisedAdapters(pretrained, alphas=DIGITS[reward], generator=generator)
    stored = assets.load(digits_asset(reward))
    load_adapters(tuned.control.network, {key: value.float() for key, value in stored.items()})
    return tuned.requires_grad_(False)
