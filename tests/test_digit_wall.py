"""The walls pair what the same noise becomes; the pictures are drawn and say what they show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from tutorial_lib.denoisers import UNetDenoiser
from tutorial_lib.digit_data import digit_images
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy, rollout
from tutorial_lib.rewards import ink, symmetry
from tutorial_lib.schedules import NoiseSchedule
from tutorial_lib.views import digit_wall as view

from .oracles import seeded


class Brighter(nn.Module):
    """A control that adds the same to every pixel of every step."""

    def forward(self, x_t, t):
        return torch.full_like(x_t, 0.5)


@pytest.fixture(scope="module")
def walls():
    torch.manual_seed(0)
    denoiser = UNetDenoiser(NoiseSchedule.cosine(4), channels=(8, 8, 8)).requires_grad_(False)
    pretrained = DenoisingPolicy(denoiser, denoiser.schedule)
    return pretrained, view.before_after(pretrained, SteeredPolicy(pretrained, Brighter()), ink, n=9, seed=3)


def test_a_place_on_the_walls_is_one_noise_and_the_worst_comes_first(walls):
    pretrained, found = walls
    drawn = rollout(pretrained, 9, generator=seeded(3)).x_0
    order = ink(drawn).argsort()
    assert torch.equal(found.before, drawn[order]) and torch.equal(found.rewards_before, ink(drawn)[order])
    assert (found.rewards_before.diff() >= 0).all()
    torch.testing.assert_close(found.rewards_after, ink(found.after))
    assert (found.rewards_after > found.rewards_before).all()
    same = view.before_after(pretrained, pretrained, ink, n=9, seed=3)
    assert torch.equal(same.before, same.after)


def test_the_walls_are_drawn_with_their_means(walls):
    figure = view.show_walls(walls[1], reward="ink", method="steered")
    left, right, lines = figure.axes
    assert f"{float(walls[1].rewards_before.mean()):.3g}" in left.get_title(loc="left") + left.get_title()
    assert "steered" in right.get_title(loc="left") + right.get_title()
    assert "100%" in lines.get_title(loc="left") + lines.get_title()
    before, after = (np.asarray(ax.images[0].get_array()) for ax in (left, right))
    assert before.shape == after.shape == (27, 27) and (before != after).any()
    plt.close(figure)


def test_the_ranges_show_an_image_at_every_quantile_lowest_first():
    images = digit_images()[0][:300]
    figure = view.show_ranges(images, dict(ink=ink, symmetry=symmetry))
    assert len(figure.axes) == 2
    for ax, reward in zip(figure.axes, (ink, symmetry), strict=True):
        shown = [torch.as_tensor(frame.images[0].get_array())[:-1, :-1] for frame in ax.child_axes]
        values = [reward(1 - 2 * picture[None, None].float()).item() for picture in shown]
        assert len(values) == len(view.QUANTILES) and values == sorted(values)
        assert values[0] == pytest.approx(reward(images).min().item(), abs=1e-5)
    plt.close(figure)


def test_an_empty_wall_is_refused(walls):
    with pytest.raises(ValueError, match="n must be a whole number ≥ 1, got 0"):
        view.before_after(walls[0], walls[0], ink, n=0)
