"""The contest of the notebook on reward-weighted MLE: every regret and sample size against a training by hand."""

import copy

import pytest
import torch

from tutorial_lib.algorithms import reward_weighted_mle, run
from tutorial_lib.denoisers import ExactDenoiser
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import SoftValues
from tutorial_lib.metrics import quiet_objective
from tutorial_lib.notebooks.s06_1_reward_weighted_mle import study
from tutorial_lib.policies import RetunedPolicy, SteeredPolicy, rollout
from tutorial_lib.rewards import peak

from ..oracles import chain, seeded

MIXTURE = GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.8]))
REWARD, N, ROUNDS = peak((1.0, 0.0)), 128, 2


def limit(alpha):
    tilted, _ = MIXTURE.tilt(linear=torch.tensor([2 / alpha, 0.0]), quadratic=2 / alpha * torch.eye(2))
    pretrained = chain(MIXTURE, 6)
    return RetunedPolicy(pretrained, ExactDenoiser(tilted, pretrained.schedule))


@pytest.fixture(scope="module")
def start():
    return SteeredPolicy(chain(MIXTURE, 6))


@pytest.fixture(scope="module")
def rows(start):
    return study.contest(start, REWARD, limit, alphas=(2.0, 0.5), extent=5.0, n=N, iterations=ROUNDS)


def test_a_contest_has_a_row_for_each_alpha_and_leaves_the_start_alone(start, rows):
    assert [row.alpha for row in rows] == [2.0, 0.5]
    for row in rows:
        assert set(row.regrets) == {"offline", "online", "endless samples"} and row.regrets["endless samples"] < 0.2
        assert all(regret < 1 for regret in row.regrets.values()), "training beats doing nothing"
    torch.testing.assert_close(
        torch.cat([p.flatten() for p in start.parameters()]),
        torch.cat([p.flatten() for p in SteeredPolicy(chain(MIXTURE, 6)).parameters()]),
    )


@pytest.mark.parametrize(("i", "form"), [(0, "offline"), (0, "online"), (1, "offline"), (1, "online")])
def test_a_regret_of_the_contest_is_that_of_its_training(start, rows, i, form):
    """By hand: the same rewards and updates, offline with plain weights from p_pre, online from its own paths."""
    alpha, learner = rows[i].alpha, copy.deepcopy(start)
    offline = form == "offline"
    run(
        reward_weighted_mle.fine_tune(
            learner,
            REWARD,
            alpha=alpha,
            generator=seeded(0),
            iterations=ROUNDS,
            n=N,
            updates=15,
            batch=800,
            online=not offline,
            effective=1e-6 if offline else 0.1,
        )
    )
    soft = SoftValues(chain(MIXTURE, 6), REWARD, alpha=alpha, extent=5.0, grid=81)
    J, _ = quiet_objective(learner, REWARD, alpha=alpha, n=3000, generator=seeded(1))
    expected = (soft.optimum - J) / (soft.optimum - soft.pretrained_objective)
    assert rows[i].regrets[form] == pytest.approx(expected, rel=1e-4)


def test_the_effective_samples_of_the_contest_are_those_of_all_its_rewards(rows):
    x = rollout(chain(MIXTURE, 6), N * ROUNDS, generator=seeded(0)).x_0.double()
    r = -(x - torch.tensor([1.0, 0.0])).square().sum(1)
    for row in rows:
        w = (r / row.alpha).exp()
        assert row.effective == pytest.approx(float(w.sum() ** 2 / w.square().sum()), rel=1e-3)
