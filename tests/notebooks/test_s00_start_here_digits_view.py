"""The playground on digits as it is drawn: every artist against images and numbers worked out apart."""

import io
import math
import re

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
from matplotlib.colors import to_hex

from tutorial_lib import plots, worlds
from tutorial_lib.notebooks.s00_start_here import digits_study as study
from tutorial_lib.notebooks.s00_start_here import digits_view as view

TUNED, PLAIN = "ink", "log_probability"  # with a shipped policy, and without


@pytest.fixture(scope="module", autouse=True)
def house_style():
    """As in the notebook, for the widget's own views too."""
    view.digits_view.cache_clear()
    with plt.style.context(plots.STYLE):
        yield
    view.digits_view.cache_clear()


@pytest.fixture(scope="module")
def views():
    return {reward: view.DigitsView(study.scene(reward)) for reward in (TUNED, PLAIN)}


def panels(shown):
    return shown.picture.figure.axes


def tiles(picture):
    """The 36 images [36, 8, 8] of a wall of 6 × 6 with a white line after each, as ink on paper."""
    return np.asarray(picture).reshape(6, 9, 6, 9).swapaxes(1, 2).reshape(36, 9, 9)[:, :8, :8]


def on_paper(images):
    """Images in [−1, 1] as shades of grey, black where there is ink."""
    return 1 - (images[:, 0].numpy().clip(-1, 1) + 1) / 2


def optimum(reward, alpha):
    """(E*[r], KL*, their standard errors, effective size) of 65,536 rewards weighted by exp(r/α)."""
    r = worlds.digits_rewards()[reward].double().numpy()
    weight = np.exp((r - r.max()) / alpha)
    weight /= weight.sum()
    best, seen = (weight * r).sum(), weight > 0
    kl = (weight[seen] * np.log(weight[seen] * len(r))).sum()
    of_reward = weight * (r - best)
    push = of_reward / alpha - (weight - 1 / len(r))
    return best, kl, np.sqrt((of_reward**2).sum()), np.sqrt((push**2).sum()), 1 / (weight**2).sum()


def measured(reward, i):
    """(α, KL, its error, reward, its error) of the shipped policy, as it was measured."""
    columns = worlds.shipped.digits_measured(reward)
    return [float(columns[name][i]) for name in ("alpha", "kl", "kl_se", "reward", "reward_se")]


def strip(text):
    return re.sub(r"<[^>]+>", "", text).replace("−", "-")


def crossed(line, kl, kl_se, r, r_se):
    """The line is a cross of ± 2 standard errors."""
    xs, ys = (np.asarray(data, float) for data in line.get_data())
    assert list(xs[[0, 1, 3, 4]]) == pytest.approx([kl - 2 * kl_se, kl + 2 * kl_se, kl, kl], abs=1e-6)
    assert list(ys[[0, 1, 3, 4]]) == pytest.approx([r, r, r - 2 * r_se, r + 2 * r_se], abs=1e-6)
    assert math.isnan(xs[2]) and math.isnan(ys[2])


@pytest.mark.parametrize("i", [1, 4])
def test_every_moving_artist_is_at_its_answer(views, i):
    shown, scene = views[TUNED], study.scene(TUNED)
    alpha, *known = measured(TUNED, i)
    shown.draw(study.answer(scene, alpha))
    bank, live, trade = panels(shown)
    (left,), (right,) = bank.images, live.images
    np.testing.assert_allclose(tiles(left.get_array()), on_paper(study.bank_at(scene, alpha)[0]), atol=1e-6)
    np.testing.assert_allclose(tiles(right.get_array()), on_paper(study.tuned_at(scene, alpha)), atol=1e-6)
    for image in (left, right):
        assert image.get_cmap().name == "gray" and image.get_clim() == (0, 1) and image.origin == "upper"
    r, kl, r_se, kl_se, _ = optimum(TUNED, alpha)
    best_error, here_error, best, here = shown.best_error, shown.here_error, shown.best, shown.here
    assert {best, here, best_error, here_error} <= set(trade.lines)
    assert (best.get_xdata()[0], best.get_ydata()[0]) == pytest.approx((kl, r), abs=1e-6)
    assert (here.get_xdata()[0], here.get_ydata()[0]) == pytest.approx((known[0], known[2]), abs=1e-6)
    crossed(best_error, kl, kl_se, r, r_se)
    crossed(here_error, known[0], known[1], known[2], known[3])
    assert best.get_color() == best_error.get_color() == plots.TARGET
    assert here.get_color() == here_error.get_color() == plots.TUNED
    assert shown.picture.figure.get_suptitle() == f"digits, reward ink;  α = {alpha:.3g}"


def test_without_a_policy_the_second_wall_is_the_pretrained_one(views):
    shown, scene = views[PLAIN], study.scene(PLAIN)
    for alpha in (0.3, 3.0):
        shown.draw(study.answer(scene, alpha))
        bank, live, trade = panels(shown)
        np.testing.assert_allclose(tiles(live.images[0].get_array()), on_paper(scene.pretrained), atol=1e-6)
        np.testing.assert_allclose(
            tiles(bank.images[0].get_array()), on_paper(study.bank_at(scene, alpha)[0]), atol=1e-6
        )
        r, kl, r_se, kl_se, _ = optimum(PLAIN, alpha)
        assert (shown.best.get_xdata()[0], shown.best.get_ydata()[0]) == pytest.approx((kl, r), abs=1e-5)
        crossed(shown.best_error, kl, kl_se, r, r_se)
        assert len(shown.here.get_xdata()) == len(shown.here_error.get_xdata()) == 0
        assert live.get_title("left") == "Pretrained digits" and "KL(path)" not in trade.get_xlabel()
        assert shown.picture.figure.get_suptitle() == f"digits, reward log_probability;  α = {alpha:.3g}"


def test_what_does_not_move(views):
    bank, live, trade = panels(views[TUNED])
    assert bank.get_title("left") == "A bank, re-weighted by exp(r/α)"
    assert live.get_title("left") == "The tuned policy, live in 9 steps"
    assert trade.get_title("left") == "The frontier of 65,536 samples"
    assert trade.get_xlabel() == "KL($x_0$) of the bank, KL(path) of tuned (nats)"
    assert trade.get_ylabel() == "expected reward (crosses: ± 2 s.e.)"
    alphas = np.logspace(math.log10(0.02 / 8), math.log10(2.0), 60)
    known = [optimum(TUNED, alpha) for alpha in alphas]
    trusted = [point for point in known if point[4] >= 100]
    dotted, dashed, tuned = trade.lines[:3]
    assert dotted.get_xdata() == pytest.approx([point[1] for point in known], abs=1e-5)
    assert dotted.get_ydata() == pytest.approx([point[0] for point in known], abs=1e-6)
    assert dashed.get_xdata() == pytest.approx([point[1] for point in trusted], abs=1e-5)
    assert dashed.get_ydata() == pytest.approx([point[0] for point in trusted], abs=1e-6)
    assert (dotted.get_linestyle(), dashed.get_linestyle()) == (":", "--")
    assert dotted.get_color() == dashed.get_color() == plots.TARGET and tuned.get_color() == plots.TUNED
    edge = max(point[1] for point in trusted)
    (span,) = trade.patches
    assert span.get_x() == pytest.approx(edge) and to_hex(span.get_facecolor()) == plots.ALARM
    doubt, label = trade.texts
    assert doubt.get_text() == "too few effective\nsamples to trust" and doubt.get_color() == plots.ALARM
    assert doubt.xy == pytest.approx((edge, min(point[0] for point in known)))
    assert label.get_text() == "tuned" and label.get_color() == plots.TUNED
    assert trade.get_xlim()[1] == pytest.approx(1.05 * max(point[1] for point in known))


def test_the_tuned_curve_is_what_was_measured_over_its_range(views):
    scene, curve = study.scene(TUNED), panels(views[TUNED])[2].lines[2]
    columns = worlds.shipped.digits_measured(TUNED)
    xs, ys = curve.get_data()
    assert (xs[0], ys[0]) == pytest.approx((float(columns["kl"][0]), float(columns["reward"][0])))
    assert (xs[-1], ys[-1]) == pytest.approx((float(columns["kl"][-1]), float(columns["reward"][-1])))
    middle = [study.tuned_point(scene, p.alpha) for p in scene.curve]
    assert list(xs) == pytest.approx([p.kl for p in middle]) and list(ys) == pytest.approx([p.reward for p in middle])
    assert not any(
        line.get_color() == plots.TUNED and len(line.get_xdata()) > 5 for line in panels(views[PLAIN])[2].lines
    )


def test_all_that_moves_is_drawn_anew(views):
    shown = views[TUNED]
    shown.draw(study.answer(shown.scene, 0.02))
    changes = [
        lambda: shown.wall.set_data(np.zeros((54, 54))),
        lambda: shown.live.set_data(np.zeros((54, 54))),
        lambda: shown.best.set_data([8], [0.32]),
        lambda: shown.here.set_data([6], [0.34]),
        lambda: shown.best_error.set_data([5, 9], [0.31, 0.31]),
        lambda: shown.here_error.set_data([1, 4], [0.45, 0.45]),
        lambda: shown.settings.set_text("other"),
    ]
    frames = [shown.picture.frame()]
    for change in changes:
        change()
        frames.append(shown.picture.frame())
    assert len(set(frames)) == len(changes) + 1


@pytest.mark.parametrize("i", [1, 4])
def test_words_say_both_places_and_both_kls(i):
    scene, (alpha, kl, kl_se, reward, reward_se) = study.scene(TUNED), measured(TUNED, i)
    r, best_kl, r_se, best_kl_se, size = optimum(TUNED, alpha)
    best, before = f"reward {r:.3g} ± {r_se:.1g}", float(worlds.digits_rewards()[TUNED].double().mean())
    assert strip(view.in_words(scene, study.answer(scene, alpha))) == (
        f"Optimum: KL(x0) {best_kl:.2f} ± {best_kl_se:.2f} nats, {best} (pretrained {before:.3g}). "
        f"Effective sample size {size:,.0f} of 65,536."
        f"Tuned: KL(path) {kl:.2f} ± {kl_se:.2f} nats, reward {reward:.3g} ± {reward_se:.1g}, "
        f"measured with all 50 steps; the wall takes 9."
    )


def test_words_say_where_the_optimum_or_the_policy_ends():
    scene, (low, high) = study.scene(TUNED), worlds.shipped.DIGITS[TUNED]
    below, above = (view.in_words(scene, study.answer(scene, alpha)) for alpha in (low / 2, 1.5 * high))
    assert f"It was trained for α from {low:g} up." in below and "Too few to trust." in below
    assert f"It was trained for α from {high:g} down." in above and "Too few" not in above
    plain = study.scene(PLAIN)
    said = view.in_words(plain, study.answer(plain, 0.5))
    r, kl, *_ = optimum(PLAIN, 0.5)
    assert said.endswith("No policy tuned for this reward at every α is shipped, so there is no live wall.")
    assert f"KL(x0) {kl:.2f}" in strip(said) and f"reward {r:.3g}" in strip(said) and "Tuned" not in said


def controls_of(box):
    return {control.description: control for column in box.children[0].children for control in column.children}


def expect(image, text, reward, alpha):
    """The widget shows what a fresh view of that setting shows, and says what it says."""
    scene = study.scene(reward)
    found, fresh = study.answer(scene, alpha), view.DigitsView(scene)
    fresh.draw(found)
    assert image.value == fresh.picture.frame() and text.value == view.in_words(scene, found)


def test_each_control_moves_what_it_says_and_a_reward_brings_its_own_range_of_alpha():
    box = view.play()
    controls, (image, text) = controls_of(box), box.children[1:]
    assert list(controls) == ["α on digits", "reward of the digits"]
    assert isinstance(image, ui.Image) and isinstance(text, ui.HTML)
    alpha, reward = controls.values()
    assert reward.options == study.REWARDS
    expect(image, text, "ink", 0.02)
    alpha.value = 0.1
    expect(image, text, "ink", 0.1)
    for name, suits in (("log_probability", 1.0), ("few_labels", 0.08)):
        reward.value = name
        assert (alpha.min, alpha.max) == pytest.approx((math.log10(suits / 8), math.log10(100 * suits)))
        assert alpha.value == pytest.approx(suits)
        expect(image, text, name, alpha.value)


@pytest.mark.parametrize("settings", [{}, dict(alpha=0.5, reward="symmetry")])
def test_a_still_is_the_picture_at_its_settings(settings):
    full = dict(alpha=0.02, reward="ink") | settings
    fresh = view.DigitsView(study.scene(full["reward"]))
    fresh.draw(study.answer(fresh.scene, full["alpha"]))
    stills = (view.still(**settings), fresh.picture.still())
    one, other = (np.asarray(PIL.Image.open(io.BytesIO(image.data))) for image in stills)
    assert np.array_equal(one, other) and one.shape[1] >= 1000 and one.std() > 10


def test_a_still_refuses_settings_that_it_does_not_know():
    with pytest.raises(TypeError, match="unexpected keyword argument 'strength'"):
        view.still(strength=2.0)
    with pytest.raises(ValueError, match="unknown reward 'peak'"):
        view.still(reward="peak")
    with pytest.raises(ValueError, match="alpha must be a finite number > 0"):
        view.still(alpha=-1.0, reward=PLAIN)


def test_the_rewards_offered_are_those_of_the_world():
    assert study.REWARDS == tuple(worlds.digits().rewards)
