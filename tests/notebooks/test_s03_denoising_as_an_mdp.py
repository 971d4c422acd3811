"""The widget that steps through an episode: its arrays against a chain rolled out by hand, every artist of every panel
against those arrays, and the glue; and the law of x_0 of any policy against a chain that is solved by hand."""

import dataclasses
import random
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from torch import nn

from tutorial_lib import plots, worlds
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact.chain import law_of_x_0
from tutorial_lib.grids import Grid
from tutorial_lib.notebooks.s03_denoising_as_an_mdp import bugs, play, still, study, view
from tutorial_lib.policies import SteeredPolicy

from ..oracles import chain, gaussian_chain, noised_law, wave
from ..plots.artists import points, title
from .s04_pictures import numbers

SETTINGS: list[dict[str, Any]] = [
    dict(step=15, alpha=0.2, particle=1),
    dict(step=20, alpha=2.0, particle=4),
    dict(step=1, alpha=0.2, particle=8),
]


pytestmark = pytest.mark.usefixtures("house_style")


@pytest.fixture(scope="module")
def scene():
    """Three unequal clusters, so that no transposed or mirrored picture is right."""
    means = torch.tensor([[2.0, 0.5], [-1.5, 1.0], [0.2, -1.8]])
    mixture = GaussianMixture(torch.tensor([0.5, 0.3, 0.2]), means, stds=torch.tensor([0.3, 0.5, 0.2]))
    pretrained = chain(mixture, 20)
    world = dataclasses.replace(worlds.ring(T=20), mixture=mixture, pretrained=pretrained, schedule=pretrained.schedule)
    return study.scene(world, wave)


def by_hand(scene, alpha):
    """The episodes step by step, from the reward's exact slopes: x, ρ, u [T+1, P, 2], KL [T+1, P], r(x_0) [P]."""
    T, g, value = scene.T, torch.Generator().manual_seed(study.SEED), scene.tilted.values(alpha)
    x, rho, u = torch.zeros(3, T + 1, study.PARTICLES, 2)
    x[T] = torch.randn(study.PARTICLES, 2, generator=g)
    for t in range(T, 0, -1):
        sigma, z = scene.world.schedule.sigma[t], torch.randn(study.PARTICLES, 2, generator=g)
        with torch.no_grad():
            rho[t] = scene.world.pretrained.mean(x[t], t)
        u[t] = sigma / alpha * value.grad(rho[t], t - 1)
        x[t - 1] = rho[t] + sigma * (u[t] + z)
    return x, rho, u, (u[..., 0] ** 2 + u[..., 1] ** 2) / 2, scene.reward(x[0])


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_answer_is_a_step_of_an_episode_by_hand(scene, settings):
    found, t, i = study.answer(scene, **settings), 21 - settings["step"], settings["particle"] - 1
    x, rho, u, kl, reward = by_hand(scene, settings["alpha"])
    assert (found.t, found.alpha, found.particle) == (t, settings["alpha"], settings["particle"])
    pairs = [(found.path, x[:, i]), (found.rho, rho[t, i]), (found.u, u[t, i]), (found.kl, kl[:, i])]
    pairs.append((found.action, (x[t - 1, i] - rho[t, i]) / scene.world.schedule.sigma[t]))
    pairs.append((found.fees, torch.stack([-settings["alpha"] * kl[s + 1 :, i].sum() for s in range(21)])))
    for came, expected in pairs:
        assert torch.allclose(came, expected, atol=1e-4)
    assert found.reward == pytest.approx(float(reward[i]), abs=1e-4)
    assert found.sigma == pytest.approx(float(scene.world.schedule.sigma[t]))


def test_the_density_is_that_of_the_noised_mixture(scene):
    mixture = scene.world.mixture
    for step, t in ((20, 1), (11, 10), (1, 20)):
        law = noised_law(mixture.weights, mixture.means, mixture.covariances, float(scene.world.schedule.alpha_bar[t]))
        exact = law.log_prob(scene.tilted.grid.points.double()).softmax(0).reshape(101, 101)
        found = study.answer(scene, step=step, alpha=1.0).density
        assert (found - exact).abs().max() < 1e-4 * exact.max()


def test_the_noise_is_the_same_at_every_alpha(scene):
    """z = (x_{t−1} − ρ)/σ_t − u at every step of every particle: paths glide."""
    weak, strong = (study.walk(scene, alpha) for alpha in (10.0, 0.1))
    sigma = scene.world.schedule.sigma[1:, None, None]
    first, second = ((walk.x[:-1] - walk.rho[1:]) / sigma - walk.u[1:] for walk in (weak, strong))
    assert torch.allclose(first, second, atol=1e-4) and (weak.x - strong.x).abs().max() > 0.5


def test_the_reach_holds_every_kl_and_return(scene):
    highest, low, high = study.reach(scene)
    all_kl, returns = [], [0.0]
    for alpha in torch.logspace(-1, 1, 7).tolist():
        *_, kl, reward = by_hand(scene, alpha)
        all_kl.append(float(kl.max()))
        returns += [*(-alpha * kl.sum(0)).tolist(), *(reward - alpha * kl.sum(0)).tolist()]
    assert (highest, low, high) == pytest.approx((max(all_kl), min(returns), max(returns)), rel=1e-3)


def ring_around(centre, radius):
    angle = np.linspace(0, 2 * np.pi, 73)
    return np.asarray(centre) + radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def assert_map(panel, found):
    x, t, rho, u = (np.asarray(a) for a in (found.path, found.t, found.rho, found.u))
    shown = panel.density.get_array()
    assert np.allclose(shown, found.density.numpy().T) and panel.density.get_clim() == (0, 2 * shown.max())
    assert np.allclose(points(panel.path), x[t - 1 :])
    assert np.allclose(points(panel.before), ring_around(rho, found.sigma), atol=1e-5)
    assert np.allclose(points(panel.after), ring_around(rho + found.sigma * u, found.sigma), atol=1e-5)
    assert np.allclose(points(panel.state), x[t]) and np.allclose(points(panel.action), x[t - 1])


def assert_names(shown, u):
    """Each beside its own circle, at the side away from the other one, and inside the panel."""
    theirs, ours = (np.array(name.get_position()) for name in shown.names)
    up = 1.35 if u[1] > 0 else -1.35
    assert np.allclose(theirs, (0, -up)) and np.allclose(ours, (np.clip(u[0], -2, 2), np.clip(u[1] + up, -3, 3)))
    if 1e-3 < np.abs(u[1]) < 1.6:
        assert abs(theirs[1]) < abs(theirs[1] - u[1]) and abs(ours[1] - u[1]) < abs(ours[1])


def assert_step(shown, found, T):
    """Every artist of the four panels, and the line above them."""
    t, u, fees = found.t, found.u.numpy(), found.fees.numpy()
    assert_map(shown.map, found)
    assert np.allclose(points(shown.shift), [[0, 0], u])
    assert np.allclose(points(shown.after), ring_around(u, 1), atol=1e-5)
    assert np.allclose(points(shown.action), found.action.numpy().clip(-3, 3))
    assert_names(shown, u)
    assert [bar.get_height() for bar in shown.kl] == pytest.approx(found.kl[1:].tolist())
    assert [bar.get_x() + bar.get_width() / 2 for bar in shown.kl] == pytest.approx(range(1, T + 1))
    for s, bar in enumerate(shown.kl, start=1):
        now = plots.TUNED if s == t else (*to_rgba(plots.TUNED)[:3], 0.4) if s > t else plots.PRETRAINED
        assert (
            bar.get_facecolor()[:3] == to_rgba(now)[:3]
            and bar.get_facecolor()[3] == (1, 0.4, 0.2)[(s > t) + 2 * (s < t)]
        )
    assert np.allclose(points(shown.fees), np.stack([np.arange(t - 1, T + 1), fees[t - 1 :]], 1))
    assert np.allclose(points(shown.reward), [[0, fees[0]], [0, fees[0] + found.reward]], atol=1e-6)
    assert shown.reward.get_visible() == (t == 1)
    expected = f"Step {T + 1 - t} of {T}, t = {t};  α = {found.alpha:.3g};  particle {found.particle}"
    assert shown.settings.get_text() == expected


def test_every_artist_follows_the_answer(scene):
    """At three settings and the first again, so that an artist that is left behind shows."""
    shown = view.StepView(scene)
    for settings in (*SETTINGS, SETTINGS[0]):
        found = study.answer(scene, **settings)
        shown.draw(found)
        assert_step(shown, found, 20)


def test_an_action_beyond_its_panel_waits_at_the_edge(scene):
    far = max((study.answer(scene, step=s, alpha=0.1, particle=p) for s in range(1, 21) for p in range(1, 9)), key=away)
    shown = view.StepView(scene)
    shown.draw(far)
    assert away(far) > 3 and np.abs(points(shown.action)).max() == 3
    assert np.allclose(points(shown.action), far.action.numpy().clip(-3, 3))


def away(found):
    return float(found.action.abs().max())


def test_the_colours_are_those_of_their_roles(scene):
    shown = view.StepView(scene)
    tuned = (shown.map.path, shown.map.after, shown.map.state, shown.map.action, shown.shift, shown.after, shown.fees)
    assert {line.get_color() for line in (*tuned, shown.action)} == {plots.TUNED}
    assert shown.map.before.get_color() == plots.PRETRAINED and shown.map.before.get_linestyle() == "--"
    assert shown.reward.get_color() == plots.REWARD
    assert shown.map.state.get_markerfacecolor() == plots.TUNED and shown.map.action.get_markerfacecolor() == "white"
    assert shown.action.get_markerfacecolor() == "white"
    inked = shown.map.density.cmap(0.5)[:3]
    assert inked == pytest.approx(to_rgba(plots.PRETRAINED)[:3], abs=0.01)
    mark, where = shown.picture.figure.axes[1].lines[:2]
    assert np.allclose(points(mark), ring_around((0, 0), 1), atol=1e-5) and mark.get_color() == plots.PRETRAINED
    assert points(where).tolist() == [[0, 0]] and where.get_color() == plots.PRETRAINED


def test_what_stands_still_is_named_and_to_scale(scene):
    figure = view.StepView(scene).picture.figure
    plane, action, kl, returns = figure.axes
    titles = [title(ax) for ax in figure.axes]
    assert titles[0] == "State: ● on $p_t$.  Action: ○" and titles[1] == "Two Gaussians, in units of $σ_t$"
    assert titles[2] == "KL$_t$ of the step from $x_t$ (square-root axis)" and kl.get_yscale() == "function"
    assert titles[3].startswith("Return so far") and returns.get_xlabel() == "t"
    named = [("pretrained, at 0", plots.PRETRAINED), ("policy, at u", plots.TUNED)]
    assert [(text.get_text(), text.get_color()) for text in action.texts] == named
    assert plane.get_xlim() == plane.get_ylim() == (-3.7, 3.7) and action.get_xlim() == action.get_ylim() == (-3, 3)
    assert kl.get_xlim() == returns.get_xlim() == (20.6, -0.6)
    highest, low, high = study.reach(scene)
    assert kl.get_ylim() == pytest.approx((0, 1.1 * highest))
    assert returns.get_ylim() == pytest.approx((low - 0.1 * (high - low), high + 0.1 * (high - low)))
    assert kl.get_yticks()[0] == 0 and all(highest / 20 <= tick <= highest for tick in kl.get_yticks()[1:])
    lines = [line for line in returns.lines if points(line)[:, 1].tolist() == [0, 0]]
    assert len(lines) == 1 and lines[0].get_color() == plots.PRETRAINED


def test_the_contours_are_those_of_the_reward(scene):
    drawn: Any
    (drawn,) = view.Map(plt.figure().subplots(), scene).moving[1:-5]
    plt.close()
    assert len(drawn.levels) == 4 and np.allclose(drawn.get_edgecolor()[:, :3], to_rgba(plots.REWARD)[:3])
    for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
        assert len(path.vertices) > 20
        heights = wave(torch.as_tensor(path.vertices)).numpy()
        assert np.abs(heights - level).max() < 0.03 and np.abs(path.vertices).max() <= 3.7


def test_the_map_stands_alone(scene):
    ax, found = plt.figure().subplots(), study.answer(scene, step=15, alpha=0.2, particle=3)
    panel = view.Map(ax, scene, title="t = 6")
    panel.draw(found)
    assert_map(panel, found)
    assert title(ax) == "t = 6"
    plt.close()


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_close_up_is_the_map_around_the_step(scene, settings):
    ax, found = plt.figure().subplots(), study.answer(scene, **settings)
    assert_map(view.close_up(ax, scene, found), found)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert (right - left, high - low) == pytest.approx((2.6, 2.6))
    assert ((left + right) / 2, (low + high) / 2) == pytest.approx(tuple(found.rho.tolist()), abs=1e-5)
    expected = (found.t, round(found.sigma, 2), round(float(found.kl[found.t]), 2))
    assert title(ax) == "t = {}: $σ_t$ = {:.2f}, KL {:.2f} nats".format(*expected)
    plt.close()


def test_the_return_to_go_is_the_reward_less_what_is_left_to_pay():
    e = study.episodes()
    assert torch.equal(e.ours[0], e.theirs[0]) and e.ours.shape == (21, 50, 3)
    u = (e.ours - e.theirs).double() / e.sigma[:, None, None]
    for t in (0, 1, 7, 20):
        left = sum(float(u[s, 3].square().sum()) / 2 for s in range(1, t + 1))
        assert float(study.to_go(e, alpha=0.2)[t, 3]) == pytest.approx(float(e.r[3]) - 0.2 * left, abs=1e-4)


def test_every_slip_of_the_return_to_go_is_another_return():
    e = study.episodes()
    returns = [study.to_go(e, alpha=0.2), *study.to_go_slips(e, alpha=0.2).values()]
    for i, one in enumerate(returns):
        assert one.shape == (21, 50) and all((one - other).abs().max() > 0.1 for other in returns[:i])


def test_the_planted_bug_counts_minus_the_kl():
    policy = SteeredPolicy(worlds.ring(T=20).pretrained, Drift())
    analytic, sampled = bugs.count_twice(policy, 4000, torch.Generator().manual_seed(0))
    assert analytic.mean() > 0.1
    assert abs(analytic.mean() + sampled.mean()) < 4 * (2 * analytic.mean() / 4000).sqrt()


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_words_say_the_arrays(scene, settings):
    t, i, alpha = 21 - settings["step"], settings["particle"] - 1, settings["alpha"]
    x, _, u, kl, reward = by_hand(scene, alpha)
    text, earned = view.in_words(study.answer(scene, **settings)), float(reward[i]) if t == 1 else 0.0
    sentence = (
        f"<b>State</b> t = {t}, x<sub>{t}</sub> = (#, #). <b>Action</b> x<sub>{t - 1}</sub> = (#, #), from a policy "
        f"whose mean is ‖u‖ = # widths from the pretrained one: <b>KL<sub>{t}</sub> = ½·#² = # nats</b>.<br>KL so far "
        f"# nats at α = #; {'r(x<sub>0</sub>) = #' if t == 1 else 'no reward yet'}; <b>return so far #</b>."
    )
    away, paid = float(u[t, i].norm()), float(kl[t:, i].sum())
    expected = [*x[t, i].tolist(), *x[t - 1, i].tolist(), away, away, float(kl[t, i]), paid, alpha]
    expected += [float(reward[i])] * (t == 1) + [earned - alpha * paid]
    assert numbers(sentence, text) == pytest.approx(expected, abs=0.006)
    assert "-" not in text


WORLDS = {name: getattr(worlds, name)(T=10) for name in ("ring", "grid")}


@pytest.mark.parametrize(("world", "reward"), [(w, r) for w in WORLDS for r in WORLDS[w].rewards])
def test_random_settings_in_every_world_give_their_picture_and_words(world, reward):
    here, settings = study.scene(WORLDS[world].with_reward(reward)), random.Random(world + reward)
    shown, top = view.StepView(here), study.reach(here)[0]
    for _ in range(20):
        chosen: dict[str, Any] = dict(
            step=settings.randint(1, 10), alpha=10 ** settings.uniform(-1, 1), particle=settings.randint(1, 8)
        )
        found = study.answer(here, **chosen)
        shown.draw(found)
        assert_step(shown, found, 10)
        assert float(found.kl.max()) <= 1.1 * top, "beyond its panel"
        text = view.in_words(found)
        assert "nan" not in text and "−0.00" not in text and ("r(x" in text) == (found.t == 1)
    assert shown.picture.frame().startswith(b"\xff\xd8")


def test_all_that_moves_is_drawn_anew(scene):
    shown = view.StepView(scene)
    moving = {
        *shown.map.moving,
        shown.settings,
        shown.shift,
        shown.after,
        shown.action,
        *shown.names,
        *shown.kl,
        shown.fees,
        shown.reward,
    }
    assert moving == set(shown.picture.moving)
    assert {shown.map.density, shown.map.path, shown.map.before, shown.map.after} < moving
    assert {shown.map.state, shown.map.action} < moving


def test_a_still_is_the_picture_at_its_settings(scene):
    shown = view.StepView(scene)
    for settings in ({}, dict(step=20, alpha=2.0, particle=4)):
        shown.draw(study.answer(scene, **(SETTINGS[0] | settings)))
        picture = still(scene, **settings).data
        assert picture == shown.picture.still().data and picture.startswith(b"\x89PNG")


def test_without_a_scene_it_is_ring_with_twenty_steps():
    here = study.scene()
    assert (here.world.name, here.T) == ("ring", 20) and here.reward is here.world.reward
    assert still().data == still(here).data


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (dict(step=21), ValueError, r"step must be a whole number in 1\.\.20, got 21"),
        (dict(step=0), ValueError, "step must be a whole number"),
        (dict(particle=9), ValueError, r"particle must be a whole number in 1\.\.8, got 9"),
        (dict(particle=0), ValueError, "particle must be a whole number"),
        (dict(alpha=0.0), ValueError, "alpha must be"),
        (dict(gold=1), TypeError, "gold"),
    ],
)
def test_settings_that_do_not_exist_are_refused(scene, settings, error, words):
    with pytest.raises(error, match=words):
        still(scene, **settings)


def test_the_widget_answers_each_of_its_controls(scene):
    box = play(scene)
    controls = [control for column in box.children[0].children for control in column.children]
    image, text = box.children[1:]
    assert [control.description for control in controls] == ["step", "α", "particle"]
    assert [(c.min, c.max) for c in controls] == [(1, 20), (-1, 1), (1, 8)]
    shown, settings = view.StepView(scene), dict(SETTINGS[0])
    for control, name, value in zip(
        [None, *controls], ("step", "step", "alpha", "particle"), (15, 20, 0.5, 4), strict=True
    ):
        settings[name] = value
        if control:
            control.value = value
        found = study.answer(scene, **settings)
        shown.draw(found)
        assert image.value == shown.picture.frame() and text.value == view.in_words(found)


class Drift(nn.Module):
    """u_t(x_t) = (0.2, −0.1) − 0.15 x_t: linear, so that x_0 stays Gaussian."""

    def forward(self, x_t, t):
        return torch.tensor([0.2, -0.1]) - 0.15 * x_t


def test_the_law_of_x_0_of_a_steered_gaussian_chain():
    """One Gaussian as data: pretrained against the oracle's recursion, steered against the same with σ_t u added."""
    mean, std = torch.tensor([0.6, -0.3]), 0.5
    pretrained = chain(GaussianMixture(torch.ones(1), mean[None], stds=torch.tensor([std])), 20)
    schedule, grid = pretrained.schedule, Grid(5.0, 161)
    eye = torch.eye(2, dtype=torch.float64)
    assert moments(law_of_x_0(pretrained, grid), grid) == pytest.approx(
        flat(*gaussian_chain(mean.double(), std**2 * eye, schedule)), abs=1e-3
    )
    centre, spread = torch.zeros(2, dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for t in range(20, 0, -1):
        level, signal, carry, sigma = (
            a[t].double() for a in (schedule.alpha_bar, schedule.signal, schedule.carry, schedule.sigma)
        )
        gain = level.sqrt() * std**2 / (level * std**2 + 1 - level)
        slope = signal * gain + carry - 0.15 * sigma
        push = sigma * torch.tensor([0.2, -0.1], dtype=torch.float64)
        centre = slope * centre + signal * (mean - level.sqrt() * gain * mean) + push
        spread = slope.square() * spread + sigma.square()
    steered = law_of_x_0(SteeredPolicy(pretrained, Drift()), grid)
    assert steered.sum().item() == pytest.approx(1)
    assert moments(steered, grid) == pytest.approx(flat(centre, spread * eye), abs=1e-3)


def flat(mean, covariance):
    return [*mean.tolist(), *covariance.flatten().tolist()]


def moments(mass, grid):
    points, weights = grid.points.double(), mass.reshape(-1, 1)
    mean = (weights * points).sum(0)
    return flat(mean, (weights * (points - mean)).T @ (points - mean))
