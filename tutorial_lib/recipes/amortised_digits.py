"""The recipes of the digits' policies for every α: gated adapters on the pretrained network, tuned for one reward each.

Ten minutes each on two cores; `tuned.digits` puts them to use.
"""

from typing import Any

import torch
from tqdm import tqdm

from .. import tuned, worlds
from ..algorithms import reward_backprop
from ..amortised import AmortisedAdapters
from ..lora import adapters, load_adapters
from ..policies import record
from ..rewards import Reward, query
from . import manifest, save

TUNED: dict[str, Any] = dict(algorithm="reward_backprop", seed=0, iterations=250, n=32, learning_rate=2e-3)
RECIPES: dict[str, dict[str, Any]] = {
    tuned.digits_asset(reward): dict(data="the digits asset", reward=reward, alphas=list(alphas), **TUNED)
    for reward, alphas in tuned.DIGITS.items()
}


def make(name: str, command: str) -> None:
    """Tune by reward backpropagation with α drawn from the whole range, save at half precision, and measure."""
    recipe = RECIPES[name]
    reward, seed = recipe["reward"], recipe["seed"]
    world = worlds.digits().with_reward(reward)
    policy = AmortisedAdapters(
        world.pretrained, alphas=tuned.DIGITS[reward], generator=torch.Generator().manual_seed(seed)
    )
    options = {key: recipe[key] for key in ("iterations", "n", "learning_rate")}
    generator, seconds = torch.Generator().manual_seed(seed), 0.0
    steps = reward_backprop.fine_tune(policy, world.reward, alpha=policy.alphas, generator=generator, **options)
    for step in (bar := tqdm(steps, total=recipe["iterations"], desc=name)):
        seconds = step.seconds
        bar.set_postfix_str(f"J {step.objective:.3f}, KL {step.kl:.2f}")
    tensors = {key: value.half() for key, value in adapters(policy.control.network).items()}
    load_adapters(policy.control.network, {key: value.float() for key, value in tensors.items()})
    made = dict(denoiser_sha256=manifest()["digits"]["sha256"], seconds=round(seconds))
    save(name, tensors, dict(command=command, **recipe, **made, measured=measured(policy, world.reward)))


def measured(policy: AmortisedAdapters, reward: Reward, *, prices: int = 9, n: int = 1024) -> dict[str, list[float]]:
    """What members from one end of the range to the other attain on n paths each, with standard errors.

    J is the mean of r − α log p_θ/p_pre, whose noise dies out as the policy becomes the optimum.
    """
    low, high = policy.alphas
    found: dict[str, list[float]] = {"alpha": [low * (high / low) ** (place / (prices - 1)) for place in range(prices)]}
    for alpha in tqdm(found["alpha"], desc="measured"):
        path = record(policy.at(alpha), n, generator=torch.Generator().manual_seed(99))
        r, kl = query(reward, path.x_0), path.kl()
        for name, values in dict(reward=r, kl=kl, objective=r - alpha * path.log_ratio().sum(0)).items():
            found.setdefault(name, []).append(float(values.mean()))
            found.setdefault(f"{name}_se", []).append(float(values.std()) / n**0.5)
    return {name: [float(f"{value:.5g}") for value in values] for name, values in found.items()}
