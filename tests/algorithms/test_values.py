"""The critic: row by row what it is on single states, and the units that it takes from its first rewards."""

import pytest
import torch

from tutorial_lib.algorithms import ValueNetwork
from tutorial_lib.policies import rollout

from ..oracles import image_chain, seeded, stirred
from .contract import T, learned_chain


def critic(seed=0):
    network = ValueNetwork(learned_chain(), generator=seeded(seed))
    network.adapt(torch.tensor([1.0, 2.0, 6.0]))
    return network


def test_it_starts_at_the_mean_of_the_rewards_and_moves_in_their_spread():
    network, x = critic(), torch.randn(5, 2, generator=seeded(1))
    torch.testing.assert_close(network(x, 3), torch.full((5,), 3.0))
    with torch.no_grad():
        network.network.last.bias.fill_(1.0)
    torch.testing.assert_close(network(x, 3), torch.full((5,), 3.0 + 7.0**0.5))  # the variance of 1, 2, 6 is 7


def test_it_takes_its_units_from_the_first_rewards_alone():
    network = critic()
    network.adapt(torch.tensor([100.0, 300.0]))
    assert (network.center, network.scale) == pytest.approx((3.0, 7.0**0.5))
    flat = ValueNetwork(learned_chain(), generator=seeded(0))
    flat.adapt(torch.full((4,), 2.0))
    assert (flat.center, flat.scale) == (2.0, 1e-3)


def test_along_a_path_row_t_is_v_of_x_t_and_row_0_the_reward():
    network, path = stirred(critic()), rollout(learned_chain(), 5, generator=seeded(2))
    r = torch.randn(5, generator=seeded(3))
    with torch.no_grad():
        found = network.along(path, r)
        alone = torch.stack([network(path.x[t], t) for t in range(1, T + 1)])
    assert found.shape == (T + 1, 5) and torch.equal(found[0], r)
    torch.testing.assert_close(found[1:], alone, rtol=1e-4, atol=1e-4)
    assert alone.std(0).min() > 0.01 and alone.std(1).min() > 0.01, "every row and every column is another"


def test_its_first_weights_are_the_generators():
    first, second, other = (stirred(critic(seed))(torch.ones(1, 2), 1) for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_images_are_refused_with_what_needs_no_critic():
    with pytest.raises(ValueError, match=r"points \[D\], got data of shape \[1, 8, 8\]; none is needed by soft_ppo"):
        ValueNetwork(image_chain(), generator=seeded(0))
