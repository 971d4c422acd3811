"""Scenes of 06_2 for its tests: every estimator a different value, none of them fitted."""

import functools

import torch

from tutorial_lib import worlds
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.notebooks.s06_2_value_weighted_sampling import study
from tutorial_lib.worlds import World

ALPHAS = (0.2, 0.5)
WORLDS = {"ring": "peak", "two_moons": "half_plane"}


def world(name: str) -> World:
    return worlds.make(name).with_reward(WORLDS[name])


def guess(of: World) -> Tweedie:
    return Tweedie(of.pretrained, of.reward)


def halved(of: World):
    """Half of Tweedie's guess, and the reward itself at t = 0."""

    def value(x, t):
        return guess(of)(x, t) * (0.5 if t else 1.0)

    return value


def sloping(of: World):
    """Straight, and different at each α and t."""

    def value(x, t):
        return of.reward(x) if t == 0 else 0.3 * x[:, 0] - x[:, 1] * t / 50

    return value


@functools.cache
def scene(name: str = "ring") -> study.Scene:
    of = world(name)
    return study.make_scene(of, {a: {study.SOFT_Q: halved(of), study.MONTE_CARLO: sloping(of)} for a in ALPHAS})


@functools.cache
def fields() -> dict[tuple[str, float], torch.Tensor]:
    """The ring's values [T+1, n, n] by estimator and α, from the library alone."""
    of, tilted, found = world("ring"), scene().tilted, {}
    for alpha in ALPHAS:
        exact = tilted.through_time(alpha)[1]
        found[study.EXACT, alpha] = exact
        found[study.FLIPPED, alpha] = torch.cat([tilted.reward.unsqueeze(0), -exact[1:]])
    for name, value in {study.TWEEDIE: guess(of), study.SOFT_Q: halved(of), study.MONTE_CARLO: sloping(of)}.items():
        with torch.no_grad():
            rows = torch.stack([value(tilted.grid.points, t) for t in range(of.schedule.T + 1)])
        found |= {(name, alpha): rows.double().reshape(-1, study.GRID, study.GRID) for alpha in ALPHAS}
    return found


@functools.cache
def wild() -> study.Scene:
    """The ring with fitted values that throw what lies right of 1 out of the plane, and leave the rest alone."""
    of = world("ring")

    def value(x, t):
        return of.reward(x) if t == 0 else torch.where(x[:, 0] > 1, 1e5 * (x[:, 0] - 1), 0.0)

    return study.make_scene(of, {0.5: {study.SOFT_Q: value, study.MONTE_CARLO: lambda x, t: 1e6 * x.sum(1)}})
