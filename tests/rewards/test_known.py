"""The known rewards at points worked out by hand, and their names."""

import math
import zlib

import pytest
import torch

from tutorial_lib import rewards
from tutorial_lib.rewards import disc, half_plane, peak

from ..oracles import seeded


def test_a_peak_falls_as_the_squared_distance_in_units_of_its_width():
    x = torch.tensor([[1.0, -2.0], [4.0, 2.0], [1.0, 1.0]])
    assert peak((1.0, -2.0))(x).tolist() == pytest.approx([0, -25, -9])
    assert peak((1.0, -2.0), width=2.0)(x).tolist() == pytest.approx([0, -25 / 4, -9 / 4])
    assert peak((0.0, 0.0))(x.double()).dtype == torch.float64


def test_a_half_plane_is_a_sigmoid_of_the_distance_to_its_line():
    """n = (3, 4)/5: the distance of (3, 4) to n·x = 2 is 3, that of (−4, 3) is −2, and (1.2, 1.6) lies on it."""
    x = torch.tensor([[3.0, 4.0], [-4.0, 3.0], [1.2, 1.6]])
    expected = [1 / (1 + math.exp(-d / 0.5)) for d in (3.0, -2.0, 0.0)]
    for length in (1.0, 10.0, 0.01):
        reward = half_plane((3 * length, 4 * length), offset=2.0, softness=0.5)
        assert reward(x).tolist() == pytest.approx(expected, rel=1e-5)
    assert half_plane((0.0, 1.0))(torch.tensor([[9.0, 0.25]])).item() == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_disc_is_one_inside_and_zero_outside():
    x = torch.tensor([[1.0, 1.0], [1.0, 1.49], [1.0, 1.51], [0.6, 0.6], [0.7, 0.7]])
    assert disc((1.0, 1.0), radius=0.5)(x).tolist() == [1, 1, 0, 0, 1]
    assert disc((1.0, 1.0))(torch.tensor([[1.0, 1.9], [1.0, 2.1]])).tolist() == [1, 0]


def test_the_compressed_size_is_minus_the_bytes_of_zlib_in_black_and_white():
    x = torch.randn(4, 1, 8, 8, generator=seeded(0))
    sizes = [-len(zlib.compress(bytes(int(p > 0) for p in image.flatten().tolist()), 9)) for image in x]
    assert rewards.compressed_size(x).tolist() == sizes and len(set(sizes)) > 1


def test_each_says_its_name():
    made = {"peak": peak((0, 0)), "half_plane": half_plane((0, 1)), "disc": disc((0, 0))}
    assert {name: rewards.name_of(reward) for name, reward in made.items()} == {name: name for name in made}
