"""What is exact and slow is computed once a run of the tests, by whichever worker needs it first.

    best = shared(GaussianOptimum, world.pretrained, world.reward, alpha=0.5, extent=5.0)

is GaussianOptimum(world.pretrained, world.reward, alpha=0.5, extent=5.0). It lies in a folder of this run alone, under
what it was made from: the maker, its options, and what policy and reward answer at fixed points. Every run starts with
an empty folder and deletes it at its end.
"""

import fcntl
import hashlib
import inspect
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pytest
import torch

from tutorial_lib.policies import DenoisingPolicy
from tutorial_lib.rewards import Reward

Made = TypeVar("Made")
FOLDER = "TESTS_SHARE"
POINTS, REACH = 2000, 7.0


def shared(make: Callable[..., Made], pretrained: DenoisingPolicy, reward: Reward, **options: Any) -> Made:
    """make(pretrained, reward, **options) for a chain in the plane; a copy of its own for each caller."""
    file = Path(os.environ[FOLDER]) / address(make, pretrained, reward, options)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            unfinished = file.with_suffix(".part")
            with unfinished.open("wb") as out:
                Writer(out, pretrained, reward).dump(make(pretrained, reward, **options))
            unfinished.replace(file)
    with file.open("rb") as kept:
        return Reader(kept, pretrained, reward).load()


def address(make: Callable, pretrained: DenoisingPolicy, reward: Reward, options: dict[str, Any]) -> str:
    """A name for the result: the same for equal arguments, defaults included, however they are spelled."""
    bound = inspect.signature(make).bind(pretrained, reward, **options)
    bound.apply_defaults()
    settings = list(bound.arguments.items())[2:]
    x, T = REACH * (2 * torch.rand(POINTS, 2, generator=torch.Generator().manual_seed(0)) - 1), pretrained.schedule.T
    with torch.no_grad():
        answers = [reward(x), pretrained.schedule.sigma, *(pretrained.mean(x, t) for t in range(1, T + 1))]
    found = hashlib.sha256(repr((make.__module__, make.__qualname__, settings)).encode())
    for answer in answers:
        found.update(answer.detach().double().numpy().tobytes())
    return found.hexdigest()


class Writer(pickle.Pickler):
    """Keeps all but the policy and the reward, which the reader brings along: a reward may be a lambda."""

    def __init__(self, file: BinaryIO, *brought: object) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.places = {id(thing): place for place, thing in enumerate(brought)}

    def persistent_id(self, thing: object) -> int | None:
        return self.places.get(id(thing))


class Reader(pickle.Unpickler):
    """Reads what this very run wrote."""

    def __init__(self, file: BinaryIO, *brought: object) -> None:
        super().__init__(file)
        self.brought = brought

    def persistent_load(self, place: int) -> object:
        return self.brought[place]


folder_of_this_run = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # xdist's workers inherit the variable
        config.stash[folder_of_this_run] = folder = tempfile.TemporaryDirectory(prefix="tests-share-")
        os.environ[FOLDER] = folder.name


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(folder_of_this_run, None):
        folder.cleanup()
