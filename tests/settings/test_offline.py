"""Offline: one fit of each kind, and a reward that doubts what no label covers."""

import math

import pytest
import torch

from tutorial_lib.rewards.uncertain import Features, Networks, Process
from tutorial_lib.settings import offline

from ..oracles import seeded

X = torch.randn(60, 2, generator=seeded(0))
Y = X[:, 0] - X[:, 1].square()
KINDS = {"mlp": Networks, "ensemble": Networks, "gp": Process, "features": Features}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_fitted_by_its_name(kind):
    learned = offline.fit(X, Y, kind=kind, generator=seeded(1))
    assert type(learned) is KINDS[kind]
    assert (learned(X) - Y).square().mean().sqrt() < 0.3 * Y.std() and (learned.std(X) > 0).all()
    assert kind != "mlp" or len(learned.weights[0]) == 1


def test_pessimism_takes_deviations_off_and_optimism_adds_them():
    learned = offline.fit(X, Y, kind="features", generator=seeded(1))
    for strength in (0.0, 1.5, -2.0):
        doubted = offline.pessimistic(learned, strength=strength)
        torch.testing.assert_close(doubted(X), learned(X) - strength * learned.std(X))
    assert offline.pessimistic(learned).__name__ == "pessimistic_learned_reward"
    assert offline.pessimistic(learned, strength=-1).__name__ == "optimistic_learned_reward"


def test_what_is_unknown_is_refused():
    with pytest.raises(ValueError, match="unknown kind 'forest'; known: mlp, ensemble, gp, features"):
        offline.fit(X, Y, kind="forest", generator=seeded(1))
    learned = offline.fit(X, Y, kind="features", generator=seeded(1))
    with pytest.raises(ValueError, match="strength must be a finite number, got nan"):
        offline.pessimistic(learned, strength=math.nan)
