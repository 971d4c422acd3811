"""Policies that were fine-tuned beforehand and are shipped: on the ring, for each algorithm and reward, every α in one.

They were made by `python -m tutorial_lib.assets ring_soft_ppo …`, whose recipes are in `assets.ring`.
"""

import functools

from . import assets, worlds
from .amortised import AmortisedPolicy

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
def policy(algorithm: str, reward: str) -> AmortisedPolicy:
    """The ring's policy that `algorithm` tuned for `reward`, at every α of its range; ValueError for another pair."""
    if reward not in REWARDS.get(algorithm, ()):
        known = "; ".join(f"{name} for {', '.join(rewards)}" for name, rewards in REWARDS.items())
        raise ValueError(f"no policy tuned by {algorithm!r} for {reward!r} is shipped; known: {known}")
    tuned = AmortisedPolicy(worlds.make(WORLD).pretrained)
    stored = {key: value.float() for key, value in assets.load(asset(algorithm)).items()}
    prefix = f"{reward}."
    tuned.load_state_dict({key.removeprefix(prefix): stored[key] for key in stored if key.startswith(prefix)})
    return tuned.requires_grad_(False)
