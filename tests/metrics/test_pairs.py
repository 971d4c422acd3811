"""What two policies make of the same noise: a place is one path, and the worst before comes first."""

import pytest
import torch

from tutorial_lib.metrics import before_after, sorted_pairs
from tutorial_lib.policies import SteeredPolicy, rollout
from tutorial_lib.rewards import ink, peak

from ..oracles import ring, seeded
from .brighter import Brighter, small_images


@pytest.mark.parametrize("seed", [3, 4])
def test_a_place_in_the_pairs_is_one_noise_and_the_worst_comes_first(seed):
    pretrained = small_images()
    found = before_after(pretrained, SteeredPolicy(pretrained, Brighter()), ink, n=9, seed=seed)
    drawn = rollout(pretrained, 9, generator=seeded(seed)).x_0
    tuned = rollout(SteeredPolicy(pretrained, Brighter()), 9, generator=seeded(seed)).x_0
    order = ink(drawn).argsort()
    assert torch.equal(found.before, drawn[order]) and torch.equal(found.rewards_before, ink(drawn)[order])
    assert torch.equal(found.after, tuned[order]) and torch.equal(found.rewards_after, ink(tuned)[order])
    assert (found.rewards_before.diff() >= 0).all() and (found.rewards_after > found.rewards_before).all()


def test_points_are_paired_like_images():
    pretrained, reward = ring(6), peak((2.0, 0.0))
    found = before_after(pretrained, pretrained, reward, seed=1)
    assert found.before.shape == (36, 2) and torch.equal(found.before, found.after)
    assert torch.equal(found.rewards_before, reward(found.before))


def test_pairs_of_given_samples_keep_their_partners():
    before, after = torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[30.0], [10.0], [20.0]])
    found = sorted_pairs(before, after, lambda x: -x[:, 0])
    assert found.before.flatten().tolist() == [3, 2, 1] and found.after.flatten().tolist() == [30, 20, 10]
    assert found.rewards_before.tolist() == [-3, -2, -1] and found.rewards_after.tolist() == [-30, -20, -10]


def test_no_pairs_are_refused():
    with pytest.raises(ValueError, match="n must be a whole number ≥ 1, got 0"):
        before_after(ring(4), ring(4), ink, n=0)
