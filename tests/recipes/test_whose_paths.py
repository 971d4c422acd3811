"""The rows of 06_3 are what the trainings of their recipe come to, one of each table run again."""

from typing import Any

import pytest
import torch

from tutorial_lib import assets, worlds
from tutorial_lib.algorithms import path_consistency, run
from tutorial_lib.exact import GaussianOptimum, SoftValues
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import SteeredPolicy, rollout
from tutorial_lib.recipes import whose_paths

from ..oracles import seeded

ROWS = assets.load(whose_paths.NAME)


@pytest.fixture(scope="module")
def short():
    return worlds.ring(T=10)


@pytest.fixture(scope="module")
def best(short):
    return GaussianOptimum(short.pretrained, short.reward, alpha=0.5, extent=5.0, grid=81)


@pytest.mark.parametrize(("method", "share"), [("path consistency", 1.0), ("PPO", 1.0), ("mismatch ignored", 0.5)])
def test_a_row_is_its_training_s_regret(short, best, method, share):
    """Within what machines differ by: the regret by another estimate, and the samples of the first seed."""
    policy, kl = whose_paths.tuned(short, method, alpha=0.5, share=share, seed=0)
    place = whose_paths.METHODS.index(method), 1, whose_paths.SHARES.index(share), 0
    report = evaluate(policy, short.reward, alpha=0.5, generator=seeded(5))
    assert best.soft.regret(report) == pytest.approx(ROWS["regret"][place].item(), rel=0.1, abs=0.02)
    assert kl == pytest.approx(ROWS["kl"][place].item(), rel=0.05)
    x_0 = rollout(policy, whose_paths.PARTICLES, generator=seeded(2)).x_0
    torch.testing.assert_close(ROWS["x_0"][place[:3]].float(), x_0, atol=0.05, rtol=0.05)


def test_the_gaps_are_the_family_s(best):
    assert ROWS["gaps"][1].item() == pytest.approx(best.family_gap, rel=1e-3)


def test_on_own_paths_the_mismatch_is_none_and_no_table_has_a_hole():
    methods = {name: ROWS["regret"][m] for m, name in enumerate(whose_paths.METHODS)}
    assert torch.equal(methods["PPO"][:, 0], methods["mismatch ignored"][:, 0])
    assert all(rows.isfinite().all() and (rows != 0).all() for name, rows in ROWS.items() if name != "x_0")
    assert ROWS["regret"].shape == (4, 3, 4, 5) and ROWS["kinds"].shape == (4, 5, 5)
    assert (
        ROWS["defaults"].shape == (4, 5)
        and ROWS["cold"].shape == (2, 4, 5)
        and ROWS["replayed"].shape == (6, 5)
        and ROWS["rare"].shape == (4, 5, 2)
    )


def test_the_shelf_lies_in_the_rare_mode_and_teaches_it():
    world, known = whose_paths.rare_mode()
    x_0 = rollout(world.pretrained, 20_000, generator=seeded(0)).x_0
    centre = torch.tensor([-2.0, 0.0])
    inside = ((x_0 - centre).norm(dim=1) < 0.6).float()
    assert torch.equal(world.reward(x_0), inside) and 0.003 < inside.mean() < 0.01
    assert world.reward(rollout(known, 500, generator=seeded(0)).x_0).mean() > 0.5
    policy = SteeredPolicy(world.pretrained, generator=seeded(0))
    plan: dict[str, Any] = dict(alpha=world.alpha, generator=seeded(0), iterations=30, n=128, off_policy=0.2)
    run(path_consistency.fine_tune(policy, world.reward, behaviour=known, **plan))
    soft = SoftValues(world.pretrained, world.reward, alpha=world.alpha, extent=5.0, grid=161)
    assert whose_paths.regret(policy, world.reward, soft) == pytest.approx(ROWS["rare"][2, 0, 0].item(), abs=0.05)
