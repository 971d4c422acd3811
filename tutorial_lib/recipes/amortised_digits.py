"""The recipes of the digits' policies for every α: gated adapters on the pretrained network, tuned for one reward each.

Ten minutes each on two cores; `worlds.shipped.digits` puts them to use.
"""

from typing import Any

import torch
from tqdm import tqdm

from .. import worlds
from ..algorithms import reward_backprop
from ..amortised import AmortisedAdapters, fine_tune
from ..assets import manifest, save
from ..denoisers import adapters, load_adapters
from ..policies import record
from ..rewards import Reward, query
from ..worlds import shipped

TUNED: dict[str, Any] = dict(algorithm="reward_backprop", seed=0, iterations=60, n=8, learning_rate=2e-3)
RECIPES: dict[str, dict[str, Any]] = {
    shipped.digits_asset(reward): dict(data="the digits asset", reward=reward, alphas=list(alphas), **TUNED)
    for reward, alphas in shipped.DIGITS.items()
}


def make(name: str, command: str) -> None:
    """Tune every member in turn by reward backpropagation, save at half precision, and measure."""
    recipe = RECIPES[name]
    reward, seed = recipe["reward"], recipe["seed"]
    world = worlds.digits().with_reward(reward)
    policy = AmortisedAdapters(
        world.pretrained, alphas=shipped.DIGITS[reward], generator=torch.Generator().manual_seed(seed)
    )
    options = {key: recipe[key] for key in ("iterations", "n", "learning_rate")}
    generator, seconds = torch.Generator().manual_seed(seed), 0.0
    steps = fine_tune(reward_backprop, policy, world.reward, generator=generator, **options)
    for step in (bar := tqdm(steps, total=recipe["iterations"], desc=name)):
        seconds = step.seconds
        bar.set_postfix_str(f"J {step.objective:.3f}, KL {step.kl:.2f}")
    tensors = {key: value.half() for key, value in adapters(policy.denoiser.network).items()}
    load_adapters(policy.denoiser.network, {key: value.float() for key, value in tensors.items()})
    made = dict(denoiser_sha256=manifest()["digits"]["sha256"], seconds=round(seconds))
    save(name, tensors, dict(command=command, **recipe, **made, measured=measured(policy, world.reward)))


def measured(policy: AmortisedAdapters, reward: Reward, *, members: int = 9, n: int = 1024) -> dict[str, list[float]]:
    """What members from one end of the range to the other attain on n paths each, with standard errors.

    J is the mean of r − α log p_θ/p_pre, whose noise dies out as the policy becomes the optimum.
    """
    found: dict[str, list[float]] = {"alpha": policy.spread(members)}
    for alpha in tqdm(found["alpha"], desc="measured"):
        path = record(policy.at(alpha), n, generator=torch.Generator().manual_seed(99))
        r, kl = query(reward, path.x_0), path.kl()
        for name, values in dict(reward=r, kl=kl, objective=r - alpha * path.log_ratio().sum(0)).items():
            found.setdefault(name, []).append(float(values.mean()))
            found.setdefault(f"{name}_se", []).append(float(values.std()) / n**0.5)
    return {name: [float(f"{value:.5g}") for value in values] for name, values in found.items()}
