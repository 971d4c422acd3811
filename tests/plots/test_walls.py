"""Walls, slopes and standings: every artist against arrays made apart from the pictures, for two sets of them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import same_color, to_rgba

from tutorial_lib import plots
from tutorial_lib.exact import Frontier
from tutorial_lib.metrics import Pairs, Standing
from tutorial_lib.worlds import digits_rewards, pretrained_standing

from ..oracles import seeded
from .artists import errorbars, pixels, points, title, words


def tiles(images, columns):
    """The wall by hand: ink is black (0), paper white (1), and a white line follows every row and column."""
    height, width = images.shape[-2] + 1, images.shape[-1] + 1
    rows = -(-len(images) // columns)
    whole = np.ones((rows * height, columns * width))
    for place, image in enumerate(images[:, 0]):
        row, column = divmod(place, columns)
        paper = 1 - ((image + 1) / 2).clamp(0, 1).numpy()
        whole[row * height : row * height + height - 1, column * width : column * width + width - 1] = paper
    return whole


def pairs(seed, n=9):
    before, after = 3 * torch.rand(2, n, 1, 8, 8, generator=seeded(seed)) - 1.5
    scores = torch.randn(2, n, generator=seeded(seed + 1))
    return Pairs(before, after, scores[0].sort().values, scores[1])


@pytest.mark.parametrize(("n", "columns"), [(9, 3), (7, 3), (2, 4)])
def test_a_wall_puts_each_image_in_its_place(n, columns):
    images = 3 * torch.rand(n, 1, 8, 6, generator=seeded(n)) - 1.5
    np.testing.assert_allclose(plots.wall(images, columns=columns), tiles(images, columns), atol=1e-7)
    figure, ax = plt.subplots()
    picture = plots.show_wall(ax, images, columns=columns, title="x")
    np.testing.assert_allclose(pixels(picture), tiles(images, columns), atol=1e-7)
    assert picture.origin == "upper" and picture.get_clim() == (0, 1) and picture.get_cmap().name == "gray"
    assert title(ax) == "x"
    plt.close(figure)


@pytest.mark.parametrize("seed", [0, 5])
def test_the_walls_are_drawn_with_their_means(seed):
    found = pairs(seed)
    figure = plots.show_walls(found, reward="ink", method="steered")
    left, right, lines = figure.axes
    for ax, images, r, name in (
        (left, found.before, found.rewards_before, "pretrained"),
        (right, found.after, found.rewards_after, "steered"),
    ):
        assert title(ax) == f"{name}: mean ink {float(r.double().mean()):.3g}"
        np.testing.assert_allclose(pixels(ax.images[0]), tiles(images, 3), atol=1e-7)
    better = sum(b > a for a, b in zip(found.rewards_before, found.rewards_after, strict=True)) / 9
    assert title(lines) == f"Higher in {float(better):.0%} of paths" and lines.get_ylabel() == "ink"
    assert words(lines.get_xticklabels()) == ["pretrained", "steered"]
    plt.close(figure)


@pytest.mark.parametrize("seed", [0, 5])
def test_a_slope_goes_from_before_to_after(seed):
    found = pairs(seed)
    figure, ax = plt.subplots()
    plots.slopes(ax, found, "ink")
    *joined, before, after = ax.lines
    ends = torch.stack([found.rewards_before, found.rewards_after], 1).numpy()
    drawn = np.stack([points(line) for line in joined])
    np.testing.assert_array_equal(drawn[..., 0], [[0, 1]] * 9)
    np.testing.assert_array_equal(drawn[..., 1], ends.astype(float))
    for dots, side, color in ((before, 0, plots.PRETRAINED), (after, 1, plots.TUNED)):
        np.testing.assert_array_equal(points(dots), np.stack([np.full(9, side), ends[:, side]], 1).astype(float))
        assert dots.get_color() == color and dots.get_linestyle() == "None"
    plt.close(figure)


@pytest.mark.parametrize(("reward", "alpha", "at"), [("ink", 0.02, (1.5, 0.35)), ("few_labels", 0.08, (2.0, 0.9))])
def test_standings_are_drawn_where_they_are(reward, alpha, at):
    frontier = Frontier(digits_rewards()[reward].float())
    before = pretrained_standing(reward, n=64)
    tuned = Standing(at[1], 0.004, at[0], 0.1, 2.1, 0.1, 8.2, 0.1, 2.05, 0.1)
    figure, ax = plt.subplots()
    plots.show_standings(ax, frontier, {"pretrained": before, "tuned": tuned}, alpha=alpha, title="x")
    assert {"pretrained", "tuned", f"optimum at α = {alpha:g}"} == set(words(ax.texts))
    assert title(ax) == "x"

    first, second = ax.containers
    for container, here, color in ((first, before, plots.PRETRAINED), (second, tuned, plots.TUNED)):
        at, (across, up) = errorbars(container)
        np.testing.assert_allclose(at, [[here.kl, here.reward]])
        np.testing.assert_allclose(across, [[4 * here.kl_se, 0]], atol=1e-12)
        np.testing.assert_allclose(up, [[0, 4 * here.reward_se]], atol=1e-12)
        assert container[0].get_color() == color

    weights = (digits_rewards()[reward].double() / alpha).softmax(0)
    r = digits_rewards()[reward].float().double()
    best = float(weights @ r)
    (star,) = [line for line in ax.lines if line.get_marker() == "*"]
    nats = float((weights * (weights * len(weights)).log()).sum())
    np.testing.assert_allclose(points(star), [[nats, best]], rtol=1e-3)
    assert star.get_color() == plots.TARGET
    plt.close(figure)


def test_the_frontier_beneath_standings_is_the_bank_s():
    frontier = Frontier(digits_rewards()["ink"].float())
    figure, ax = plt.subplots()
    plots.show_standings(ax, frontier, {"pretrained": pretrained_standing("ink", n=64)}, alpha=0.02)
    curve = ax.lines[0]
    assert curve.get_linestyle() == "--" and same_color(curve.get_color(), plots.TARGET)
    kl, top = points(curve).T
    assert (np.diff(kl) > 0).all() and (np.diff(top) > 0).all() and kl[-1] == pytest.approx(1.15 * 1.62, rel=0.1)
    for nats, height in list(zip(kl, top, strict=True))[5::20]:
        assert height == pytest.approx(frontier.best_reward(float(nats)), abs=1e-4)
    (band,) = [fill for fill in ax.collections if fill.get_alpha() == 0.3]
    assert same_color(np.asarray(band.get_facecolor())[0], to_rgba(plots.TARGET, 0.3))
    edge = np.asarray(band.get_paths()[0].vertices)
    at_end = edge[np.isclose(edge[:, 0], kl[-1]), 1]
    wide = frontier.at_kl(float(kl[-1])).objective_se
    assert (at_end.min(), at_end.max()) == pytest.approx((top[-1] - 2 * wide, top[-1] + 2 * wide), rel=1e-4)
    plt.close(figure)


def test_untrusted_ends_of_the_frontier_are_left_out():
    """Of 300 samples, the cold end rests on fewer than a hundred."""
    frontier = Frontier(torch.randn(300, generator=seeded(0)))
    figure, ax = plt.subplots()
    far = Standing(2.5, 0.1, 4.0, 0.1, 2.0, 0.1, 8.0, 0.1, 2.0, 0.1)
    plots.show_standings(ax, frontier, {"far": far}, alpha=1.0)
    last = float(points(ax.lines[0])[-1, 0])
    assert last < 4 and 100 <= frontier.at_kl(last).size < 120
    plt.close(figure)
