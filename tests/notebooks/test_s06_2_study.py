"""What a setting of 06_2 gives: each sampler's points and numbers against the library's samplers called by hand."""

import math

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.exact import GridValues
from tutorial_lib.guidance import sequential_monte_carlo
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.metrics import energy_distance, rollout_with_kl
from tutorial_lib.notebooks.s06_2_value_weighted_sampling import study
from tutorial_lib.policies import rollout

from ..oracles import RING_REWARD, seeded
from .s06_2_scenes import ALPHAS, fields, scene, wild, world


@pytest.fixture(scope="module")
def ring():
    return world("ring")


@pytest.fixture(scope="module")
def found():
    return scene()


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("name", study.ESTIMATORS)
def test_every_estimator_is_on_the_grid_under_its_name_and_alpha(found, name, alpha):
    values, held = fields()[name, alpha], found.values[name, alpha]
    torch.testing.assert_close(found.beliefs[name, alpha], values[study.BELIEVED_AT], atol=1e-4, rtol=1e-4)
    middle = found.tilted.grid.points.reshape(study.GRID, study.GRID, 2)[9:72:7, 5:76:5]
    for t in (0, 1, 13, 50):
        torch.testing.assert_close(
            held(middle.reshape(-1, 2), t).double(), values[t, 9:72:7, 5:76:5].reshape(-1), atol=1e-3, rtol=1e-3
        )


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("name", "strength"), [(study.EXACT, 1.0), (study.EXACT, 2.2), (study.MONTE_CARLO, 0.6)])
def test_algorithm_4_is_steered_by_that_value_alpha_and_strength(ring, found, name, alpha, strength):
    value = GridValues(fields()[name, alpha], found.tilted.grid)
    policy = ValueWeightedPolicy(ring.pretrained, value, alpha=alpha, strength=strength)
    path, kl = rollout_with_kl(policy, study.PARTICLES, generator=seeded(0))
    told = study.answer(found, alpha, strength, study.STEERED, name, 8)
    torch.testing.assert_close(told.x_0, path.x_0, atol=1e-3, rtol=1e-3)
    assert told.kl == pytest.approx(kl.mean().item(), rel=1e-3) and told.thrown == 0
    J = (RING_REWARD(path.x_0) - alpha * kl).double()
    best, gain = found.tilted.at(alpha).objective, gain_of(found, alpha)
    assert told.regret == pytest.approx((best - J.mean().item()) / gain, abs=1e-3)
    assert told.regret_se == pytest.approx(J.std().item() / gain / study.PARTICLES**0.5, rel=1e-3)


def gain_of(found, alpha):
    before = (found.tilted.pretrained * found.tilted.reward).sum()
    return float(alpha * (found.tilted.pretrained.log() + found.tilted.reward / alpha).flatten().logsumexp(0) - before)


@pytest.mark.parametrize(("alpha", "count"), [(0.2, 4), (0.5, 4), (0.5, 64)])
@pytest.mark.parametrize("name", [study.EXACT, study.TWEEDIE])
def test_a_crowd_is_that_many_particles_to_a_cloud(ring, found, name, alpha, count):
    value = GridValues(fields()[name, alpha], found.tilted.grid)
    clouds = study.PARTICLES // count
    path = sequential_monte_carlo.sample(
        ring.pretrained, value, alpha=alpha, n=count, clouds=clouds, generator=seeded(0)
    )
    told = study.answer(found, alpha, 1.7, study.CLOUD, name, count)
    torch.testing.assert_close(told.x_0, path.x_0, atol=1e-3, rtol=1e-3)
    bound = alpha * path.log_z.double()
    best, gain = found.tilted.at(alpha).objective, gain_of(found, alpha)
    assert told.regret == pytest.approx((best - bound.mean().item()) / gain, abs=1e-3)
    assert told.regret_se == pytest.approx(bound.std().item() / gain / clouds**0.5, rel=1e-2)
    assert told.effective == pytest.approx(min(row.mean().item() for row in path.effective), rel=1e-3)
    starts = {tuple(x) for x in path.x[-1].tolist()}
    assert told.ancestors == pytest.approx(len(starts) / study.PARTICLES) and math.isnan(told.kl)


@pytest.mark.parametrize(("alpha", "count"), [(0.2, 2), (0.5, 2), (0.5, 16)])
def test_svdd_chooses_among_that_many_candidates(ring, found, alpha, count):
    value = GridValues(fields()[study.SOFT_Q, alpha], found.tilted.grid)
    path = sequential_monte_carlo.svdd(
        ring.pretrained, value, alpha=alpha, n=study.PARTICLES, candidates=count, generator=seeded(0)
    )
    told = study.answer(found, alpha, 1.7, study.CHOSEN, study.SOFT_Q, count)
    torch.testing.assert_close(told.x_0, path.x_0, atol=1e-3, rtol=1e-3)
    assert math.isnan(told.regret) and math.isnan(told.kl)


@pytest.mark.parametrize("sampler", study.SAMPLERS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_what_an_answer_says_of_its_points(found, sampler, alpha):
    told = study.answer(found, alpha, 1.0, sampler, study.EXACT, 8)
    torch.testing.assert_close(told.rewards, RING_REWARD(told.x_0))
    draws = found.tilted.sample(alpha, torch.rand(study.PARTICLES, 2, generator=seeded(1)))
    assert told.distance == pytest.approx(energy_distance(told.x_0, draws), abs=1e-6)
    target = found.tilted.at(alpha)
    assert torch.equal(told.target.mass, target.mass)
    for i in (0, 40, 90, study.LEVELS - 1):
        level = found.levels[i]
        assert told.below[i] == pytest.approx((told.rewards.double() <= level).double().mean().item(), abs=1e-6)
        assert told.best[i] == pytest.approx(target.mass[found.tilted.reward <= level].sum().item(), abs=1e-6)
        before = found.tilted.pretrained[found.tilted.reward <= level].sum().item()
        assert found.below[i] == pytest.approx(before, abs=1e-6)


def test_the_levels_reach_from_the_low_end_of_the_widest_target_to_the_highest_reward(found):
    mass = found.tilted.at(max(ALPHAS)).mass
    below = mass[found.tilted.reward < found.levels[0]].sum()
    assert below < 0.01 <= below + mass[found.tilted.reward == found.levels[0]].sum() + 1e-9
    assert found.levels[-1] == found.tilted.reward.max() and found.levels.shape == (study.LEVELS,)


@pytest.mark.parametrize("sampler", study.SAMPLERS)
def test_a_good_value_comes_close_and_a_wrong_one_does_not(sampler, found):
    good, wrong = (
        study.answer(found, 0.5, 1.0, sampler, name, 64 if sampler == study.CHOSEN else 32)
        for name in (study.EXACT, study.FLIPPED)
    )
    assert abs(float(good.rewards.mean()) - good.target.reward) < 0.25 and good.distance < 0.1 < 1 < wrong.distance


def test_no_strength_is_the_pretrained_model_and_one_candidate_too(ring, found):
    told = study.answer(found, 0.5, 0.0, study.STEERED, study.EXACT, 1)
    assert told.kl == 0 and torch.equal(told.x_0, rollout(ring.pretrained, study.PARTICLES, generator=seeded(0)).x_0)
    before = float((found.tilted.pretrained * found.tilted.reward).sum())
    for sampler in (study.CLOUD, study.CHOSEN):
        told = study.answer(found, 0.5, 0.0, sampler, study.EXACT, 1)
        assert abs(float(told.rewards.mean()) - before) < 4 * float(told.rewards.std()) / study.PARTICLES**0.5


def test_samples_glide_as_the_strength_moves_and_the_kl_grows(found):
    told = [study.answer(found, 0.5, gamma, study.STEERED, study.EXACT, 1) for gamma in (1.0, 1.05, 2.0)]
    near, far = ((told[0].x_0 - other.x_0).norm(dim=1).median() for other in told[1:])
    assert 0.001 < near < 0.1 < far
    assert told[0].kl < told[1].kl < told[2].kl


def test_particles_that_are_thrown_out_are_in_no_number(ring):
    found = wild()
    told = study.answer(found, 0.5, 1.0, study.STEERED, study.SOFT_Q, 1)
    policy = ValueWeightedPolicy(ring.pretrained, found.values[study.SOFT_Q, 0.5], alpha=0.5)
    path = rollout(policy, study.PARTICLES, generator=seeded(0))
    stayed = (path.x.abs() <= 100).all(2).all(0)
    assert 50 < told.thrown == int((~stayed).sum()) < study.PARTICLES - 50
    torch.testing.assert_close(told.x_0, path.x_0[stayed])
    assert len(told.rewards) == study.PARTICLES - told.thrown and torch.isfinite(told.rewards).all()
    assert all(math.isfinite(number) for number in (told.distance, told.kl, told.regret, told.regret_se))


def test_where_everything_is_thrown_out_there_is_nothing_to_tell():
    told = study.answer(wild(), 0.5, 3.0, study.STEERED, study.MONTE_CARLO, 1)
    assert told.thrown == study.PARTICLES and told.x_0.shape == (0, 2) and told.distance == math.inf
    assert not told.below.any()


def test_what_is_unknown_is_refused(found):
    with pytest.raises(ValueError, match=r"no values of 'magic' at α = 0\.5; known: exact v, .* at \(0\.2, 0\.5\)"):
        study.answer(found, 0.5, 1.0, study.STEERED, "magic", 1)
    with pytest.raises(ValueError, match="unknown sampler 'magic'; known: Algorithm 4"):
        study.answer(found, 0.5, 1.0, "magic", study.EXACT, 1)
    with pytest.raises(ValueError, match="expected a world of points, got digits"):
        study.make_scene(worlds.digits(), {})


def test_beliefs_are_each_estimator_at_each_time(found):
    grid, values = found.tilted.grid, {"first": lambda x, t: x[:, 0] * t, "second": lambda x, t: x[:, 1] + t}
    maps = study.beliefs(values, grid, (40, 3))
    assert list(maps) == ["first", "second"]
    first, second = grid.axis.float()[:, None].expand(81, 81), grid.axis.float()[None].expand(81, 81)
    torch.testing.assert_close(torch.stack(maps["first"]), torch.stack([40 * first, 3 * first]))
    torch.testing.assert_close(torch.stack(maps["second"]), torch.stack([second + 40, second + 3]))
