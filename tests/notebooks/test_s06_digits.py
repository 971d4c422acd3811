"""What the images notebook says of a tuned policy: drawn from the pretrained noise, and measured against the bank."""

import dataclasses
import functools
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from tutorial_lib import plots, worlds
from tutorial_lib.metrics import rollout_with_kl
from tutorial_lib.notebooks.s06_digits import view
from tutorial_lib.policies import rollout
from tutorial_lib.worlds import described, digits_rewards

from ..oracles import seeded


@pytest.fixture(scope="module")
def found():
    """Two results of 40 paths; the caches are as before."""
    kept = view.result, view.pretrained_digits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view, "PATHS", 40)
        patch.setattr(view, "pretrained_digits", functools.cache(kept[1].__wrapped__))
        yield {name: kept[0].__wrapped__(name) for name in ("ink", "few_labels")}


def test_a_result_is_the_shipped_policy_on_the_pretrained_noise(found):
    here, policy = found["ink"], worlds.shipped.digits_at_one_alpha("ink")
    path, kl = rollout_with_kl(policy, 40, generator=seeded(view.SEED))
    torch.testing.assert_close(here.x_0, path.x_0, atol=1e-5, rtol=1e-5)
    assert here.after.kl == pytest.approx(kl.mean().item(), rel=1e-4)
    assert torch.equal(view.pretrained_digits(), rollout(policy.pretrained, 40, generator=seeded(view.SEED)).x_0)
    walls = here.walls
    assert len(walls.before) == len(walls.after) == view.SIDE**2 and (walls.rewards_before.diff() >= 0).all()


def test_the_share_of_the_gain_is_that_of_the_mean_objective(found):
    """Straight from J = E[r] − α Σ log-ratio and the bank, with no frontier in between."""
    here = found["ink"]
    policy, alpha, bank = worlds.shipped.digits_at_one_alpha("ink"), here.world.alpha, digits_rewards()["ink"].double()
    path = rollout(policy, 40, generator=seeded(view.SEED))
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
    loose = view.optimal_standing(dataclasses.replace(here.world, alpha=1e3), here.frontier)
    assert loose.apart == pytest.approx(here.before.apart, rel=0.03) and loose.kl == pytest.approx(0, abs=1e-3)


def test_the_pictures_show_every_reward(found):
    tastes, frontiers, variety = view.show_tastes(found), view.show_frontiers(found), view.show_variety(found)
    assert [ax.get_title() for ax in tastes.axes] == ["pretrained", "ink", "few labels"]
    shown = np.asarray(tastes.axes[1].images[0].get_array())
    np.testing.assert_array_equal(shown, plots.wall(found["ink"].x_0[:16], columns=4))
    gains = [f"{name}\n{found[key].gained[0]:.0%}" for name, key in (("ink", "ink"), ("few labels", "few_labels"))]
    assert [text.get_text() for text in frontiers.axes[-1].get_yticklabels()] == gains
    heights = [bar.get_height() for bar in variety.axes[0].patches if isinstance(bar, Rectangle)]
    assert heights[4:] == [here.optimum.classes for here in found.values()]
    plt.close("all")


def test_the_menu_changes_picture_and_words(found, monkeypatch):
    monkeypatch.setattr(view, "result", found.__getitem__)
    monkeypatch.setattr(view.worlds, "digits", lambda: type("Offer", (), dict(rewards=found)))
    box = view.explore()
    controls, image, text = box.children
    menu = controls.children[0].children[0]
    before = image.value, text.value
    menu.value = "few_labels"
    assert image.value != before[0] and f"{found['few_labels'].after.reward:.3f}" in text.value
    view.frame.cache_clear()
