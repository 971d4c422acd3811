"""Make the shipped assets: `python -m tutorial_lib.assets [NAME …]`; without a name, all of them.

Each denoiser is pretrained by `training.pretrain` from a fixed seed; the bank is drawn from the finished digits policy.
"""

import argparse
import time
from typing import Any

import torch
from tqdm import tqdm

from .. import worlds
from ..policies import DenoisingPolicy, rollout
from ..training import Data, pretrain
from . import manifest, save

POINTS: dict[str, Any] = dict(seed=0, steps=15000, batch=1024, learning_rate=1e-2)
RECIPES: dict[str, dict[str, Any]] = {
    "two_moons": dict(data="endless samples of worlds.two_moons_samples", **POINTS),
    "spiral": dict(data="endless samples of worlds.spiral_samples", **POINTS),
    "checkerboard": dict(data="endless samples of worlds.checkerboard_samples", **POINTS),
    "digits": dict(data="scikit-learn's 1797 digits, 8 × 8", seed=0, steps=8000, batch=128, learning_rate=2e-3),
    "digits_bank": dict(data="samples of the digits asset", seed=0, samples=16384),
}


def command(name: str) -> str:
    return f"python -m tutorial_lib.assets {name}"


def make_denoiser(name: str) -> None:
    """Pretrain a denoiser and save its averaged weights."""
    recipe = RECIPES[name]
    seed, steps = recipe["seed"], recipe["steps"]
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # the initial weights
        denoiser = worlds.untrained(name)
    data: Data
    data, labels = worlds.digit_images() if name == "digits" else (worlds.SAMPLERS[name], None)
    training = pretrain(
        denoiser,
        data,
        steps=steps,
        batch=recipe["batch"],
        learning_rate=recipe["learning_rate"],
        generator=torch.Generator().manual_seed(seed),
        labels=labels,
    )
    losses, seconds = [], 0.0
    for step in (bar := tqdm(training, total=steps, desc=name)):
        losses.append(step.loss)
        seconds = step.seconds
        if step.iteration % 100 == 0:
            bar.set_postfix(loss=f"{sum(losses[-100:]) / 100:.4f}")
    last = losses[-500:]
    measured = dict(final_loss=round(sum(last) / len(last), 4), seconds=round(seconds))
    save(name, denoiser.state_dict(), dict(command=command(name), **recipe, **measured))


def make_bank() -> None:
    """Draw the bank of pretrained digits, as bytes: 0 is −1, 255 is +1."""
    recipe, world = RECIPES["digits_bank"], worlds.digits()
    generator, start = torch.Generator().manual_seed(recipe["seed"]), time.perf_counter()
    parts = [
        draw_digits(world.pretrained, 1024, generator) for _ in tqdm(range(recipe["samples"] // 1024), "digits_bank")
    ]
    made_from = dict(denoiser_sha256=manifest()["digits"]["sha256"], seconds=round(time.perf_counter() - start))
    save("digits_bank", {"images": torch.cat(parts)}, dict(command=command("digits_bank"), **recipe, **made_from))


def draw_digits(pretrained: DenoisingPolicy, n: int, generator: torch.Generator) -> torch.Tensor:
    """n samples as uint8 [n, 8, 8]."""
    x_0 = rollout(pretrained, n, generator=generator).x_0
    return ((x_0.squeeze(1).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tutorial_lib.assets", description="Make the shipped assets again.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(RECIPES)}; none means all")
    names = parser.parse_args().names or list(RECIPES)
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"unknown asset {unknown[0]!r}; known: {', '.join(RECIPES)}")
    for name in names:
        make_bank() if name == "digits_bank" else make_denoiser(name)


if __name__ == "__main__":
    main()
