"""The walls pair what the same noise becomes; standings measure it; the pictures are drawn and say what they show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from tutorial_lib import plots
from tutorial_lib.denoisers import UNetDenoiser
from tutorial_lib.exact import Frontier
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy, rollout
from tutorial_lib.rewards import ink, symmetry
from tutorial_lib.schedules import NoiseSchedule
from tutorial_lib.worlds import described, digit_images, digits_rewards

from ..oracles import seeded


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


def test_a_standing_is_what_the_policy_attains_and_how_varied_it_is(walls):
    steered = SteeredPolicy(walls[0], Brighter())
    found = view.policy_standing(steered, ink, n=64, seed=5)
    report = evaluate(steered, ink, alpha=0.1, n=64, generator=seeded(5))
    assert (found.reward, found.reward_se) == pytest.approx((report.reward, report.reward_se), rel=1e-5)
    assert found.kl == pytest.approx(4 * 64 * 0.5**2 / 2) and found.kl_se == pytest.approx(0, abs=1e-5)
    images = digit_images()[0]
    one_each = torch.stack([images[described(images)["label"] == k][0] for k in range(10)])
    varied = view.standing(one_each, torch.arange(10.0), torch.zeros(10))
    assert varied.classes == pytest.approx(np.log(10), abs=1e-5) and varied.nearest == pytest.approx(0, abs=1e-2)
    assert varied.reward == 4.5 and varied.reward_se == pytest.approx(np.arange(10).std(ddof=1) / 10**0.5)
    white = view.standing(torch.ones(8, 1, 8, 8), torch.ones(8), torch.zeros(8))
    assert white.classes == white.apart == 0 and white.nearest > 5


def test_the_bank_itself_stands_on_the_frontier_and_what_is_better_above_it():
    found, frontier = view.pretrained_standing("ink", n=64), Frontier(digits_rewards()["ink"].float())
    excess, error = found.above(frontier)
    assert excess == pytest.approx(0, abs=1e-5) and 0 < error < 1e-3
    best = frontier.at(0.02)
    lucky = view.Standing(best.reward + 0.1, 0.003, best.kl, 0.2, 2.0, 0.1, 8.0, 0.1, 2.0, 0.1)
    excess, error = lucky.above(frontier)
    assert excess == pytest.approx(0.1, abs=1e-5)
    assert error == pytest.approx((0.003**2 + (0.02 * 0.2) ** 2 + best.objective_se**2) ** 0.5, rel=1e-3)


def test_standings_are_told_and_drawn_where_they_are():
    frontier = Frontier(digits_rewards()["ink"].float())
    tuned = view.Standing(0.35, 0.002, 1.5, 0.1, 2.1, 0.1, 8.2, 0.1, 2.05, 0.1)
    found = {"pretrained": view.pretrained_standing("ink", n=64), "tuned": tuned}
    told = view.standings_table(found, frontier, 0.02).splitlines()
    gain = frontier.at(0.02).objective - float(frontier.rewards.mean())
    share, error = (0.35 - 0.02 * 1.5 - float(frontier.rewards.mean())) / gain, (0.002**2 + 0.002**2) ** 0.5 / gain
    assert tuned.share(frontier, 0.02) == pytest.approx((share, error))
    assert len(told) == 3 and "0.350 ± 0.002" in told[2] and "1.50 ± 0.100" in told[2]
    assert f"{share:.0%} ± {error:4.0%}" in told[2]
    figure, ax = plt.subplots()
    view.show_standings(ax, frontier, found, alpha=0.02, title="x")
    assert {"pretrained", "tuned", "optimum at α = 0.02"} == {text.get_text() for text in ax.texts}
    (point,) = [line for line in ax.lines if np.array_equal(np.asarray(line.get_xydata()), [[1.5, 0.35]])]
    assert point.get_color() == plots.TUNED
    plt.close(figure)


def test_the_warning_signs_are_silent_on_digits_and_fire_on_failures():
    real, white = digit_images()[0], torch.ones(16, 1, 8, 8)
    usual = view.usual_signs(16, batches=50)
    assert usual.shape == (50, 2)
    lowest, furthest = usual[:, 0].min(), usual[:, 1].max()
    entropy, nearest = view.warning_signs(real[100:116])
    assert entropy > lowest and nearest < furthest
    entropy, nearest = view.warning_signs(real[:1].repeat(16, 1, 1, 1))  # one digit, sixteen times
    assert entropy == 0 < lowest and nearest < furthest
    assert view.warning_signs(white)[1] > 2 * furthest


def test_the_gallery_shows_each_wall_and_its_signs():
    walls = {"fine": digit_images()[0][:9], "white": torch.ones(9, 1, 8, 8)}
    figure = view.show_gallery(walls, view.usual_signs(9, batches=5))
    *pictures, signs = figure.axes
    assert len(pictures) == 2 and all(ax.images for ax in pictures)
    placed = {tuple(np.asarray(line.get_xydata())[0]) for line in signs.lines}
    assert {view.warning_signs(images) for images in walls.values()} <= placed
    assert {text.get_text() for text in signs.texts} == set(walls)
    plt.close(figure)
