"""evaluate's errors against their spread over seeds; distances against closed forms and their own noise floor."""

import copy
import math

import pytest
import torch
from scipy import stats
from torch import nn

from tutorial_lib.denoisers import UNetDenoiser, initial_weights
from tutorial_lib.metrics import (
    Report,
    compare,
    energy_distance,
    evaluate,
    quiet_objective,
    report,
    rollout_with_kl,
    sliced_wasserstein,
)
from tutorial_lib.policies import DenoisingPolicy, RetunedPolicy, SteeredPolicy, rollout
from tutorial_lib.rewards import ink
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import RING_ALPHA, RING_REWARD, ring, seeded


class Constant(nn.Module):
    """u_t = (0.3, −0.1) at every x and t: its path KL is T · 0.05."""

    def forward(self, x_t, t):
        return torch.tensor([0.3, -0.1]).expand_as(x_t)


class Pull(nn.Module):
    def forward(self, x_t, t):
        return 0.2 * (torch.tensor([2.0, 0.5]) - x_t)


def normal(n, seed, shift=0.0, dim=2):
    x = torch.randn(n, dim, generator=seeded(seed))
    x[:, 0] += shift
    return x


def test_the_pretrained_policy_has_no_kl():
    report = evaluate(ring(10), RING_REWARD, alpha=0.7, n=1000, generator=seeded(0))
    assert report.kl == report.kl_se == 0 and report.objective == report.reward
    assert report.objective_se == report.reward_se > 0 and (report.alpha, report.n) == (0.7, 1000)


def test_a_constant_shift_has_its_kl_without_error():
    report = evaluate(SteeredPolicy(ring(10), Constant()), RING_REWARD, alpha=0.7, n=1000, generator=seeded(0))
    assert report.kl == pytest.approx(10 * 0.05, rel=1e-5) and report.kl_se <= 1e-6
    assert report.objective == pytest.approx(report.reward - 0.7 * 0.5, rel=1e-5)


def test_the_numbers_are_those_of_the_rollout():
    policy = SteeredPolicy(ring(10), Pull())
    report = evaluate(policy, RING_REWARD, alpha=0.5, n=500, generator=seeded(3))
    path, kl = rollout_with_kl(policy, 500, generator=seeded(3))
    with torch.no_grad():
        by_hand = torch.stack([policy.kl(path.x[t], t) for t in range(1, 11)]).sum(0)
    assert torch.allclose(kl, by_hand, rtol=1e-4)
    assert torch.allclose(path.x, rollout(policy, 500, generator=seeded(3)).x, atol=1e-5)
    r = RING_REWARD(path.x_0)
    assert report.reward == pytest.approx(r.mean().item(), rel=1e-5)
    assert report.kl == pytest.approx(by_hand.mean().item(), rel=1e-5)
    assert report.objective_se == pytest.approx((r - 0.5 * by_hand).std().item() / 500**0.5, rel=1e-4)


def test_images_are_evaluated_in_batches(monkeypatch):
    """By hand: the same generator, three batches of 4, 4 and 2."""
    with initial_weights(0):
        denoiser = UNetDenoiser(NoiseSchedule.cosine(3), (4, 4), channels=(8, 8, 8))
    policy = RetunedPolicy(DenoisingPolicy(denoiser, denoiser.schedule), copy.deepcopy(denoiser))
    with torch.no_grad():
        policy.denoiser.get_parameter("head.2.weight").mul_(1.5)
    monkeypatch.setattr(report, "PIXELS", 4 * 16)
    found, g = evaluate(policy, ink, alpha=0.1, n=10, generator=seeded(0)), seeded(0)
    parts = [rollout_with_kl(policy, n, generator=g) for n in (4, 4, 2)]
    r, kl = torch.cat([ink(path.x_0) for path, _ in parts]), torch.cat([kl for _, kl in parts])
    assert (found.reward, found.kl) == pytest.approx((r.mean().item(), kl.mean().item()), rel=1e-5)
    assert found.kl_se == pytest.approx(kl.std().item() / 10**0.5, rel=1e-4)


def test_standard_errors_are_the_spread_over_seeds():
    """120 runs: each error within 25 % of the spread (its own standard error is 6.5 %)."""
    policy = SteeredPolicy(ring(10), Pull())
    runs = [evaluate(policy, RING_REWARD, alpha=RING_ALPHA, n=400, generator=seeded(s)) for s in range(120)]
    for name in ("reward", "kl", "objective"):
        spread = torch.tensor([getattr(run, name) for run in runs]).std().item()
        stated = sum(getattr(run, f"{name}_se") for run in runs) / len(runs)
        assert stated == pytest.approx(spread, rel=0.25)


def test_the_quiet_objective_is_j_with_the_spread_over_seeds_as_its_error():
    """100 runs: J of r − α Σ log-ratio from the two densities of each path, the error within 25 % of the spread."""
    policy = SteeredPolicy(ring(10), Pull())
    runs = [quiet_objective(policy, RING_REWARD, alpha=RING_ALPHA, n=200, generator=seeded(s)) for s in range(100)]
    means, errors = torch.tensor(runs).T
    path = rollout(policy, 200, generator=seeded(0))
    with torch.no_grad():
        ratio = (policy.log_prob(path) - policy.pretrained.log_prob(path)).sum(0)
    J = RING_REWARD(path.x_0) - RING_ALPHA * ratio
    assert runs[0] == pytest.approx((J.mean().item(), J.std().item() / 200**0.5), rel=1e-3)
    assert errors.mean().item() == pytest.approx(means.std().item(), rel=0.25)
    exact = evaluate(policy, RING_REWARD, alpha=RING_ALPHA, n=20_000, generator=seeded(1000))
    assert abs(means.mean().item() - exact.objective) <= 4 * (means.var().item() / 100 + exact.objective_se**2) ** 0.5


def test_alpha_zero_counts_the_reward_alone():
    report = evaluate(SteeredPolicy(ring(5), Constant()), RING_REWARD, alpha=0, n=100, generator=seeded(0))
    assert report.objective == report.reward and report.kl > 0


def test_a_report_reads_as_a_line():
    text = str(Report(-1.5, 1.0, -2.0, 0.01, 0.02, 0.03, 0.5, 100))
    assert text == "reward -1.500 ± 0.010, KL 1.000 ± 0.020, J -2.000 ± 0.030 (α = 0.5, n = 100)"


def test_in_one_dimension_sliced_wasserstein_is_wasserstein():
    x, y = normal(2000, 0, dim=1), 1.7 * normal(2000, 1, 0.4, dim=1)
    exact = stats.wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert sliced_wasserstein(x, y, generator=seeded(0)) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_a_shift_is_seen_at_its_size(shift):
    """A shift by d moves a projection by |cos| d: W_1 = 2d/π in the plane. Directions: 2000, s.e. 0.5 %."""
    x = normal(3000, 0)
    moved = x + torch.tensor([shift, 0.0])
    value = sliced_wasserstein(x, moved, generator=seeded(0), projections=2000)
    assert value == pytest.approx(2 * shift / math.pi, rel=0.03)


def test_the_energy_distance_is_closed_form_in_one_dimension():
    """Between N(0, 1) and N(d, 1): 2 E|X−Y| − 2 E|X−X′| by the folded normal."""
    d, s = 1.0, math.sqrt(2)
    folded = s * math.sqrt(2 / math.pi) * math.exp(-(d**2) / 4) + d * math.erf(d / 2)
    exact = 2 * folded - 2 * s * math.sqrt(2 / math.pi)
    values = torch.tensor(
        [energy_distance(normal(1000, 2 * s, dim=1), normal(1000, 2 * s + 1, d, 1)) for s in range(20)]
    )
    assert abs(values.mean().item() - exact) <= 4 * values.std().item() / 20**0.5


DISTANCES = {
    "sliced": lambda x, y: sliced_wasserstein(x, y, generator=seeded(0)),
    "energy": energy_distance,
}


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_grows_with_the_shift_and_rests_at_its_floor(name):
    seeds = iter(range(1000, 2000))
    results = [
        compare(DISTANCES[name], normal(1000, 7, shift), lambda n: normal(n, next(seeds)))
        for shift in (0, 0.3, 1.0, 3.0)
    ]
    values = [result.value for result in results]
    assert values == sorted(values)
    equal, far = results[0], results[-1]
    assert abs(equal.value - equal.floor) <= 4 * max(equal.value_sd, equal.floor_sd)
    assert far.value > 10 * (abs(far.floor) + far.floor_sd)


def test_an_unbiased_distance_is_zero_on_average():
    values = torch.tensor([energy_distance(normal(200, 2 * s), normal(200, 2 * s + 1)) for s in range(60)])
    assert abs(values.mean().item()) <= 4 * values.std().item() / 60**0.5
    assert values.min() < 0 < values.max()


def test_images_are_compared_as_vectors():
    x, y = torch.randn(2, 50, 1, 4, 4, generator=seeded(0))
    for distance in DISTANCES.values():
        assert distance(x, y) == pytest.approx(distance(x.flatten(1), y.flatten(1)), rel=1e-6)


def test_compare_measures_each_side_by_itself_and_says_so():
    """A distance that counts upwards: two against the truth, 1 and 2, then two floors, 3 and 5 by the steps below."""
    distances, drawn, asked = iter([1.0, 2.0, 3.0, 5.0]), list[torch.Tensor](), list[tuple]()

    def draw(n):
        drawn.append(normal(n, len(drawn)))
        return drawn[-1]

    def distance(a, b):
        asked.append((a, b))
        return next(distances)

    x = normal(100, 99)
    found = compare(distance, x, draw, repeats=2)
    assert [a is x for a, _ in asked] == [True, True, False, False] and len(drawn) == 6
    assert (found.value, found.value_sd, found.floor, found.floor_sd) == pytest.approx((1.5, 0.5**0.5, 4.0, 2**0.5))
    assert str(found) == "1.5000 ± 0.7071 (floor 4.0000 ± 1.4142)"
