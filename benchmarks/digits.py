"""Every algorithm on the digits, against the frontier of the shipped bank: reward, KL, diversity, seconds, memory.

    python benchmarks/digits.py [--reward ink] [--seeds 1] [--methods "soft PPO" …] [--ways lora full control]

Each run is a process of its own with one thread, so that its CPU seconds and its peak memory are its own. In
pretrained standard deviations, `up` is the reward from the pretrained mean, `below` its distance to the frontier at the
same KL. `J share` is (J − J_pre)/(J* − J_pre), J the mean of r − α Σ log-ratio, which varies little near the optimum.
± is the standard deviation over seeds, or a lone run's standard error.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from tutorial_lib import worlds
from tutorial_lib.algorithms import path_consistency, reward_backprop, reward_weighted_mle, run, soft_ppo
from tutorial_lib.exact import Frontier
from tutorial_lib.guidance import sequential_monte_carlo
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.metrics import standing
from tutorial_lib.policies import WAYS, Recorded, record, tunable
from tutorial_lib.rewards import query
from tutorial_lib.worlds import World, described, digits_rewards

SAMPLES = 512  # behind each number
PLANS: Mapping[str, tuple[ModuleType, dict[str, Any]]] = {
    "soft PPO": (soft_ppo, dict(iterations=30, n=64, epochs=1, parts=8, baseline=False)),
    "backprop, last 10": (reward_backprop, dict(iterations=80, n=12, last=10)),
    "backprop, checkpointed": (reward_backprop, dict(iterations=50, n=12, checkpointed=True)),
    "backprop, all kept": (reward_backprop, dict(iterations=50, n=12)),
    "reward-weighted MLE": (
        reward_weighted_mle,
        dict(iterations=10, n=256, updates=10, batch=512, effective=0.3, denoised=True),
    ),
    "path consistency": (path_consistency, dict(iterations=50, n=32, kind="vargrad")),
}
RATES = dict(lora=2e-3, full=1e-4, control=2e-3)  # of Adam, for each way to tune
SLOWER = {"soft PPO": 0.5, "reward-weighted MLE": 0.25}  # times those rates
GUIDED = {"value-weighted, γ = 1": 1.0, "value-weighted, γ = 2": 2.0}  # the strength
CLOUD = "sequential Monte Carlo"
PARTICLES = 64  # in a cloud
REFERENCE = "pretrained"
KNOWN = 8.0  # nats: beyond, the bank holds too few samples to know the frontier, and `below` is a lower bound


def attained(world: World, paths: Sequence[Recorded]) -> dict[str, float]:
    """What the table says of a policy's own paths."""
    x_0, kl = torch.cat([path.x_0 for path in paths]), torch.cat([path.kl() for path in paths])
    r, ratio = query(world.reward, x_0), torch.cat([path.log_ratio().sum(0) for path in paths])
    return stood(x_0, r, kl, r - world.alpha * ratio)


def stood(x_0: Tensor, r: Tensor, kl: Tensor, J: Tensor) -> dict[str, float]:
    """The standing of digits [n, 1, 8, 8], and their objective: r, kl and J [m], of each digit or of each cloud."""
    objective = dict(objective=J.mean().item(), objective_se=J.std().item() / len(J) ** 0.5)
    return dataclasses.asdict(standing(x_0, r, kl, described)) | objective


def tuned(name: str, world: World, how: str, seed: int) -> dict[str, float]:
    """One fine-tuning run, its cost, and what its policy draws."""
    algorithm, options = PLANS[name]
    policy = tunable(world.pretrained, how, generator=torch.Generator().manual_seed(seed))
    generator, before, start = torch.Generator().manual_seed(seed), resident(), time.process_time()
    options = {
        "learning_rate": RATES[how] * SLOWER.get(name, 1.0),
        **options,
        "alpha": world.alpha,
        "generator": generator,
    }
    queries = run(algorithm.fine_tune(policy, world.reward, **options))[-1].queries
    cost = dict(seconds=time.process_time() - start, memory=resident() - before, queries=queries)
    return drawn(world, policy, seed) | cost


def drawn(world: World, policy: Any, seed: int) -> dict[str, float]:
    return attained(world, [record(policy, SAMPLES, generator=torch.Generator().manual_seed(1000 + seed))])


def guided(world: World, strength: float, seed: int) -> dict[str, float]:
    """No training: the seconds and the memory are those of drawing SAMPLES digits, 64 at a time."""
    policy = ValueWeightedPolicy(
        world.pretrained, Tweedie(world.pretrained, world.reward), alpha=world.alpha, strength=strength
    )
    generator, before, start = torch.Generator().manual_seed(seed), resident(), time.process_time()
    parts = [record(policy, 64, generator=generator) for _ in range(SAMPLES // 64)]
    cost = dict(seconds=time.process_time() - start, memory=resident() - before, queries=50 * SAMPLES)
    return attained(world, parts) | cost


def cloud(world: World, seed: int) -> dict[str, float]:
    """SMC with Tweedie's v. Its J is the bound α E[log Ẑ], its KL what the bound leaves: (E[r] − J)/α."""
    value, generator = Tweedie(world.pretrained, world.reward), torch.Generator().manual_seed(seed)
    options: dict[str, Any] = dict(alpha=world.alpha, n=PARTICLES, generator=generator)
    before, start = resident(), time.process_time()
    parts = [sequential_monte_carlo.sample(world.pretrained, value, **options) for _ in range(SAMPLES // PARTICLES)]
    cost = dict(seconds=time.process_time() - start, memory=resident() - before, queries=51 * SAMPLES)
    x_0, log_z = torch.cat([part.x_0 for part in parts]), torch.cat([part.log_z for part in parts])
    r = query(world.reward, x_0).reshape(-1, PARTICLES).mean(1)  # of each cloud, for particles of one are akin
    return stood(x_0, r, r / world.alpha - log_z, world.alpha * log_z) | cost


def has_gradient(world: World) -> bool:
    return query(world.reward, torch.zeros(1, *world.pretrained.shape, requires_grad=True)).requires_grad


def resident() -> float:
    """The most that this process ever held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(name: str, reward: str, how: str, seed: int) -> dict[str, float]:
    world = worlds.digits().with_reward(reward)
    if name in PLANS:
        return tuned(name, world, how, seed)
    if name in GUIDED:
        return guided(world, GUIDED[name], seed)
    return cloud(world, seed) if name == CLOUD else drawn(world, world.pretrained, seed)


def measure_apart(*arguments: str) -> dict[str, float]:
    """`measure` in a fresh interpreter."""
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, "--one", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **threads})
    return json.loads(done.stdout)


def spread(values: Sequence[float], alone: float = 0.0) -> str:
    return f"{mean(values):6.2f} ± {stdev(values) if len(values) > 1 else alone:4.2f}"


class Table:
    """Rows against the bank's frontier, printed as they come."""

    def __init__(self, world: World, reward: str):
        bank = digits_rewards()
        self.frontier = Frontier(bank[reward])
        self.center, self.std = bank[reward].mean().item(), bank[reward].std().item()
        self.best = self.frontier.at(world.alpha)
        there = worlds.optimal_standing(reward, world.alpha)
        print(f"{reward}, α = {world.alpha:g}: the bank's optimum has effective sample size {self.best.size:,.0f}")
        print(f"{'':24} {'up':>13} {'KL':>13} {'J share':>15} {'below':>13}", end="")
        print(f" {'classes':>7} {'apart':>6} {'nearest':>8} {'CPU s':>6} {'MiB':>5} {'queries':>7}")
        up, error = (self.best.reward - self.center) / self.std, self.best.reward_se / self.std
        print(f"{'optimum (bank)':24} {up:6.2f} ± {error:4.2f} {self.best.kl:6.2f} {100:21.2f} %", end="")
        print(f"{'':14} {there.classes:7.2f} {there.apart:6.2f} {there.nearest:8.2f}")

    def add(self, name: str, runs: Sequence[dict[str, float]]) -> None:
        se, gain = runs[0]["reward_se"] / self.std, self.best.objective - self.center
        alone = 100 * runs[0]["objective_se"] / gain
        up = [(found["reward"] - self.center) / self.std for found in runs]
        share = [100 * (found["objective"] - self.center) / gain for found in runs]
        below = [(self.frontier.best_reward(min(f["kl"], KNOWN)) - f["reward"]) / self.std for f in runs]
        average = {key: mean(found.get(key, 0.0) for found in runs) for key in ("seconds", "memory", "queries")}
        seen = {key: mean(found[key] for found in runs) for key in ("classes", "apart", "nearest")}
        print(
            f"{name:24} {spread(up, se)} {spread([f['kl'] for f in runs], runs[0]['kl_se'])} {spread(share, alone)}"
            f" % {spread(below, se)} {seen['classes']:7.2f} {seen['apart']:6.2f} {seen['nearest']:8.2f} "
            f"{average['seconds']:6.0f} {average['memory']:5.0f} {average['queries']:7,.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    everything = [REFERENCE, *PLANS, *GUIDED, CLOUD]
    parser.add_argument("--reward", default="ink")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=everything, choices=everything, metavar="METHOD")
    parser.add_argument("--ways", nargs="+", default=["lora"], choices=WAYS)
    parser.add_argument("--one", nargs=4, metavar=("METHOD", "REWARD", "WAY", "SEED"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        name, reward, how, seed = chosen.one
        print(json.dumps(measure(name, reward, how, int(seed))))
        return
    world = worlds.digits().with_reward(chosen.reward)
    table = Table(world, chosen.reward)
    for name in chosen.methods:
        if not has_gradient(world) and (name in GUIDED or name.startswith("backprop")):
            print(f"{name:24} needs the reward's gradient")
            continue
        for how in chosen.ways if name in PLANS else [""]:
            runs = [measure_apart(name, chosen.reward, how, str(seed)) for seed in range(chosen.seeds)]
            table.add(f"{name}, {how}" if len(chosen.ways) > 1 and how else name, runs)


if __name__ == "__main__":
    main()
