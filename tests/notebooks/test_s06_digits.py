"""What the images notebook says of a tuned policy: drawn from the pretrained noise, and measured against the bank."""

import functools
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import Rectangle

from tutorial_lib import plots, worlds
from tutorial_lib.metrics import rollout_with_kl
from tutorial_lib.notebooks.s06_digits import figures, study, view
from tutorial_lib.policies import rollout
from tutorial_lib.worlds import described, digits_rewards, optimal_standing

from ..oracles import seeded


@pytest.fixture(scope="module")
def found():
    """Two results of 40 paths; the caches are as before."""
    fewer = functools.cache(study.pretrained_digits.__wrapped__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "PATHS", 40)
        for module in (study, figures):
            patch.setattr(module, "pretrained_digits", fewer)
        yield {name: study.result.__wrapped__(name) for name in ("ink", "few_labels")}


def test_a_result_is_the_shipped_policy_on_the_pretrained_noise(found):
    here, policy = found["ink"], worlds.shipped.digits_at_one_alpha("ink")
    path, kl = rollout_with_kl(policy, 40, generator=seeded(study.SEED))
    torch.testing.assert_close(here.x_0, path.x_0, atol=1e-5, rtol=1e-5)
    assert here.after.kl == pytest.approx(kl.mean().item(), rel=1e-4)
    assert torch.equal(study.pretrained_digits(), rollout(policy.pretrained, 40, generator=seeded(study.SEED)).x_0)
    walls = here.walls
    assert len(walls.before) == len(walls.after) == study.SIDE**2 and (walls.rewards_before.diff() >= 0).all()


def test_the_share_of_the_gain_is_that_of_the_mean_objective(found):
    """Straight from J = E[r] − α Σ log-ratio and the bank, with no frontier in between."""
    here = found["ink"]
    policy, alpha, bank = worlds.shipped.digits_at_one_alpha("ink"), here.world.alpha, digits_rewards()["ink"].double()
    path = rollout(policy, 40, generator=seeded(study.SEED))
    J = (path.x_0.mean((1, 2, 3)) + 1) / 2 - alpha * policy.log_ratio(path).sum(0)
    best = alpha * ((bank / alpha).logsumexp(0) - math.log(len(bank)))
    gain = float(best - bank.mean())
    assert here.gained[0] == pytest.approx((J.mean().item() - bank.mean().item()) / gain, abs=2e-3)
    assert here.gained[1] == pytest.approx(J.std().item() / 40**0.5 / gain, rel=1e-2)
    assert here.rise[0] == pytest.approx((here.after.reward - bank.mean().item()) / bank.std().item(), rel=1e-3)


def test_the_optimum_s_standing_is_that_of_a_resampled_bank(found):
    bank, here = digits_rewards(), found["few_labels"]
    weights = (bank["few_labels"].double() / here.world.alpha).softmax(0)
    chosen = torch.multinomial(weights, 20_000, replacement=True, generator=seeded(0))
    shares = bank["label"][chosen].bincount(minlength=10) / 20_000
    optimum, r = here.optimum, bank["few_labels"][chosen]
    assert optimum.classes == pytest.approx(torch.special.entr(shares).sum().item(), abs=0.03)
    assert optimum.nearest == pytest.approx(bank["nearest"][chosen].float().mean().item(), abs=0.03)
    assert optimum.reward == pytest.approx(r.mean().item(), abs=0.01)
    assert optimum.kl == pytest.approx((weights[chosen] * len(bank["label"])).log().mean().item(), abs=0.05)
    assert optimum.apart < here.before.apart
    assert here.after.nearest == pytest.approx(described(here.x_0)["nearest"].mean().item(), abs=1e-4)


def test_the_distance_at_the_optimum_of_a_huge_alpha_is_the_pretrained_one(found):
    here = found["ink"]
    loose = optimal_standing("ink", 1e3)
    assert loose.apart == pytest.approx(here.before.apart, rel=0.03) and loose.kl == pytest.approx(0, abs=1e-3)


def test_the_pictures_show_every_reward(found):
    tastes, frontiers, variety = figures.show_tastes(found), figures.show_frontiers(found), figures.show_variety(found)
    assert [ax.get_title() for ax in tastes.axes] == ["pretrained", "ink", "few labels"]
    shown = np.asarray(tastes.axes[1].images[0].get_array())
    np.testing.assert_array_equal(shown, plots.wall(found["ink"].x_0[:16], columns=4))
    gains = [f"{name}\n{found[key].gained[0]:.0%}" for name, key in (("ink", "ink"), ("few labels", "few_labels"))]
    assert [text.get_text() for text in frontiers.axes[-1].get_yticklabels()] == gains
    heights = [bar.get_height() for bar in variety.axes[0].patches if isinstance(bar, Rectangle)]
    assert heights[4:] == [here.optimum.classes for here in found.values()]
    plt.close("all")


def test_every_policy_stands_where_it_was_measured(found):
    """The frontiers' points and error bars, the gains' bars, and all bars of variety, against the standings."""
    frontiers, variety = figures.show_frontiers(found), figures.show_variety(found)
    for ax, here in zip(frontiers.axes, found.values(), strict=False):
        best = here.frontier.at(here.world.alpha)
        points = {(float(x), float(y)) for line in ax.lines for x, y in zip(*line.get_data(), strict=True)}
        for point in ((here.before.kl, here.before.reward), (here.after.kl, here.after.reward), (best.kl, best.reward)):
            assert point in points
        assert ax.get_title() == here.name.replace("_", " ")
    bars = [bar for bar in frontiers.axes[-1].patches if isinstance(bar, Rectangle)]
    assert [bar.get_width() for bar in bars] == [here.gained[0] for here in found.values()]
    for ax, key in zip(variety.axes, ("classes", "apart", "nearest"), strict=True):
        heights = [bar.get_height() for bar in ax.patches if isinstance(bar, Rectangle)]
        roles = [[getattr(here, role) for here in found.values()] for role in ("before", "after", "optimum")]
        assert heights == [getattr(standing, key) for role in roles for standing in role]
    colors = [variety.axes[0].patches[2 * k].get_facecolor()[:3] for k in range(3)]
    assert colors == [to_rgb(color) for color in (plots.PRETRAINED, plots.TUNED, plots.TARGET)]
    plt.close("all")


@pytest.mark.parametrize("name", ["ink", "few_labels"])
def test_the_menus_picture_is_that_of_its_reward(found, name):
    here = found[name]
    before, after, point = view.show(here).axes
    r = here.world.reward(study.pretrained_digits()[:36])
    order = r.argsort()
    walls = study.pretrained_digits()[:36][order], here.x_0[:36][order]
    for ax, images in zip((before, after), walls, strict=True):
        np.testing.assert_array_equal(np.asarray(ax.images[0].get_array()), plots.wall(images, columns=6))
    rise = (here.after.reward - here.before.reward) / float(here.frontier.rewards.std())
    assert point.get_title().startswith(f"{name.replace('_', ' ')}: up by {rise:.2f} ±")
    drawn = {(float(x), float(y)) for line in point.lines for x, y in zip(*line.get_data(), strict=True)}
    assert {(here.before.kl, here.before.reward), (here.after.kl, here.after.reward)} <= drawn
    plt.close("all")


def test_a_still_is_the_menus_picture(found, monkeypatch):
    monkeypatch.setattr(view, "result", found.__getitem__)
    view.frame.cache_clear()
    assert view.still().data == view.frame("ink") != view.still(reward="few_labels").data
    with pytest.raises(TypeError, match="alpha"):
        view.still(alpha=1.0)
    view.frame.cache_clear()


def test_the_ranges_are_the_quantiles_of_each_reward():
    images, _ = worlds.digit_images()
    reward = worlds.digits().rewards["ink"]
    here = study.ranges(images[:101], {"ink": reward})["ink"]
    assert torch.equal(here.values, reward(images[:101]))
    ordered = images[:101][here.values.argsort()]
    assert torch.equal(here.images, ordered[[0, 10, 30, 50, 70, 90, 100]])
    figure = figures.show_ranges({"ink": here})
    (ax,) = figure.axes
    assert sum(bar.get_height() for bar in ax.patches) == 101 and ax.get_title() == "ink"
    for frame, image, share in zip(ax.child_axes, here.images, study.QUANTILES, strict=True):
        shown = np.asarray(frame.images[0].get_array())
        np.testing.assert_array_equal(shown, plots.wall(image.unsqueeze(0), columns=1))
        assert frame.texts[0].get_text() == f"{share:.0%}"
    plt.close("all")


def test_the_gallery_shows_each_wall_and_its_two_signs():
    images, labels = worlds.digit_images()
    ones, white = images[labels == 1][:36], torch.ones(36, 1, 8, 8)
    walls = {"healthy": images[:36], "collapsed: ones alone": ones, "hacked": white}
    usual = study.usual_signs(36, batches=4)
    second = torch.tensor(study.warning_signs(worlds.digits_bank()[36:72]))
    assert usual.shape == (4, 2) and torch.equal(usual[1], second)
    *pictures, signs = figures.show_gallery(walls, usual).axes
    expected = []
    for ax, (name, drawn) in zip(pictures, walls.items(), strict=True):
        np.testing.assert_array_equal(np.asarray(ax.images[0].get_array()), plots.wall(drawn, columns=6))
        assert ax.get_title() == name
        seen = described(drawn)
        shares = seen["label"].bincount() / 36
        expected.append((torch.special.entr(shares).sum().item(), seen["nearest"].mean().item()))
    cloud, low, high, *points = [np.array(line.get_data(), dtype=float) for line in signs.lines]
    np.testing.assert_allclose(cloud, usual.T)
    assert low[0, 0] == pytest.approx(float(usual[:, 0].min()))
    assert high[1, 0] == pytest.approx(float(usual[:, 1].max()))
    np.testing.assert_allclose(np.concatenate(points, 1).T, expected, rtol=1e-5)
    assert [text.get_text() for text in signs.texts] == ["healthy", "collapsed", "hacked"]
    assert expected[1][0] < low[0, 0] and expected[2][1] > high[1, 0] and expected[0][0] > low[0, 0]
    plt.close("all")


def test_the_menu_changes_picture_and_words(found, monkeypatch):
    monkeypatch.setattr(view, "result", found.__getitem__)
    monkeypatch.setattr(view, "REWARDS", tuple(found))
    view.frame.cache_clear()
    box = view.play()
    controls, image, text = box.children
    menu = controls.children[0].children[0]
    before = image.value, text.value
    menu.value = "few_labels"
    assert image.value != before[0] and f"{found['few_labels'].after.reward:.3f}" in text.value
    view.frame.cache_clear()


def test_the_menu_offers_every_reward_of_the_world():
    assert tuple(worlds.digits().rewards) == study.REWARDS
    with pytest.raises(ValueError, match="unknown reward 'taste'"):
        view.still(reward="taste")


def test_the_gains_and_the_variety_carry_their_errors_and_their_places(found):
    gains, variety = figures.show_frontiers(found).axes[-1], figures.show_variety(found)
    (bars,) = [container for container in gains.containers if isinstance(container, ErrorbarContainer)]
    lengths = np.ptp(np.array(bars.lines[2][0].get_segments()), axis=1)
    np.testing.assert_allclose(lengths[:, 0], [4 * here.gained[1] for here in found.values()])
    for ax, key in zip(variety.axes, ("classes_se", "apart_se", "nearest_se"), strict=True):
        drawn = [container for container in ax.containers if isinstance(container, ErrorbarContainer)]
        for container, role, away in zip(drawn, ("before", "after", "optimum"), (-0.27, 0, 0.27), strict=True):
            ends = np.array(container.lines[2][0].get_segments())
            expected = [4 * getattr(getattr(here, role), key) for here in found.values()]
            np.testing.assert_allclose(np.ptp(ends[..., 1], axis=1), expected, atol=1e-9)
            np.testing.assert_allclose(ends[:, 0, 0], np.arange(2) + away)
    plt.close("all")


def test_the_table_has_both_policies_and_the_optimum(found):
    here = found["ink"]
    _, before, after, optimum, last = study.table(here).splitlines()
    for row, name, seen in ((before, "pretrained", here.before), (after, "tuned", here.after)):
        assert row.startswith(name) and f"{seen.reward:.3f} ± {seen.reward_se:.3f}" in row
    assert optimum.startswith("optimum") and f"{here.optimum.kl:.2f} ±" in optimum
    assert last.startswith("α = 0.02;") and f"quieter: {here.gained[0]:.0%} ± {here.gained[1]:.0%}" in last
