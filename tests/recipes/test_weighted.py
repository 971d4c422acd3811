"""The rows on reward-weighted MLE: each number against a training by hand, on worlds cut down."""

from typing import Any

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import reward_weighted_mle, run
from tutorial_lib.exact import SoftValues, TiltedDensity
from tutorial_lib.metrics import quiet_objective
from tutorial_lib.policies import SteeredPolicy, record, tunable
from tutorial_lib.recipes import weighted
from tutorial_lib.rewards import peak

from ..oracles import seeded

ALPHA, N = 0.5, 64
REWARD = peak((3.0, 1.0))


@pytest.fixture
def small(monkeypatch):
    """Two seeds, one α, two sizes, T = 6, two rounds; the digits' arms tuned once."""
    for name, value in dict(SEEDS=2, ALPHAS=(ALPHA,), SIZES=(32, N), T=6, BUDGET=N, DRAWN=8).items():
        monkeypatch.setattr(weighted, name, value)
    monkeypatch.setattr(weighted, "ROUNDS", dict(iterations=2, updates=3, batch=40))
    monkeypatch.setattr(weighted, "FEW", weighted.FEW | dict(iterations=1, n=8, updates=1, batch=8))


def test_few_samples_are_trainings_from_each_seed(small):
    rows, world = weighted.few_samples(), worlds.ring(6)
    soft = SoftValues(world.pretrained, REWARD, alpha=ALPHA, extent=5.0, grid=81)
    assert float(rows["span"]) == pytest.approx((soft.optimum - soft.pretrained_objective) / ALPHA, rel=1e-5)
    forms: dict[str, dict[str, Any]] = dict(
        offline=dict(online=False, effective=1e-6), online=dict(online=True, effective=0.1)
    )
    for seed in range(2):
        for form, how in forms.items():
            policy, g = SteeredPolicy(world.pretrained, generator=seeded(seed)), seeded(seed)
            options: dict[str, Any] = dict(iterations=2, n=N // 2, updates=3, batch=40, **how)
            history = run(reward_weighted_mle.fine_tune(policy, REWARD, alpha=ALPHA, generator=g, **options))
            J, _ = quiet_objective(policy, REWARD, alpha=ALPHA, n=3000, generator=seeded(1))
            found = rows["offline"][seed, 1, 0] if form == "offline" else rows["online"][seed, 0]
            assert float(found) == pytest.approx((soft.optimum - J) / ALPHA, rel=1e-4)
            if form == "offline":
                assert float(rows["effective"][seed, 1, 0]) == pytest.approx(N * history[-1].extra["effective"])
    assert rows["offline"].shape == (2, 2, 1) and 0 < float(rows["endless"]) < float(rows["offline"].min())


def test_endless_samples_are_the_chains_own_to_a_hundredth_of_a_nat():
    """The data's tilted denoiser beside the denoiser of the chain's own tilt, a posterior mean by quadrature."""
    world, alpha = worlds.ring(20), 0.2
    soft = SoftValues(world.pretrained, REWARD, alpha=alpha, extent=5.0, grid=81)
    tilted, policy = TiltedDensity(world.pretrained, REWARD, extent=5.0), weighted.endless(world, alpha)
    mass = tilted.at(alpha).mass.reshape(-1)
    kept = mass > 1e-9 * mass.max()
    points, log_mass = tilted.grid.points[kept].double(), mass[kept].log()

    def on_grid(x_t, t, label=None):
        level = world.schedule.alpha_bar[t].double()
        near = -torch.cdist(x_t.double(), level.sqrt() * points).square() / (2 * (1 - level))
        return ((log_mass + near).softmax(1) @ points).float()

    losses = [weighted.lost(soft, REWARD, policy)]
    policy.denoiser.forward = on_grid
    losses.append(weighted.lost(soft, REWARD, policy))
    assert losses[0] == pytest.approx(losses[1], abs=0.01) and losses[0] != losses[1]


def test_the_digits_arms_are_trainings_with_and_without_uniform_weights(small):
    rows, world = weighted.digits_weighted(), worlds.digits().with_reward("symmetry")
    assert rows["kl"].shape == (2, 4, 51) and not rows["kl"][:, :, 0].any()
    weights = reward_weighted_mle.epsilon_weights(world.schedule)
    for arm, (how, per_time) in enumerate((("control", None), ("control", weights), ("lora", None), ("lora", weights))):
        policy = tunable(world.pretrained, how, generator=seeded(1))
        options: dict[str, Any] = dict(
            iterations=1, n=8, updates=1, batch=8, effective=0.3, learning_rate=3e-3, per_time=per_time
        )
        plan = reward_weighted_mle.fine_tune(
            policy, world.reward, alpha=world.alpha, generator=seeded(1), denoised=True, **options
        )
        run(plan)
        path = record(policy, 8, generator=seeded(1))
        r = world.reward(path.x_0)
        expected = (r - world.alpha * path.log_ratio().sum(0)).mean()
        torch.testing.assert_close(rows["objective"][1, arm], expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(rows["kl"][1, arm].sum(), path.kl().mean(), rtol=1e-3, atol=1e-6)
