"""What α trades on digits: the study's answers over their whole range."""

import math
import random

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.exact import Frontier
from tutorial_lib.metrics import evaluate
from tutorial_lib.notebooks.s00_start_here import digits_study as study
from tutorial_lib.notebooks.s00_start_here import digits_view as view
from tutorial_lib.policies import glimpse
from tutorial_lib.rewards import ink

from ..oracles import seeded

every_reward = pytest.mark.parametrize("reward", study.REWARDS)
shipped = pytest.mark.parametrize("reward", worlds.shipped.DIGITS)


@every_reward
def test_the_wall_gains_reward_and_loses_samples_as_alpha_falls(reward):
    scene = study.scene(reward)
    low, high = study.alpha_range(reward)
    sizes, rewards = [], []
    for alpha in torch.logspace(math.log10(high), math.log10(low), 20).tolist():
        images, point = study.bank_at(scene, alpha)
        assert images.shape == (study.WALL, 1, 8, 8)
        sizes.append(point.size)
        rewards.append(point.reward)
    assert rewards == sorted(rewards) and sizes == sorted(sizes, reverse=True)


def test_the_wall_has_the_tilted_mean_reward():
    images, point = study.bank_at(study.scene("ink"), 0.05)
    assert abs(ink(images).mean().item() - point.reward) < 0.01


def test_300_random_settings_of_the_wall():
    settings = random.Random(1)
    for _ in range(300):
        reward = settings.choice(study.REWARDS)
        scene = study.scene(reward)
        low, high = (math.log(a) for a in study.alpha_range(reward))
        images, point = study.bank_at(scene, math.exp(settings.uniform(low, high)))
        assert images.shape == (study.WALL, 1, 8, 8) and torch.isfinite(images).all()
        assert 1 <= point.size <= len(scene.frontier.rewards) and point.kl >= 0


@shipped
def test_the_live_wall_glides_and_gains_reward_as_alpha_falls(reward):
    scene = study.scene(reward)
    low, high = worlds.shipped.DIGITS[reward]
    walls = [study.tuned_at(scene, alpha) for alpha in (high, 2 * low, 1.9 * low)]
    means = [float(scene.reward(wall).mean()) for wall in walls]
    assert means[0] < means[1] < means[2]
    assert (walls[1] - walls[2]).flatten(1).norm(dim=1).median() < 0.5
    assert (walls[0] - scene.pretrained).flatten(1).norm(dim=1).median() < 0.5, "at a large α little has changed"
    assert torch.equal(walls[1], study.tuned_at(scene, 2 * low))


@shipped
def test_beyond_the_policys_range_its_nearest_end_is_shown(reward):
    scene, (low, high) = study.scene(reward), worlds.shipped.DIGITS[reward]
    assert torch.equal(study.tuned_at(scene, low / 2), study.tuned_at(scene, low))
    assert study.tuned_point(scene, high * 2) == study.tuned_point(scene, high)
    said = view.in_words(scene, study.answer(scene, low / 2))
    assert f"trained for α from {low:g} up" in said


@shipped
def test_few_steps_draw_nearly_the_reward_of_all_the_steps(reward):
    """DDIM draws a little more of it than the chain that was tuned: less than a fifth of what the tuning brought."""
    scene, low = study.scene(reward), worlds.shipped.DIGITS[reward][0]
    policy, here = worlds.shipped.digits(reward).at(2 * low), study.tuned_point(scene, 2 * low)
    few = scene.reward(glimpse(policy, 300, steps=study.STEPS, generator=seeded(0)))
    gained = here.reward - float(scene.frontier.rewards.mean())
    error = (here.reward_se**2 + float(few.var()) / 300) ** 0.5
    assert abs(float(few.mean()) - here.reward) < 0.2 * gained + 2 * error


@shipped
def test_the_tuned_policy_wins_most_of_what_there_is_and_stays_below_the_frontier(reward):
    scene, columns = study.scene(reward), worlds.shipped.digits_measured(reward)
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
    scene, columns = study.scene(reward), worlds.shipped.digits_measured(reward)
    alpha = float(columns["alpha"][1])
    report = evaluate(worlds.shipped.digits(reward).at(alpha), scene.reward, alpha=alpha, n=200, generator=seeded(5))
    error = (report.reward_se**2 + float(columns["reward_se"][1]) ** 2) ** 0.5
    assert abs(report.reward - float(columns["reward"][1])) < 4 * error


@shipped
def test_at_the_ends_and_between_what_was_measured_is_joined(reward):
    scene, columns = study.scene(reward), worlds.shipped.digits_measured(reward)
    names = ("kl", "kl_se", "reward", "reward_se")
    for i, alpha in enumerate(columns["alpha"].tolist()):
        here = study.tuned_point(scene, alpha)
        assert [getattr(here, name) for name in names] == pytest.approx([float(columns[name][i]) for name in names])
    low, high = columns["alpha"][:2].tolist()
    between, ends = study.tuned_point(scene, (low * high) ** 0.5), columns["kl"][:2].tolist()
    assert min(ends) < between.kl < max(ends)


@every_reward
def test_an_answer_holds_both_walls_and_both_places(reward):
    scene = study.scene(reward)
    for alpha in (study.alpha_range(reward)[0], 8 * study.alpha_range(reward)[0]):
        found = study.answer(scene, alpha)
        wall, best = study.bank_at(scene, alpha)
        assert torch.equal(found.wall, wall) and found.best == best and found.alpha == alpha
        if reward not in worlds.shipped.DIGITS:
            assert torch.equal(found.live, scene.pretrained) and found.attained is None and found.trained_at is None
            continue
        low, high = worlds.shipped.DIGITS[reward]
        assert found.trained_at == min(max(alpha, low), high)
        drawn = glimpse(worlds.shipped.digits(reward).at(found.trained_at), 36, steps=9, generator=seeded(0))
        assert torch.equal(found.live, drawn[by_pretrained_reward(scene)])
        assert found.attained == study.tuned_point(scene, alpha)


def by_pretrained_reward(scene):
    pretrained = worlds.digits().with_reward(scene.reward_name).pretrained
    with torch.no_grad():
        return scene.reward(glimpse(pretrained, 36, steps=9, generator=seeded(0))).argsort()


@every_reward
def test_the_scene_is_sorted_by_its_own_reward(reward):
    scene, world = study.scene(reward), worlds.digits().with_reward(reward)
    assert torch.equal(scene.order, by_pretrained_reward(scene))
    with torch.no_grad():
        assert (world.reward(scene.pretrained).diff() >= 0).all()
        some = world.reward(scene.images[::512])
    assert (some.diff() >= -1e-4).all() and some[-1] > some[0]
    torch.testing.assert_close(scene.bank.rewards[::512], some.double(), atol=1e-4, rtol=1e-4)
    assert (scene.measured is not None) == (reward in worlds.shipped.DIGITS)
    assert torch.equal(scene.frontier.rewards, worlds.digits_rewards()[reward].double())


@every_reward
def test_the_wall_is_the_bank_at_even_places_of_its_weight(reward):
    scene = study.scene(reward)
    alpha = 4 * study.alpha_range(reward)[0]
    wall, best = study.bank_at(scene, alpha)
    r = scene.bank.rewards
    share = ((r - r.max()) / alpha).exp()
    share = share.cumsum(0) / share.sum()
    for k in (0, 7, 20, 35):
        i = int((share < (k + 0.5) / 36).sum())
        assert torch.equal(wall[k], scene.images[i])
    weight = ((scene.frontier.rewards - scene.frontier.rewards.max()) / alpha).exp()
    weight /= weight.sum()
    assert best.reward == pytest.approx(float((weight * scene.frontier.rewards).sum()))
    kl = float((weight * (weight.clamp_min(1e-300) * len(weight)).log()).sum())
    assert best.kl == pytest.approx(kl, abs=1e-6) and best.size == pytest.approx(1 / float(weight.square().sum()))


def test_where_it_is_trusted_a_frontier_knows_its_error():
    """KL* of banks of 1,024 against all 65,536: off by their own standard errors with a hundred effective samples,
    by far more without."""
    rewards = worlds.digits_rewards()["ink"]
    off: dict[bool, list[float]] = {True: [], False: []}
    whole, banks = Frontier(rewards), [Frontier(part) for part in rewards.split(1024)]
    for alpha in (0.0125, 0.014, 0.032, 0.1, 1.0):
        points = [bank.at(alpha) for bank in banks]
        square = torch.tensor([(p.kl - whole.at(alpha).kl, p.kl_se) for p in points]).square().mean(0)
        for trusted in off:
            if all(p.trusted == trusted for p in points):
                off[trusted].append(float(square[0] / square[1]) ** 0.5)
    assert len(off[True]) == 3 and max(off[True]) < 1.3 and min(off[True]) > 0.7
    assert len(off[False]) == 2 and min(off[False]) > 2
