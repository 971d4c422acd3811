"""06_2's two gaps, its stored rows, its planted bug and the figures of both, against the library by another way."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tutorial_lib import assets, quiz, worlds
from tutorial_lib.exact import SoftValues
from tutorial_lib.guidance import sequential_monte_carlo, values
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.notebooks.s06_2_value_weighted_sampling import bugs, crowds_study, figures, gaps_study
from tutorial_lib.policies import rollout

from ..oracles import seeded

M = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-1.0, 2.0]])
STD, ALPHA = 0.6, 0.5


@pytest.mark.parametrize("t", [2, 15, 40])
def test_the_average_reward_is_that_of_draws_of_the_posterior(t):
    ring = worlds.ring()
    x = rollout(ring.pretrained, 3, generator=seeded(0)).x[t]
    for row, expected in zip(x, gaps_study.average(ring, x, t), strict=True):
        posterior = ring.mixture.posterior(row.unsqueeze(0), ring.schedule.alpha_bar[t])
        which = torch.multinomial(posterior.weights[0], 20_000, replacement=True, generator=seeded(1))
        std = posterior.covariances.reshape(-1, 2, 2)[0, 0, 0].sqrt()
        draws = posterior.means[0][which] + std * torch.randn(20_000, 2, generator=seeded(2))
        r = ring.reward(draws)
        assert abs(r.mean() - expected) < 5 * r.std() / 20_000**0.5


def test_the_average_reward_of_a_clean_sample_is_its_reward():
    ring, x = worlds.ring(), torch.randn(4, 2, generator=seeded(0))
    assert torch.equal(gaps_study.average(ring, x, 0), ring.reward(x))
    with pytest.raises(ValueError, match="expected a world whose law is known, got two_moons"):
        gaps_study.average(worlds.make("two_moons"), x, 3)


def test_the_gaps_of_a_gaussian_in_closed_form():
    b, c = torch.tensor([1.0, 0.5]), torch.tensor([2.0, 0.5])
    truth, slips = gaps_study.exercise(M, b, c, STD, ALPHA)
    k, distance = 1 + 2 * STD**2 / ALPHA, (M.double() - c).square().sum(1)
    second = distance * (1 - 1 / k) + 2 * STD**2 - ALPHA * math.log(k)
    flat = torch.ones(3, dtype=torch.float64)
    expected = [[0 * flat, flat * STD**2 * 1.25 / (2 * ALPHA)], [-2 * STD**2 * flat, second]]
    torch.testing.assert_close(truth, torch.stack([torch.stack(row) for row in expected]), atol=1e-9, rtol=1e-9)
    assert len(slips) == 4 and all(slip.shape == truth.shape for slip in slips.values())
    assert all(not torch.allclose(slip, truth, rtol=0.05) for slip in slips.values())


def test_the_second_order_slip_is_right_for_a_large_alpha():
    b, c = torch.tensor([1.0, 0.5]), torch.tensor([2.0, 0.5])
    truth, slips = gaps_study.exercise(M, b, c, STD, 1000.0)
    (expanded,) = (slip for name, slip in slips.items() if "Var" in name)
    torch.testing.assert_close(expanded, truth, rtol=0.01, atol=1e-9)


def test_the_gaps_are_what_lies_between_tweedie_and_the_value():
    """Along the ring's chain: the sum of both is v − r(x̂_0), with v from the grid of the discrete chain."""
    ring = worlds.ring()
    soft = SoftValues(ring.pretrained, ring.reward, alpha=ring.alpha, extent=ring.extent, grid=81)
    x, t = rollout(ring.pretrained, 200, generator=seeded(0)).x, 12
    guess, average, value = (
        values.Tweedie(ring.pretrained, ring.reward)(x[t], t),
        gaps_study.average(ring, x[t], t),
        soft(x[t], t),
    )
    assert (average < guess).all() and (value > average - 0.02).all()


@pytest.mark.parametrize("kind", ["disc", "peak", "svdd"])
def test_the_rows_are_those_of_the_asset(kind):
    sizes, rows = crowds_study.rows(kind)
    stored = assets.load("ring_crowds")
    assert sizes == [1, 4, 16, 64, 256] and set(rows) == {n.split(", ", 1)[1] for n in stored if n.startswith(kind)}
    assert all(torch.equal(row, stored[f"{kind}, {name}"]) and row.shape == (5, 5) for name, row in rows.items())
    assert set(rows) <= {*figures.INKS, *figures.ARMS}


def test_a_stored_bound_comes_out_again():
    """Another seed and half the particles, of the peak's tempered crowds and of those without a value on the disc."""
    ring = worlds.ring()
    guess = values.Tweedie(ring.pretrained, ring.reward)
    tempered = dict(
        proposal=ValueWeightedPolicy(ring.pretrained, guess, alpha=ring.alpha),
        temper=[2 ** ((50 - t) / 50) - 1 for t in range(51)],
    )
    disc = ring.with_reward("disc")
    cases: list[tuple] = [
        (ring, guess, tempered, "peak", "tempered, too"),
        (disc, lambda x, t: torch.zeros(len(x)) if t else disc.reward(x), {}, "disc", "none"),
    ]
    for world, value, how, kind, name in cases:
        soft = SoftValues(world.pretrained, world.reward, alpha=world.alpha, extent=5.0, grid=81)
        options = dict(alpha=world.alpha, n=16, clouds=128, generator=seeded(50))
        bound = world.alpha * sequential_monte_carlo.sample(world.pretrained, value, **options, **how).log_z.mean()
        found = (soft.tilted_optimum - float(bound)) / (soft.tilted_optimum - soft.pretrained_objective)
        stored = crowds_study.rows(kind)[1][name][2]
        assert abs(found - stored.mean()) < 5 * stored.std() + 0.002


def test_j_star_of_the_disc_and_the_slips():
    """p_pre(disc) by samples: Z = 1 − p + p e^{1/α}."""
    disc, log_z = worlds.ring().with_reward("disc"), torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64)
    p = disc.reward(rollout(disc.pretrained, 200_000, generator=seeded(0)).x_0).mean().item()
    truth, slips = crowds_study.best_objective(disc, log_z)
    assert truth == pytest.approx(disc.alpha * math.log(1 - p + p * math.exp(1 / disc.alpha)), abs=0.01)
    bound, at_one, total, z = slips.values()
    mean = (math.exp(2) + math.exp(3) + math.exp(4)) / 3
    assert (bound, at_one) == pytest.approx((disc.alpha * 3, math.log(mean)))
    assert (total, z) == pytest.approx((disc.alpha * math.log(3 * mean), mean))


def test_rows_are_drawn_with_their_spread():
    figure, ax = plt.subplots()
    rows = {"none": torch.tensor([[1.0, 3.0], [0.5, 0.5]]), "exact v": torch.tensor([[1.0, 1.0], [0.0, 0.2]])}
    figures.show_rows(ax, [1, 4], rows, figures.INKS)
    assert [container.get_label() for container in ax.containers] == ["exact v", "none"]
    for container in ax.containers:
        line, _, (bars,) = container.lines
        row = rows[container.get_label()]
        np.testing.assert_allclose([float(y) for y in line.get_ydata()], row.mean(1))
        ends = torch.stack([row.mean(1) - row.std(1), row.mean(1) + row.std(1)], 1)
        np.testing.assert_allclose(np.stack(bars.get_segments())[:, :, 1].astype(float), ends, rtol=1e-6)
        assert line.get_color() == figures.INKS[container.get_label()]
    plt.close(figure)


def test_the_planted_bug_is_the_only_one():
    """Mended in its line it finds log Z; as it is it claims far more."""
    disc = worlds.ring(20).with_reward("disc")
    guess = values.Tweedie(disc.pretrained, disc.reward)
    bug = quiz.bug(bugs.crowd)
    assert bug.lines[bug.line - 1].strip() == "x = x[chosen]" and len(bug.lines) <= 25
    source = "\n".join(bug.lines).replace("x = x[chosen]", "x, v = x[chosen], v[chosen]")
    mended: dict = dict(vars(bugs))
    exec(source, mended)
    soft = SoftValues(disc.pretrained, disc.reward, alpha=disc.alpha, extent=5.0, grid=81, tolerance=0.05)
    claimed = {
        name: torch.stack([crowd(disc.pretrained, guess, disc.alpha, 64, seeded(s))[1] for s in range(40)]).double()
        for name, crowd in (("wrong", bugs.crowd), ("mended", mended["crowd"]))
    }
    z = (claimed["mended"] - soft.tilted_optimum / disc.alpha).exp()
    assert abs(z.mean() - 1) < 4 * z.std() / 40**0.5
    assert disc.alpha * claimed["wrong"].mean() > 2 * soft.tilted_optimum


def test_gaps_are_drawn_one_by_one_and_together():
    first, second = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([1.0, 4.0, 9.0])
    figure = figures.show_gaps(first, second, "Two gaps")
    lines = {line.get_label()[0]: line for line in figure.axes[0].lines[:3]}
    for name, row in (("1", first), ("2", second), ("b", first + second)):
        assert list(lines[name].get_xdata()) == [1, 2, 3]
        np.testing.assert_allclose([float(y) for y in lines[name].get_ydata()], row)
    assert figure.axes[0].get_title(loc="left") == "Two gaps" or figure.axes[0].get_title() == "Two gaps"
    plt.close(figure)


def test_pairs_are_bars_with_their_numbers():
    figure = figures.show_pairs({"a": (0.3, 0.01), "b": (-0.001, 0.002)}, {"a": (0.1, 0.0), "b": (0.02, 0.0)}, "Bars")
    (ax,) = figure.axes
    assert [[bar.get_width() for bar in bars] for bars in ax.containers] == [[0.3, 0.0], [0.1, 0.02]]
    assert [text.get_text() for text in ax.texts] == ["30.0 ± 1.0 %", "-0.1 ± 0.2 %", "10.0 ± 0.0 %", "2.0 ± 0.0 %"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert all(lower.get_y() < upper.get_y() for lower, upper in zip(*ax.containers, strict=True))
    plt.close(figure)
