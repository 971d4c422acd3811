"""The recipes of the policies in `tuned`: each algorithm on the ring, α drawn log-uniformly from the whole range.

Queries, n × iterations, are three to ten times those at one α. A run takes one to four minutes on one core.
"""

from typing import Any

import torch
from tqdm import tqdm

from .. import tuned, worlds
from ..algorithms import path_consistency, reward_backprop, reward_weighted_mle, soft_ppo
from ..amortised import AmortisedPolicy
from ..denoisers import initial_weights
from . import save

ALGORITHMS = dict(
    soft_ppo=soft_ppo,
    reward_backprop=reward_backprop,
    reward_weighted_mle=reward_weighted_mle,
    path_consistency=path_consistency,
)
OPTIONS: dict[str, dict[str, Any]] = dict(
    soft_ppo=dict(iterations=300, n=512),
    reward_backprop=dict(iterations=300, n=512),
    reward_weighted_mle=dict(iterations=20, n=8192, updates=40, batch=9600),
    path_consistency=dict(iterations=200, n=512),
)
RECIPES: dict[str, dict[str, Any]] = {
    tuned.asset(name): dict(data=f"rollouts of worlds.{tuned.WORLD}", algorithm=name, seed=0, options=OPTIONS[name])
    for name in ALGORITHMS
}


def make(name: str, command: str) -> None:
    """Tune a policy for each reward and save the weights of all, at half precision."""
    recipe = RECIPES[name]
    algorithm, seconds = recipe["algorithm"], 0.0
    tensors: dict[str, torch.Tensor] = {}
    for reward in tuned.REWARDS[algorithm]:
        world = worlds.make(tuned.WORLD).with_reward(reward)
        with initial_weights(recipe["seed"]):
            policy = AmortisedPolicy(world.pretrained)
        generator = torch.Generator().manual_seed(recipe["seed"])
        steps = ALGORITHMS[algorithm].fine_tune(
            policy, world.reward, alpha=policy.alphas, generator=generator, **recipe["options"]
        )
        for step in tqdm(steps, total=recipe["options"]["iterations"], desc=f"{name}, {reward}"):
            last = step.seconds
        seconds += last
        tensors |= {f"{reward}.{key}": value.half() for key, value in policy.state_dict().items()}
    save(name, tensors, dict(command=command, **recipe, seconds=round(seconds)))
