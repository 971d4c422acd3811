"""The playground in the plane as it is drawn: every artist against arrays and numbers worked out apart."""

import io
import math
import re

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib.colors import to_hex

from tutorial_lib import plots, worlds
from tutorial_lib.notebooks.s00_start_here import study, view
from tutorial_lib.notebooks.s00_start_here.study import EXACT, EXACT_VALUE, TWEEDIE

SETTINGS = [  # world, reward, α, γ, method: drawn one after the other in one view of each world
    ("ring", "peak", 0.5, 1.0, EXACT_VALUE),
    ("ring", "peak", 0.1, 0.5, TWEEDIE),
    ("ring", "peak", 3.0, 2.0, "path consistency, trained"),
    ("ring", "peak", 0.2, 1.0, EXACT),
    ("spiral", "half_plane", 0.3, 1.0, EXACT_VALUE),
    ("spiral", "half_plane", 1.0, 1.5, TWEEDIE),
]


@pytest.fixture(scope="module", autouse=True)
def house_style():
    """As in the notebook, for the widget's own views too."""
    view.plane_view.cache_clear()
    with plt.style.context(plots.STYLE):
        yield
    view.plane_view.cache_clear()


@pytest.fixture(scope="module")
def views():
    """One view a scene, as the widget has it: what an earlier setting left behind would be seen."""
    return {key: view.PlaneView(study.scene(*key)) for key in (("ring", "peak"), ("spiral", "half_plane"))}


def panels(shown):
    return shown.picture.figure.axes


def tilted(scene, alpha):
    """(mass [n, n], E*[r], KL*), from the pretrained law and the reward on the grid."""
    p, r = scene.tilted.pretrained.numpy(), scene.tilted.reward.numpy()
    weight = p * np.exp((r - r.max()) / alpha)
    mass = weight / weight.sum()
    seen = mass > 0
    return mass, float((mass * r).sum()), float((mass[seen] * np.log(mass[seen] / p[seen])).sum())


def strip(text):
    """Words without their markup."""
    return re.sub(r"<[^>]+>", "", text)


@pytest.mark.parametrize(("world", "reward"), [("ring", "peak"), ("spiral", "half_plane")])
def test_what_does_not_move(views, world, reward):
    shown, scene = views[world, reward], study.scene(world, reward)
    before, after, trade = panels(shown)
    (image,) = before.images
    np.testing.assert_allclose(image.get_array(), scene.tilted.pretrained.numpy().T)
    assert tuple(image.get_extent()) == (-5, 5, -5, 5) and image.origin == "lower"
    assert to_hex(image.cmap(0.5)) == to_hex(plots.shades(plots.PRETRAINED)(0.5))
    assert before.get_title("left") == "Pretrained, with reward contours"
    (contours,) = before.collections
    point = contours.get_paths()[-2].vertices[10:20]
    level = contours.levels[-2]
    assert scene.world.reward(torch.as_tensor(point).float()).numpy() == pytest.approx(
        level, abs=0.02 * abs(level) + 0.01
    )
    assert {to_hex(color) for color in contours.get_edgecolor()} == {plots.REWARD}
    for ax in (before, after):
        assert ax.get_xlim() == ax.get_ylim() == pytest.approx((-3.5, 3.5)) and ax.get_aspect() == 1
    assert after.get_title("left") == "Exact target, and samples of the method"
    curve = trade.lines[0]
    alphas = np.logspace(math.log10(0.05), 3, 80)
    known = [tilted(scene, alpha) for alpha in (alphas[0], alphas[40], alphas[-1])]
    xs, ys = (np.asarray(data)[[0, 40, -1]] for data in curve.get_data())
    assert xs == pytest.approx([kl for *_, kl in known], abs=1e-5)
    assert ys == pytest.approx([r for _, r, _ in known], rel=1e-4)
    assert len(curve.get_xdata()) == 80 and curve.get_color() == plots.TARGET
    dot = next(line for line in trade.lines if line.get_color() == plots.PRETRAINED)
    expected = float((scene.tilted.pretrained * scene.tilted.reward).sum())
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == pytest.approx((0, expected))
    label, off = trade.texts
    assert off is shown.off and trade.get_xlim()[1] == pytest.approx(2.8 * max(curve.get_xdata()))
    assert label.get_text() == "pretrained" and label.xy == pytest.approx((0, expected))


def test_every_axis_says_which_kl_it_is(views):
    for shown in views.values():
        *_, trade = panels(shown)
        assert trade.get_xlabel() == "KL($x_0$) of the frontier, KL(path) of a method (nats)"
        assert trade.get_ylabel() == "expected reward"
        assert trade.get_title("left") == "No method lies above the frontier"


@pytest.mark.parametrize(("world", "reward", "alpha", "strength", "method"), SETTINGS)
def test_every_moving_artist_is_at_its_answer(views, world, reward, alpha, strength, method):
    shown, scene = views[world, reward], study.scene(world, reward)
    found = study.answer(scene, alpha, strength, method)
    shown.draw(found)
    _, after, trade = panels(shown)
    mass, best, best_kl = tilted(scene, alpha)
    (image,), (points,) = after.images, after.collections
    np.testing.assert_allclose(image.get_array(), mass.T, atol=1e-12, rtol=1e-6)
    assert image.get_clim() == pytest.approx((0, 2 * mass.max())) and tuple(image.get_extent()) == (-5, 5, -5, 5)
    assert to_hex(image.cmap(0.5)) == to_hex(plots.shades(plots.TARGET)(0.5))
    np.testing.assert_allclose(points.get_offsets(), found.x_0.numpy())
    assert to_hex(points.get_facecolor()[0]) == plots.TUNED
    gap, at_best, here = trade.lines[-3:]
    assert (at_best.get_color(), here.get_color(), gap.get_color()) == (plots.TARGET, plots.TUNED, plots.TUNED)
    assert (at_best.get_xdata()[0], at_best.get_ydata()[0]) == pytest.approx((best_kl, best), rel=1e-4, abs=1e-6)
    right, bottom = trade.get_xlim()[1], trade.get_ylim()[0]
    kl, r = min(found.kl, 0.985 * right), max(found.reward, bottom)
    assert (here.get_xdata()[0], here.get_ydata()[0]) == pytest.approx((kl, r))
    assert here.get_marker() == ("o" if (kl, r) == (found.kl, found.reward) else ">" if kl < found.kl else "v")
    assert (shown.off.get_text() == "") == (here.get_marker() == "o")
    assert list(gap.get_xdata()) == pytest.approx([kl, best_kl], rel=1e-4, abs=1e-6)
    assert list(gap.get_ydata()) == pytest.approx([r, best], rel=1e-4)
    told = shown.picture.figure.get_suptitle()
    assert told == f"{world}, reward {reward};  {method};  α = {alpha:g}, γ = {strength:g}"
    assert shown.alarm.get_text() == ""


@pytest.mark.parametrize(
    ("kl", "reward", "marker", "where"),
    [
        (1.0, -3.0, "o", lambda x, y, kl, r: (x, y) == (kl, r)),
        (50.0, -3.0, ">", lambda x, y, kl, r: 10 < x < 10.2 and y == r),
        (1.0, -300.0, "v", lambda x, y, kl, r: x == kl and -12 < y < -10),
        (math.inf, -math.inf, ">", lambda x, y, kl, r: 10 < x < 10.2 and -12 < y < -10),
    ],
)
def test_a_point_off_the_panel_waits_at_its_edge(views, kl, reward, marker, where):
    shown = views["ring", "peak"]
    found = study.answer(shown.scene, 0.5, 1.0, EXACT_VALUE)
    shown.draw(type(found)(**{**vars(found), "kl": kl, "reward": reward}))
    x, y = shown.here.get_xdata()[0], shown.here.get_ydata()[0]
    assert shown.here.get_marker() == marker and where(x, y, kl, reward)
    assert trade_holds(shown, x, y)
    told = "" if marker == "o" else f"off the panel: KL(path) {kl:.3g}, reward {reward:.3g}"
    assert shown.off.get_text() == told and shown.off.get_color() == plots.TUNED


def test_tweedies_point_is_on_the_panel(views):
    """Its KL(path) is several times the frontier's; the axis reaches that far."""
    shown = views["ring", "peak"]
    found = study.answer(shown.scene, 0.5, 1.0, TWEEDIE)
    shown.draw(found)
    assert found.kl > 3 * found.target.kl and shown.here.get_marker() == "o" and shown.off.get_text() == ""
    assert (shown.here.get_xdata()[0], shown.here.get_ydata()[0]) == (found.kl, found.reward)


def trade_holds(shown, x, y):
    trade = panels(shown)[2]
    return trade.get_xlim()[0] <= x <= trade.get_xlim()[1] and trade.get_ylim()[0] <= y <= trade.get_ylim()[1]


def test_all_that_moves_is_drawn_anew(views):
    """Whatever is changed by hand shows in the next frame."""
    shown = views["ring", "peak"]
    shown.draw(study.answer(shown.scene, 0.5, 1.0, EXACT_VALUE))
    changes = [
        lambda: shown.target.set_data(np.zeros((81, 81))),
        lambda: shown.points.set_offsets(np.ones((5, 2))),
        lambda: shown.here.set_data([3], [-6]),
        lambda: shown.best.set_data([3], [-9]),
        lambda: shown.gap.set_data([0, 4], [-9, 0]),
        lambda: shown.settings.set_text("other"),
        lambda: shown.alarm.set_text("alarm"),
        lambda: shown.off.set_text("off"),
    ]
    frames = [shown.picture.frame()]
    for change in changes:
        change()
        frames.append(shown.picture.frame())
    assert len(set(frames)) == len(changes) + 1


def test_those_that_flew_off_are_told_in_picture_and_words_until_the_next_answer():
    scene = study.scene("two_moons", "peak")
    shown = view.PlaneView(scene)
    wild = study.answer(scene, 0.1, 1.0, TWEEDIE)
    shown.draw(wild)
    assert 0 < wild.left < 399 and shown.alarm.get_text() == f"{wild.left} of 400 particles flew off"
    assert shown.alarm.get_color() == plots.ALARM and len(np.asarray(shown.points.get_offsets())) == 400 - wild.left
    said = view.in_words(scene, wild)
    assert said.startswith(f"<b style='color:{plots.ALARM}'>{wild.left} of 400 particles flew off</b> and are left out")
    assert "Counting those that flew off, it has no bound." in said and f"KL(path) {wild.kl:.2f} nats" in said
    tame = study.answer(scene, 1.0, 1.0, EXACT_VALUE)
    shown.draw(tame)
    assert tame.left == 0 and shown.alarm.get_text() == "" and len(np.asarray(shown.points.get_offsets())) == 400
    assert "flew off" not in view.in_words(scene, tame)


def test_words_say_the_numbers_of_a_method():
    scene = study.scene("ring", "peak")
    found = study.answer(scene, 0.5, 1.0, TWEEDIE)
    _, best, best_kl = tilted(scene, 0.5)
    r, before = scene.world.reward(found.x_0), float((scene.tilted.pretrained * scene.tilted.reward).sum())
    J_star, J = best - 0.5 * best_kl, float(r.mean()) - 0.5 * found.kl
    first, second = strip(view.in_words(scene, found)).replace("−", "-").split("J = ")
    one_in = math.exp(found.kl)
    assert first == (
        f"KL(path) {found.kl:.2f} nats, at most as choosy as keeping one pretrained sample in {one_in:,.0f}. "
        f"Reward {float(r.mean()):.2f} ± {float(r.std()) / 20:.2f} (pretrained {before:.2f})."
    )
    regret, said = (
        (J_star - J) / (J_star - before),
        re.fullmatch(r"(.*) where J\* = (.*): regret (.*)% ± (.*)%\. (.*)", second),
    )
    assert said is not None
    assert [float(said[i]) for i in (1, 2)] == pytest.approx([J, J_star], abs=0.006)
    assert float(said[3]) == pytest.approx(100 * regret, abs=0.06)
    assert float(said[4]) == pytest.approx(100 * found.regret_se, abs=0.06)
    assert said[5].startswith("Far from the frontier.Applied α = ")


def test_words_say_that_the_exact_chain_has_one_kl():
    scene = study.scene("ring", "half_plane")
    _, best, kl = tilted(scene, 0.2)
    assert strip(view.in_words(scene, study.answer(scene, 0.2, 2.0, EXACT))).replace("−", "-") == (
        f"KL(x0) = KL(path) = {kl:.2f} nats, about as choosy as keeping one pretrained sample in {math.exp(kl):,.0f}. "
        f"Reward {best:.2f} (pretrained {scene.pretrained_objective:.2f})."
        f"J = J* = {best - 0.2 * kl:.2f}: the optimum itself. γ does not act on it."
        "Applied α = 0.2 (asked 0.2): a line in r explains r² = 100.0% of log pθ(x0)/ppre(x0)."
    )


@pytest.mark.parametrize(
    ("world", "reward", "alpha", "strength", "method", "said"),
    [
        ("ring", "disc", 0.2, 1.0, TWEEDIE, "Applied α = ∞: its samples have not moved with the reward."),
        ("ring", "peak", 0.05, 1.0, TWEEDIE, "is not known: its paths go too far for any grid here."),
        ("ring", "peak", 0.5, 0.9, TWEEDIE, "The α that it applied is kept for the ring at γ = 1 only."),
        ("grid", "peak", 0.5, 1.0, EXACT_VALUE, "The α that it applied is kept for the ring at γ = 1 only."),
    ],
)
def test_words_say_the_alpha_that_was_applied_or_why_it_is_not_known(world, reward, alpha, strength, method, said):
    scene = study.scene(world, reward)
    assert strip(view.in_words(scene, study.answer(scene, alpha, strength, method))).endswith(said)


def test_words_say_the_applied_alpha_of_a_trained_policy():
    scene = study.scene("ring", "peak")
    found = study.answer(scene, 0.5, 1.0, "soft PPO, trained")
    applied = study.applied(scene, found)
    last = strip(view.in_words(scene, found)).split("Applied α = ")[1]
    numbers = re.fullmatch(r"([\d.]+) \(asked 0.5\): a line in r explains r² = ([\d.]+)% of .*", last)
    assert numbers is not None
    assert [float(n) for n in numbers.groups()] == pytest.approx([applied.alpha, 100 * applied.r2], rel=5e-3)


@pytest.mark.parametrize(
    ("regret", "error", "verdict"),
    [
        (0.03, 0.01, "Nearly optimal, as far as 400 particles can tell."),
        (0.05, 0.01, "Close, with something left to gain."),
        (0.5, 0.01, "Far from the frontier."),
        (1.5, 0.01, "Worse than doing nothing."),
    ],
)
def test_a_verdict_for_each_regret(regret, error, verdict):
    scene = study.scene("ring", "peak")
    found = study.answer(scene, 0.5, 1.0, EXACT_VALUE)
    said = view.in_words(scene, type(found)(**{**vars(found), "regret": regret, "regret_se": error}))
    assert f"{verdict}<br>" in said and f"regret {regret:.1%} ± {error:.1%}" in said


def test_particles_outside_the_panel_are_counted():
    scene = study.scene("ring", "peak")
    found = study.answer(scene, 0.5, 1.0, EXACT_VALUE)
    moved = found.x_0.clone()
    moved[:7, 0], moved[7:9, 1] = 3.6, -3.6
    said = view.in_words(scene, type(found)(**{**vars(found), "x_0": moved}))
    assert "outside" not in view.in_words(scene, found) and "9 of the particles lie outside the panel.<br>" in said


def controls_of(box):
    return {control.description: control for column in box.children[0].children for control in column.children}


def test_each_control_moves_what_it_says():
    box = view.play()
    controls, (image, text) = controls_of(box), box.children[1:]
    assert list(controls) == ["α", "guidance strength γ", "method", "reward", "world"]
    assert isinstance(image, ui.Image) and isinstance(text, ui.HTML)
    setting = dict(view.FIRST)
    expect(image, text, setting)
    names = {"α": "alpha", "guidance strength γ": "strength"}
    for label, value in [
        ("α", 0.2),
        ("guidance strength γ", 2.0),
        ("method", TWEEDIE),
        ("reward", "disc"),
        ("world", "grid"),
    ]:
        setting[names.get(label, label)] = controls[label].value = value
        expect(image, text, setting)
    low, high = 10 ** controls["α"].min, 10 ** controls["α"].max
    assert (low, high) == pytest.approx((0.05, 5)) and controls["world"].options == study.PLANE_WORLDS
    assert (controls["guidance strength γ"].min, controls["guidance strength γ"].max) == (0, 3)


def expect(image, text, setting):
    """The widget shows what a fresh view of that setting shows, and says what it says."""
    scene = study.scene(setting["world"], setting["reward"])
    found, fresh = study.answer(scene, setting["alpha"], setting["strength"], setting["method"]), view.PlaneView(scene)
    fresh.draw(found)
    assert image.value == fresh.picture.frame() and text.value == view.in_words(scene, found)


def test_the_menu_follows_the_world():
    controls = controls_of(view.play())
    method, world = controls["method"], controls["world"]
    assert method.options == study.methods("ring", "peak")
    method.value = next(iter(study.TRAINED))
    world.value = "grid"
    assert method.value == EXACT_VALUE and method.options == study.UNTRAINED
    world.value = "ring"
    method.value = "path consistency, trained"
    controls["reward"].value = "disc"
    assert method.value == "path consistency, trained"
    assert set(study.methods("ring", "peak")) - set(method.options) == {"reward backpropagation, trained"}


@pytest.mark.parametrize(
    "settings", [{}, dict(world="grid", reward="half_plane", alpha=0.2, strength=0.5, method=TWEEDIE)]
)
def test_a_still_is_the_picture_at_its_settings(settings):
    full = dict(alpha=0.5, strength=1.0, method=EXACT_VALUE, reward="peak", world="ring") | settings
    scene = study.scene(full["world"], full["reward"])
    fresh = view.PlaneView(scene)
    fresh.draw(study.answer(scene, full["alpha"], full["strength"], full["method"]))
    stills = (view.still(**settings), fresh.picture.still())
    one, other = (np.asarray(PIL.Image.open(io.BytesIO(image.data))) for image in stills)
    assert np.array_equal(one, other) and one.shape[1] >= 1000 and one.std() > 10


def test_a_still_refuses_settings_that_it_does_not_know():
    with pytest.raises(TypeError, match="unexpected keyword argument 'gamma'"):
        view.still(gamma=2.0)
    with pytest.raises(ValueError, match="unknown world 'sphere'"):
        view.still(world="sphere")
    with pytest.raises(ValueError, match="unknown method 'magic'"):
        view.still(method="magic")
    with pytest.raises(ValueError, match="alpha must be a finite number > 0"):
        view.still(alpha=0.0)


def test_the_worlds_and_rewards_offered_are_those_of_the_plane():
    in_the_plane = {
        name for name in ("ring", "grid", "two_moons", "spiral", "checkerboard", "digits") if worlds.make(name).extent
    }
    assert set(study.PLANE_WORLDS) == in_the_plane
    for name in study.PLANE_WORLDS:
        assert tuple(worlds.make(name).rewards) == study.REWARDS
