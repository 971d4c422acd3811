"""The trainable algorithms side by side on one world: regret, seconds and reward queries, several seeds.

    python benchmarks/algorithms.py [--world ring] [--seeds 5] [--figure algorithms.png]

Three tables: every algorithm at its defaults, with the same number of reward queries, and with the same time (whose
iterations are planned from a short trial of each). Regret is the family gap, which no chain of Gaussian steps avoids,
plus the learning gap; ± is the standard deviation over seeds. Equal times mean little on a busy machine.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import torch

from tutorial_lib import plots, worlds
from tutorial_lib.algorithms import path_consistency, reward_backprop, reward_weighted_mle, run, soft_ppo
from tutorial_lib.exact import GaussianOptimum
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import SteeredPolicy
from tutorial_lib.worlds import World

QUERIES, SECONDS = 12_800, 4.0
EQUAL: Mapping[ModuleType, dict[str, Any]] = {
    soft_ppo: dict(iterations=QUERIES // 256),
    reward_backprop: dict(iterations=QUERIES // 128),
    reward_weighted_mle: dict(n=QUERIES // 16, iterations=16),
    path_consistency: dict(iterations=QUERIES // 256),
}
DEFAULTS: Mapping[ModuleType, dict[str, Any]] = {algorithm: {} for algorithm in EQUAL}


def in_equal_time(world: World, seconds: float) -> dict[ModuleType, dict[str, Any]]:
    """The defaults with as many iterations as fit, by the time of the last two of three."""
    plans = {}
    for algorithm in DEFAULTS:
        policy, g = SteeredPolicy(world.pretrained), torch.Generator().manual_seed(0)
        trial = run(algorithm.fine_tune(policy, world.reward, alpha=world.alpha, generator=g, iterations=3))
        plans[algorithm] = dict(iterations=max(1, round(2 * seconds / (trial[2].seconds - trial[0].seconds))))
    return plans


@dataclass(frozen=True)
class Row:
    """One algorithm: regret and seconds for each seed [seeds], and its reward queries."""

    name: str
    regret: torch.Tensor
    seconds: torch.Tensor
    queries: int


def trained(algorithm: ModuleType, world: World, best: GaussianOptimum, seed: int, options: dict[str, Any]):
    """(regret, seconds, queries) of one run."""
    g = torch.Generator().manual_seed(seed)
    policy = SteeredPolicy(world.pretrained, generator=g)
    last = run(algorithm.fine_tune(policy, world.reward, alpha=world.alpha, generator=g, **options))[-1]
    report = evaluate(policy, world.reward, alpha=world.alpha, n=50_000, generator=torch.Generator().manual_seed(99))
    return best.soft.regret(report), last.seconds, last.queries


def compare(plans: Mapping[ModuleType, dict[str, Any]], world: World, best: GaussianOptimum, seeds: int) -> list[Row]:
    """The algorithms take turns, seed by seed, so that a busy minute of the machine meets them all."""
    runs: dict[ModuleType, list] = {algorithm: [] for algorithm in plans}
    for seed in range(seeds):
        for algorithm, options in plans.items():
            runs[algorithm].append(trained(algorithm, world, best, seed, options))
    rows = []
    for algorithm, found in runs.items():
        regret, seconds, queries = zip(*found, strict=True)
        name = algorithm.__name__.rpartition(".")[2]
        rows.append(Row(name, torch.tensor(regret), torch.tensor(seconds), queries[0]))
    return rows


def spread(x: torch.Tensor) -> float:
    return float(x.std()) if len(x) > 1 else 0.0


def show_table(title: str, rows: Sequence[Row], best: GaussianOptimum) -> None:
    print(f"\n{title}\n{'':20} {'regret':>16} {'= family + learning':>20} {'seconds':>14} {'queries':>8}")
    for row in rows:
        mean, gap = float(row.regret.mean()), best.family_gap
        print(
            f"{row.name:20} {mean:8.2%} ± {spread(row.regret):5.2%} {gap:10.2%} + {mean - gap:6.2%} "
            f"{row.seconds.mean():7.1f} ± {spread(row.seconds):4.1f} {row.queries:8,}"
        )


def save_figure(path: Path, tables: Mapping[str, Sequence[Row]], best: GaussianOptimum) -> None:
    """Regret of every seed, a panel for each table."""
    plots.use_style()
    figure, axes = plt.subplots(1, len(tables), figsize=(4.2 * len(tables), 3), sharex=True, sharey=True)
    for ax, (title, rows) in zip(axes, tables.items(), strict=True):
        for place, row in enumerate(rows):
            ax.plot(100 * row.regret, [place] * len(row.regret), "o", color=plots.TUNED, alpha=0.6)
        ax.axvline(100 * best.family_gap, color=plots.TARGET, linestyle=":")
        names = [row.name.replace("_", " ") for row in rows]
        ax.set(yticks=range(len(rows)), yticklabels=names, xlabel="regret (%)", title=title)
    axes[0].set(xlim=(0, None), ylim=(len(rows) - 0.5, -0.5))
    axes[0].annotate("family gap", (100 * best.family_gap, 3.4), (4, 0), textcoords="offset points", color=plots.TARGET)
    figure.savefig(path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--world", default="ring", choices=[name for name in worlds.NAMES if name != "digits"])
    parser.add_argument("--reward", help="one of the world's rewards (its first unless given)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path, help="where to save the figure, such as algorithms.png")
    chosen = parser.parse_args(arguments)
    world = worlds.make(chosen.world)
    world = world.with_reward(chosen.reward) if chosen.reward else world
    assert world.extent is not None
    best = GaussianOptimum(world.pretrained, world.reward, alpha=world.alpha, extent=world.extent)
    print(f"{world.name}, α = {world.alpha:g}, {chosen.seeds} seeds, {torch.get_num_threads()} threads")
    tables = {}
    timed = in_equal_time(world, SECONDS)
    for title, plans in {"At the defaults": DEFAULTS, f"{QUERIES:,} queries": EQUAL, f"{SECONDS:g} s": timed}.items():
        tables[title] = compare(plans, world, best, chosen.seeds)
        show_table(title, tables[title], best)
    if chosen.figure:
        save_figure(chosen.figure, tables, best)


if __name__ == "__main__":
    main()
