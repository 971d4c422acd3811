"""The rows of 06_digits: what adapters, a full copy and a control attain in a few iterations, over five seeds.

Reward backpropagation for ink through the last 15 steps; regret on 256 fresh digits of the same noise. Ten minutes on
one core.
"""

import time
from typing import Any

import torch
from tqdm import tqdm

from .. import worlds
from ..algorithms import reward_backprop, run
from ..assets import manifest, save
from ..exact import Frontier
from ..metrics import quiet_objective
from ..policies import tunable

NAME, SEEDS = "digits_ways", 5
RATES = dict(lora=4e-3, full=3e-4, control=4e-3)
OPTIONS: dict[str, Any] = dict(iterations=8, n=8, last=15)
RECIPES: dict[str, dict[str, Any]] = {
    NAME: dict(data="the digits asset", reward="ink", seeds=SEEDS, options=OPTIONS, learning_rates=RATES)
}


def regret(how: str, seed: int) -> float:
    """One training, and its regret against the bank's J*."""
    world, rewards = worlds.digits().with_reward("ink"), worlds.digits_rewards()["ink"]
    policy = tunable(world.pretrained, how, generator=torch.Generator().manual_seed(seed))
    plan: dict[str, Any] = dict(alpha=world.alpha, learning_rate=RATES[how], **OPTIONS)
    run(reward_backprop.fine_tune(policy, world.reward, generator=torch.Generator().manual_seed(seed), **plan))
    noise = torch.Generator().manual_seed(99)
    J, _ = quiet_objective(policy, world.reward, alpha=world.alpha, n=256, generator=noise)
    J_star, J_pre = Frontier(rewards).at(world.alpha).objective, rewards.mean().item()
    return (J_star - J) / (J_star - J_pre)


def make(name: str, command: str) -> None:
    start = time.perf_counter()
    runs = tqdm([(how, seed) for how in RATES for seed in range(SEEDS)], name)
    found = torch.tensor([regret(how, seed) for how, seed in runs]).reshape(len(RATES), SEEDS)
    made = dict(denoiser_sha256=manifest()["digits"]["sha256"], seconds=round(time.perf_counter() - start))
    save(name, dict(zip(RATES, found, strict=True)), dict(command=command, **RECIPES[name], **made))
