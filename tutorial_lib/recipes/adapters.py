"""The recipes of the digits' adapters: the pretrained digits fine-tuned for a reward, at its own α, A and B alone kept.

By reward backpropagation where the reward has a gradient, by soft PPO where it has none. Two to ten minutes each on
one core; `worlds.shipped.digits_at_one_alpha` puts them to use.
"""

from typing import Any

import torch

from .. import algorithms, worlds
from ..algorithms import run
from ..assets import manifest, save
from ..denoisers import adapters
from ..metrics import evaluate
from ..policies import RetunedPolicy, tunable

BACKPROP: dict[str, Any] = dict(algorithm="reward_backprop", iterations=60, n=12, learning_rate=2e-3)
LONGER = BACKPROP | dict(iterations=100, learning_rate=3e-3)
BLACK_BOX: dict[str, Any] = dict(
    algorithm="soft_ppo", iterations=100, n=64, epochs=1, parts=8, baseline=False, learning_rate=2e-3
)
PLANS: dict[str, dict[str, Any]] = dict(
    ink=BACKPROP, symmetry=LONGER, compressed_size=BLACK_BOX, log_probability=LONGER, few_labels=LONGER
)
RECIPES: dict[str, dict[str, Any]] = {
    f"digits_lora_{reward}": dict(data="the digits asset", reward=reward, seed=0, **plan)
    for reward, plan in PLANS.items()
}


def make(name: str, command: str) -> None:
    """Fine-tune, measure on 512 fresh samples, and save."""
    recipe = RECIPES[name]
    world, generator = worlds.digits().with_reward(recipe["reward"]), torch.Generator().manual_seed(recipe["seed"])
    policy = tunable(world.pretrained, "lora", generator=torch.Generator().manual_seed(recipe["seed"]))
    options = {key: value for key, value in PLANS[recipe["reward"]].items() if key != "algorithm"}
    fine_tune = getattr(algorithms, recipe["algorithm"]).fine_tune
    training = fine_tune(policy, world.reward, alpha=world.alpha, generator=generator, **options)
    last = run(training, progress=True)[-1]
    report = evaluate(policy, world.reward, alpha=world.alpha, n=512, generator=torch.Generator().manual_seed(99))
    measured = {key: round(getattr(report, key), 4) for key in ("reward", "reward_se", "kl", "kl_se", "objective")}
    made = dict(alpha=world.alpha, denoiser_sha256=manifest()["digits"]["sha256"], measured=measured)
    assert isinstance(policy, RetunedPolicy)
    save(name, adapters(policy.denoiser), dict(command=command, **recipe, **made, seconds=round(last.seconds)))
