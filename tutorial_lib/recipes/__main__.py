"""Make the shipped assets: `python -m tutorial_lib.recipes [NAME …]`; without a name, all of them.

Each denoiser is pretrained by `training.pretrain` from a fixed seed; the banks are drawn from the finished digits
policy and scored by its rewards, one of which needs the classifier. What is fine-tuned has its recipes in
the modules beside this one, and so have the rows that notebooks draw.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .. import worlds
from ..assets import manifest, save
from ..denoisers import Denoiser, initial_weights, pretrain
from ..denoisers.pretraining import Data
from ..policies import rollout
from ..rewards import ImageClassifier, query
from ..rewards.learned import train
from ..worlds.digits import untrained_digits
from ..worlds.plane import SAMPLERS, untrained
from . import (
    adapters,
    amortised_digits,
    applied_tilts,
    backprop,
    crowds,
    digits_ways,
    ring,
    soft_ppo_rows,
    weighted,
    whose_paths,
)

POINTS: dict[str, Any] = dict(seed=0, steps=15000, batch=1024, learning_rate=1e-2)
RECIPES: dict[str, dict[str, Any]] = {
    "two_moons": dict(data="endless samples of worlds.two_moons_samples", **POINTS),
    "spiral": dict(data="endless samples of worlds.spiral_samples", **POINTS),
    "checkerboard": dict(data="endless samples of worlds.checkerboard_samples", **POINTS),
    "digits": dict(data="scikit-learn's 1797 digits, 8 × 8", seed=0, steps=8000, batch=128, learning_rate=2e-3),
    "digit_classifier": dict(
        data="four fifths of scikit-learn's digits", seed=0, steps=1500, batch=128, learning_rate=3e-3, noise=0.5
    ),
    "digits_bank": dict(data="samples of the digits asset", seed=0, samples=16384),
    "digits_rewards": dict(data="rewards of samples of the digits asset", seed=1, samples=65536),
}
TUNED = (
    ring,
    adapters,
    amortised_digits,
    applied_tilts,
    crowds,
    soft_ppo_rows,
    weighted,
    whose_paths,
    digits_ways,
    backprop,
)
for kind in TUNED:
    RECIPES |= kind.RECIPES
DENOISER, CLASSIFIER = dict(denoiser="digits"), dict(classifier="digit_classifier")
MADE_FROM = dict(digits_bank=DENOISER, digits_rewards=DENOISER | CLASSIFIER)  # whose hashes the recipe keeps
BATCH = 1024  # samples drawn at a time


def command(name: str) -> str:
    return f"python -m tutorial_lib.recipes {name}"


def make_denoiser(name: str) -> None:
    """Pretrain a denoiser and save its averaged weights."""
    recipe = RECIPES[name]
    seed, steps = recipe["seed"], recipe["steps"]
    with initial_weights(seed):
        denoiser: Denoiser = untrained_digits() if name == "digits" else untrained()
    data: Data
    data, labels = worlds.digit_images() if name == "digits" else (SAMPLERS[name], None)
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


def make_classifier() -> None:
    """Train p(y|x) and save it with its accuracy on the digits that it has not seen."""
    recipe = RECIPES["digit_classifier"]
    images, labels = worlds.digit_images()
    unseen = worlds.held_out(len(images))
    with initial_weights(recipe["seed"]):
        classifier = ImageClassifier()
    options = {key: recipe[key] for key in ("steps", "batch", "learning_rate", "noise")}
    generator, seconds = torch.Generator().manual_seed(recipe["seed"]), 0.0
    training = train(classifier, images[~unseen], labels[~unseen], generator=generator, **options)
    for step in tqdm(training, total=recipe["steps"], desc="digit_classifier"):
        seconds = step.seconds
    with torch.no_grad():
        right = (classifier(images[unseen]).argmax(1) == labels[unseen]).float().mean().item()
    made = dict(
        command=command("digit_classifier"), **recipe, held_out_accuracy=round(right, 4), seconds=round(seconds)
    )
    save("digit_classifier", classifier.state_dict(), made)


def draws(name: str) -> Iterator[Tensor]:
    """The recipe's samples of the pretrained digits policy, BATCH at a time: [BATCH, 1, 8, 8]."""
    pretrained, recipe = worlds.digits().pretrained, RECIPES[name]
    generator = torch.Generator().manual_seed(recipe["seed"])
    for _ in tqdm(range(recipe["samples"] // BATCH), name):
        yield rollout(pretrained, BATCH, generator=generator).x_0


def make_bank() -> None:
    """Draw the bank of pretrained digits, as bytes [N, 8, 8]: 0 is −1, 255 is +1."""
    start = time.perf_counter()
    images = [((x.squeeze(1).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8) for x in draws("digits_bank")]
    save_drawn("digits_bank", {"images": torch.cat(images)}, start)


def make_rewards() -> None:
    """Score fresh samples, before any rounding, by every reward of the digits, and describe them."""
    start = time.perf_counter()
    scored = [scores(x) for x in draws("digits_rewards")]
    save_drawn("digits_rewards", {key: torch.cat([s[key] for s in scored]) for key in scored[0]}, start)


def scores(x: Tensor) -> dict[str, Tensor]:
    """Rewards as float32; label and nearest in as few bytes as their meaning needs."""
    rewards = {name: query(reward, x) for name, reward in worlds.digits().rewards.items()}
    seen = worlds.described(x)
    return rewards | dict(label=seen["label"].to(torch.uint8), nearest=seen["nearest"].half())


def save_drawn(name: str, tensors: dict[str, Tensor], start: float) -> None:
    made_from = {f"{part}_sha256": manifest()[asset]["sha256"] for part, asset in MADE_FROM[name].items()}
    seconds = round(time.perf_counter() - start)
    save(name, tensors, dict(command=command(name), **RECIPES[name], **made_from, seconds=seconds))


def make(name: str) -> None:
    for kind in TUNED:
        if name in kind.RECIPES:
            return kind.make(name, command(name))
    MAKERS[name]() if name in MAKERS else make_denoiser(name)


MAKERS: dict[str, Callable[[], None]] = dict(
    digit_classifier=make_classifier, digits_bank=make_bank, digits_rewards=make_rewards
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tutorial_lib.recipes", description="Make the shipped assets again."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(RECIPES)}; none means all")
    names = parser.parse_args().names or list(RECIPES)
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"unknown asset {unknown[0]!r}; known: {', '.join(RECIPES)}")
    for name in names:
        make(name)


if __name__ == "__main__":
    main()
