"""RL's rivals on one map: places against samples and closed forms, the figure's dots, the judge's slips, the bug."""

import inspect
import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from tutorial_lib import plots
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.guidance.classifier_free import ClassifierFreePolicy
from tutorial_lib.metrics import evaluate
from tutorial_lib.notebooks.s01_2_why_reinforcement_learning import bugs, figures, rivals_study, study
from tutorial_lib.notebooks.s01_2_why_reinforcement_learning.rivals_study import Place
from tutorial_lib.notebooks.s01_2_why_reinforcement_learning.study import law, truth
from tutorial_lib.policies import SteeredPolicy, rollout

from ..oracles import seeded


@pytest.fixture(scope="module")
def world():
    return study.scene()


@pytest.fixture(scope="module")
def quadratic(world):
    return world.rewards["quadratic"]


def test_the_pretrained_law_has_no_kl_and_a_tilt_has_its_own(world, quadratic):
    p_pre, points = law(world.pretrained), rivals_study.WIDE.points
    at_home = rivals_study.place(world, p_pre.log_prob(points).double().softmax(0))
    assert at_home.kl == pytest.approx(0, abs=1e-9)
    for alpha, kl, reward in rivals_study.tilts(world, quadratic, torch.tensor([0.1, 1.0])).tolist():
        x = quadratic.tilt(p_pre, alpha)[0].sample(40_000, generator=seeded(0))
        log_ratio = quadratic.tilt(p_pre, alpha)[0].log_prob(x) - p_pre.log_prob(x)
        assert kl == pytest.approx(float(log_ratio.mean()), abs=0.03)
        assert reward == pytest.approx(float(truth(x).mean()), abs=0.03)
        tilted = (p_pre.log_prob(points) + quadratic(points) / alpha).double().softmax(0)
        assert rivals_study.place(world, tilted) == pytest.approx((kl, reward), abs=2e-3)


def test_a_chains_place_is_that_of_its_samples(world, quadratic):
    """Mean reward by the samples; the KL of x_0 against a Gaussian kernel's estimate, and below the path KL."""
    policy = ClassifierFreePolicy(world.pretrained, world.conditional, strength=4.0)
    found = rivals_study.by_class(world, 4.0)
    x = rollout(policy, 4000, generator=seeded(1)).x_0
    assert found.reward == pytest.approx(float(truth(x).mean()), abs=0.04)
    kernel = GaussianMixture(torch.full((2000,), 1 / 2000), x[:2000], stds=torch.full((2000,), 0.07))
    estimate = (kernel.log_prob(x[2000:]) - law(world.pretrained).log_prob(x[2000:])).mean()
    assert found.kl == pytest.approx(float(estimate), abs=0.12)
    assert found.kl < 0.7 * evaluate(policy, truth, alpha=0, n=2000, generator=seeded(2)).kl


def test_a_model_asked_for_a_score_gives_it(world):
    asked = {score: rivals_study.by_score(world, score) for score in (-4.0, -2.0, 0.0)}
    assert asked[-4.0].reward == pytest.approx(-4.0, abs=0.2)
    best = truth(world.kept).max()
    assert asked[0.0].reward == pytest.approx(float(best) - 2 * study.H**2, abs=0.3)  # E‖x‖² = ‖μ‖² + 2 h²


@pytest.mark.parametrize("seed", [0, 1])
def test_whoever_asks_the_reward_model_is_near_the_optimum_and_no_label_is_as_near(seed):
    here = study.scene(study.CUT, seed)
    reward = here.rewards["quadratic"]
    curve = rivals_study.tilts(here, reward, torch.logspace(-1.4, 2, 100))
    labelled = [rivals_study.by_class(here, s) for s in (1.0, 8.0)]
    asking = [rivals_study.by_slope(here, reward, 0.3), rivals_study.by_asking(here, reward, 0.0, 0.5)]
    assert max(rivals_study.short_of(curve, place) for place in asking) < 0.05
    assert min(rivals_study.short_of(curve, place) for place in labelled) > 0.15
    assert max(place.reward for place in labelled) < study.CUT < min(place.reward for place in asking)


def test_short_of_reads_the_curve_at_the_same_kl():
    curve = torch.tensor([[1.0, 2.0, -1.0], [2.0, 1.0, -3.0], [5.0, 0.0, -7.0]], dtype=torch.float64)
    assert rivals_study.short_of(curve, Place(1.5, -2.5)) == pytest.approx(0.5)
    assert rivals_study.short_of(curve, Place(0.25, -6.0)) == pytest.approx(0.0)


def test_best_of_n_has_the_kl_of_order_statistics(world, quadratic):
    assert rivals_study.by_choice(world, quadratic, 1).kl == 0
    ratio = torch.rand(200_000, 16, generator=seeded(0)).amax(1)  # the density of the largest quantile u: 16 u^15
    kl = float((math.log(16) + 15 * ratio.log()).mean())
    assert rivals_study.by_choice(world, quadratic, 16).kl == pytest.approx(kl, abs=0.01)


def test_the_map_shows_each_rival_where_it_is(world, quadratic):
    curve = rivals_study.tilts(world, quadratic, torch.logspace(-1, 1, 9))
    rivals = {name: {"one": Place(1.0 + i, -3.0), "two": Place(2.0 + i, -2.5)} for i, name in enumerate(figures.RIVALS)}
    figures.show_rivals(curve, rivals, -2.0, title="Where?")
    (ax,) = plt.gcf().axes
    edge, *dots, cut = ax.lines
    np.testing.assert_allclose(edge.get_xydata(), curve[:, 1:])
    assert edge.get_color() == plots.TARGET and list(cut.get_ydata()) == [-2.0, -2.0]
    for drawn, (name, places) in zip(dots, rivals.items(), strict=True):
        legend, color, marker, _ = figures.RIVALS[name]
        np.testing.assert_allclose(drawn.get_xydata(), list(places.values()))
        assert to_rgb(drawn.get_color()) == to_rgb(color) and drawn.get_marker() == marker
        assert drawn.get_label() == legend and drawn.get_linestyle() == "None"
    assert len({(*to_rgb(color), marker) for _, color, marker, _ in figures.RIVALS.values()}) == len(rivals)
    assert "x_0" in ax.get_xlabel() and ax.get_xscale() == "log"
    texts: list[Any] = [text for text in ax.texts if text.get_text() in ("one", "two")]
    assert {text.xy for text in texts} == {p for n, r in rivals.items() if figures.RIVALS[n][3] for p in r.values()}
    plt.close()


def test_the_judge_knows_the_pair_and_its_slips(world):
    linear = world.rewards["linear"]
    right, slips = rivals_study.asking(world, linear, 0.0, 0.8)
    axis = torch.linspace(-5, 5, 501, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    before = law(world.pretrained).to(torch.float64).log_prob(x).log_softmax(0)
    after = (before - linear(x) ** 2 / (2 * 0.8**2)).log_softmax(0)
    exact = torch.stack([(after.exp() * (after - before)).sum(), after.exp() @ truth(x)])
    torch.testing.assert_close(right, exact, atol=2e-3, rtol=0)
    for name, wrong in slips.items():
        assert wrong.isfinite().all() and (wrong - right).abs().max() > 0.02 * right.abs().max(), name


def test_the_planted_bug_is_one_line_and_without_it_the_loop_nears_the_optimum(world, quadratic):
    source, remark = inspect.getsource(bugs.tune), "# planted"
    (line,) = [line for line in source.splitlines() if remark in line]
    assert len(source.splitlines()) <= 25
    scope: dict[str, Any] = dict(vars(bugs))
    exec(source.replace(line.split(remark)[0].strip(), "kl = kl + u.square().sum(1) / 2"), scope)
    best = quadratic.tilt(law(world.pretrained), 0.1)[1]
    measured = {}
    for name, loop in (("bug", bugs.tune), ("mended", scope["tune"])):
        policy = SteeredPolicy(world.pretrained, width=64)
        last = loop(policy, quadratic, 0.1, seeded(0))
        measured[name] = -last, evaluate(policy, quadratic, alpha=0.1, n=1000, generator=seeded(1)).objective
    assert measured["bug"][0] > best + 1 > best - 2 > measured["bug"][1]
    assert measured["mended"] == pytest.approx((best, best), abs=0.25)
