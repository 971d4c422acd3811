"""The digits' playground: its pure functions over their whole range, and its picture."""

import math
import random

import ipywidgets as ui
import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.metrics import evaluate
from tutorial_lib.notebooks.s00_start_here import digits_view as playground
from tutorial_lib.policies import glimpse
from tutorial_lib.rewards import ink

from ..oracles import seeded

every_reward = pytest.mark.parametrize("reward", playground.REWARDS)
shipped = pytest.mark.parametrize("reward", worlds.shipped.DIGITS)


@every_reward
def test_the_wall_gains_reward_and_loses_samples_as_alpha_falls(reward):
    scene = playground.scene(reward)
    low, high = playground.alpha_range(reward)
    sizes, rewards = [], []
    for alpha in torch.logspace(math.log10(high), math.log10(low), 20).tolist():
        images, point = playground.bank_at(scene, alpha)
        assert images.shape == (playground.WALL, 1, 8, 8)
        sizes.append(point.size)
        rewards.append(point.reward)
    assert rewards == sorted(rewards) and sizes == sorted(sizes, reverse=True)


def test_the_wall_has_the_tilted_mean_reward():
    images, point = playground.bank_at(playground.scene("ink"), 0.05)
    assert abs(ink(images).mean().item() - point.reward) < 0.01


def test_300_random_settings_of_the_wall():
    settings = random.Random(1)
    for _ in range(300):
        reward = settings.choice(playground.REWARDS)
        scene = playground.scene(reward)
        low, high = (math.log(a) for a in playground.alpha_range(reward))
        images, point = playground.bank_at(scene, math.exp(settings.uniform(low, high)))
        assert images.shape == (playground.WALL, 1, 8, 8) and torch.isfinite(images).all()
        assert 1 <= point.size <= len(scene.frontier.rewards) and point.kl >= 0


@shipped
def test_the_live_wall_glides_and_gains_reward_as_alpha_falls(reward):
    scene = playground.scene(reward)
    low, high = worlds.shipped.DIGITS[reward]
    walls = [playground.tuned_at(scene, alpha) for alpha in (high, 2 * low, 1.9 * low)]
    means = [float(scene.reward(wall).mean()) for wall in walls]
    assert means[0] < means[1] < means[2]
    assert (walls[1] - walls[2]).flatten(1).norm(dim=1).median() < 0.5
    assert (walls[0] - scene.pretrained).flatten(1).norm(dim=1).median() < 0.5, "at a large α little has changed"
    assert torch.equal(walls[1], playground.tuned_at(scene, 2 * low))


@shipped
def test_beyond_the_policys_range_its_nearest_end_is_shown(reward):
    scene, (low, high) = playground.scene(reward), worlds.shipped.DIGITS[reward]
    assert torch.equal(playground.tuned_at(scene, low / 2), playground.tuned_at(scene, low))
    assert playground.tuned_point(scene, high * 2) == playground.tuned_point(scene, high)
    said = playground.in_words(scene, low / 2, scene.frontier.at(low / 2))
    assert f"trained for α from {low:g} up" in said


@shipped
def test_few_steps_draw_nearly_the_reward_of_all_the_steps(reward):
    """DDIM draws a little more of it than the chain that was tuned: less than a fifth of what the tuning brought."""
    scene, low = playground.scene(reward), worlds.shipped.DIGITS[reward][0]
    policy, here = worlds.shipped.digits(reward).at(2 * low), playground.tuned_point(scene, 2 * low)
    few = scene.reward(glimpse(policy, 300, steps=playground.STEPS, generator=seeded(0)))
    gained = here["reward"] - float(scene.frontier.rewards.mean())
    error = (here["reward_se"] ** 2 + float(few.var()) / 300) ** 0.5
    assert abs(float(few.mean()) - here["reward"]) < 0.2 * gained + 2 * error


@shipped
def test_the_tuned_policy_wins_most_of_what_there_is_and_stays_below_the_frontier(reward):
    scene, columns = playground.scene(reward), worlds.shipped.digits_measured(reward)
    before, above = float(scene.frontier.rewards.mean()), []
    for alpha, J, error in zip(
        *(columns[name].tolist() for name in ("alpha", "objective", "objective_se")), strict=True
    ):
        best = scene.frontier.at(alpha)
        gain = best.objective - before
        if best.trusted:
            assert J < best.objective + 4 * (error**2 + best.objective_se**2) ** 0.5
        if best.trusted and error < 0.05 * gain:
            above.append((J - before + 2 * error) / gain)
    assert len(above) >= 3 and min(above) > 0.7, "a share of 0.7, within two standard errors"


@shipped
def test_what_was_measured_is_what_the_shipped_policy_does(reward):
    scene, columns = playground.scene(reward), worlds.shipped.digits_measured(reward)
    alpha = float(columns["alpha"][1])
    report = evaluate(worlds.shipped.digits(reward).at(alpha), scene.reward, alpha=alpha, n=200, generator=seeded(5))
    error = (report.reward_se**2 + float(columns["reward_se"][1]) ** 2) ** 0.5
    assert abs(report.reward - float(columns["reward"][1])) < 4 * error


def test_a_picture_and_words_for_a_reward_without_a_policy():
    shown = playground.view("compressed_size")
    point = shown.draw(2.0)
    assert "no live wall" in playground.in_words(shown.scene, 2.0, point)
    assert shown.here.get_xdata().tolist() == []


def test_the_menu_brings_the_rewards_own_range_of_alpha():
    box = playground.explore()
    controls = {control.description: control for column in box.children[0].children for control in column.children}
    image, text = box.children[1:]
    assert isinstance(image, ui.Image) and isinstance(text, ui.HTML)
    before, said = image.value, text.value
    controls["reward of the digits"].value = "log_probability"
    low, high = playground.alpha_range("log_probability")
    alpha = controls["α on digits"]
    assert (alpha.min, alpha.max) == pytest.approx((math.log10(low), math.log10(high)))
    assert image.value != before and text.value != said
