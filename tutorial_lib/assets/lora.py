"""The recipes of the digits' adapters: the pretrained digits fine-tuned for a reward, at its own α, A and B alone kept.

About two minutes each on one core; `worlds.tuned_digits` puts them to use.
"""

from typing import Any

import torch

from .. import worlds
from ..algorithms import reward_backprop, run
from ..lora import adapters
from ..metrics import evaluate
from ..policies import RetunedPolicy
from ..tuning import tunable
from . import manifest, save

TUNED: dict[str, Any] = dict(algorithm="reward_backprop", seed=0, iterations=60, n=12, learning_rate=2e-3)
RECIPES: dict[str, dict[str, Any]] = {
    f"digits_lora_{reward}": dict(data="the digits asset", reward=reward, **TUNED)
    for reward in ("ink", "log_probability")
}


def make(name: str, command: str) -> None:
    """Fine-tune by reward backpropagation, measure on 512 fresh samples, and save."""
    recipe = RECIPES[name]
    world, generator = worlds.digits().with_reward(recipe["reward"]), torch.Generator().manual_seed(recipe["seed"])
    policy = tunable(world.pretrained, "lora", generator=torch.Generator().manual_seed(recipe["seed"]))
    options = {key: recipe[key] for key in ("iterations", "n", "learning_rate")}
    training = reward_backprop.fine_tune(policy, world.reward, alpha=world.alpha, generator=generator, **options)
    last = run(training, progress=True)[-1]
    report = evaluate(policy, world.reward, alpha=world.alpha, n=512, generator=torch.Generator().manual_seed(99))
    measured = {key: round(getattr(report, key), 4) for key in ("reward", "reward_se", "kl", "objective")}
    made = dict(alpha=world.alpha, denoiser_sha256=manifest()["digits"]["sha256"], measured=measured)
    assert isinstance(policy, RetunedPolicy)
    save(name, adapters(policy.denoiser), dict(command=command, **recipe, **made, seconds=round(last.seconds)))
