"""The shipped policies, amortised over α: how much of what can be learned they have learned."""

import pytest
import torch

from tutorial_lib import tuned, worlds
from tutorial_lib.exact import GaussianOptimum
from tutorial_lib.metrics import rollout_with_kl
from tutorial_lib.rewards import query

from .oracles import seeded

# α that no training drew, at both ends and in the middle
PRICES = {"peak": (0.07, 0.6, 4.0), "half_plane": (0.3,), "disc": (1.5,)}


def objectives(policy, world, alpha):
    """r − α Σ KL_t of each path [n], on the same noise for every policy."""
    path, kl = rollout_with_kl(policy, 20_000, generator=seeded(99))
    return (query(world.reward, path.x_0) - alpha * kl).double()


@pytest.mark.parametrize(("reward", "alpha"), [(name, alpha) for name, prices in PRICES.items() for alpha in prices])
def test_the_learning_gap_is_at_most_3_percent(reward, alpha):
    world = worlds.ring().with_reward(reward)
    assert world.extent is not None
    best = GaussianOptimum(world.pretrained, world.reward, alpha=alpha, extent=world.extent, grid=121)
    with torch.no_grad():
        ceiling = objectives(best, world, alpha)
        for algorithm in (name for name, rewards in tuned.REWARDS.items() if reward in rewards):
            missed = ceiling - objectives(tuned.policy(algorithm, reward).at(alpha), world, alpha)
            gap = best.soft.share(float(missed.mean()))
            noise = best.soft.share(float(missed.std()) / len(missed) ** 0.5)
            assert -4 * noise - 0.005 < gap <= 0.03, f"{algorithm}: {gap:.2%} ± {noise:.2%}"


def test_another_pair_is_not_shipped():
    with pytest.raises(ValueError, match="no policy tuned by 'reward_backprop' for 'disc' is shipped; known: soft_ppo"):
        tuned.policy("reward_backprop", "disc")
    with pytest.raises(ValueError, match="no policy tuned by 'magic'"):
        tuned.policy("magic", "peak")
