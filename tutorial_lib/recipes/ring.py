"""The recipes of the ring's policies in `worlds.shipped`: each algorithm on every α of a range.

Queries, 16 members × n × iterations, are three to ten times those at one α. A run takes minutes on one core.
"""

from typing import Any

import torch
from tqdm import tqdm

from .. import algorithms, worlds
from ..amortised import AmortisedPolicy, fine_tune
from ..assets import save
from ..worlds import shipped

OPTIONS: dict[str, dict[str, Any]] = dict(
    soft_ppo=dict(iterations=75, n=128),
    reward_backprop=dict(iterations=120, n=80),
    reward_weighted_mle=dict(iterations=20, n=512, updates=40, batch=600),
    path_consistency=dict(iterations=100, n=64),
)
RECIPES: dict[str, dict[str, Any]] = {
    shipped.ring_asset(name): dict(data="rollouts of worlds.ring", algorithm=name, seed=0, options=options)
    for name, options in OPTIONS.items()
}


def make(name: str, command: str) -> None:
    """Tune a policy for each reward and save the weights of all, at half precision."""
    recipe = RECIPES[name]
    algorithm, seconds = recipe["algorithm"], 0.0
    tensors: dict[str, torch.Tensor] = {}
    for reward in shipped.RING[algorithm]:
        world = worlds.ring().with_reward(reward)
        generator = torch.Generator().manual_seed(recipe["seed"])
        policy = AmortisedPolicy(world.pretrained, generator=generator)
        method = getattr(algorithms, algorithm)
        steps = fine_tune(method, policy, world.reward, generator=generator, **recipe["options"])
        for step in tqdm(steps, total=recipe["options"]["iterations"], desc=f"{name}, {reward}"):
            last = step.seconds
        seconds += last
        tensors |= {f"{reward}.{key}": value.half() for key, value in policy.state_dict().items()}
    save(name, tensors, dict(command=command, **recipe, seconds=round(seconds)))
