"""The notebook on soft PPO: runs, looks and targets against the same by hand."""

import itertools
import math
import statistics
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch

from tutorial_lib import assets, worlds
from tutorial_lib.algorithms import soft_ppo
from tutorial_lib.algorithms.values import ValueNetwork
from tutorial_lib.exact import SoftValues, TiltedDensity
from tutorial_lib.metrics import rollout_with_kl
from tutorial_lib.notebooks.s05_1_soft_ppo import bugs, study
from tutorial_lib.policies import SteeredPolicy, rollout
from tutorial_lib.recipes import soft_ppo_rows as rows

from ..oracles import seeded, stirred

LAST = 3  # iterations of a run here, one frame beyond the start


@pytest.fixture(scope="module")
def scene():
    return study.scene()


def test_every_setting_has_its_run_from_one_start(scene):
    assert set(scene.runs) == set(itertools.product(study.ALPHAS, study.CLIPS, study.BATCHES))
    assert len(scene.runs) == 18
    starts = [found.x_0[0] for found in scene.runs.values()]
    assert all(torch.equal(start, starts[0]) for start in starts), "one noise, one network"
    for (alpha, clip, batch), found in scene.runs.items():
        assert found.x_0.shape == (7, 400, 2) and {len(v) for v in (found.objective, found.kl, found.clipped)} == {7}
        assert found.kl[0] == 0 and found.clipped[0] == 0 and scene.goals[alpha].optimum > found.objective.max()
        assert found.objective[-1] > found.objective[0] or (clip, batch) != (0.1, 64), "the default clip learns"
        assert all(torch.isfinite(values).all() for values in (found.x_0, found.objective, found.kl, found.clipped))


@pytest.mark.parametrize(("alpha", "clip", "batch"), [(0.2, 0.1, 64), (2.0, 0.01, 16)])
def test_a_run_is_the_training_of_its_setting(scene, alpha, clip, batch):
    """By hand: the same loop, and J and KL from both policies' log-probabilities of every step. The stored run has the
    same rate of learning so far, half of its iterations being steady."""
    world = worlds.ring(10)
    policy = SteeredPolicy(world.pretrained, width=64)
    plan: dict[str, Any] = dict(alpha=alpha, clip=clip, n=batch, generator=seeded(0))
    shares = [s.extra["clipped"] for s in itertools.islice(soft_ppo.fine_tune(policy, world.reward, **plan), LAST)]
    path = rollout(policy, 400, generator=seeded(0))
    with torch.no_grad():
        paid = (policy.log_prob(path) - world.pretrained.log_prob(path)).sum(0)
    run = scene.runs[alpha, clip, batch]
    assert (run.x_0[1] - path.x_0).abs().max() < 0.01  # stored at half precision
    assert run.clipped[:2].tolist() == pytest.approx([0.0, shares[2]], abs=0.01)
    assert float(run.kl[1]) == pytest.approx(float(paid.mean()), abs=1e-3)
    earned = -(path.x_0 - torch.tensor([2.0, 0.5])).square().sum(1)  # Ring's reward, written out
    assert float(run.objective[1]) == pytest.approx(float((earned - alpha * paid).mean()), abs=1e-2)


def test_the_goals_are_those_of_their_alpha(scene):
    world = worlds.ring(10)
    tilted = TiltedDensity(world.pretrained, world.reward, extent=5.0, grid=121)
    for alpha, goal in scene.goals.items():
        soft = SoftValues(world.pretrained, world.reward, alpha=alpha, extent=5.0, grid=81)
        assert torch.equal(goal.target, tilted.at(alpha).mass)
        assert (goal.optimum, goal.pretrained) == (soft.optimum, soft.pretrained_objective)


def test_a_small_clip_is_slower_and_clips_more(scene):
    small, large = (scene.runs[0.5, clip, 64] for clip in (0.01, 1.0))
    assert small.kl[-1] < large.kl.max() and small.clipped[1:].mean() > large.clipped[1:].mean()


def test_a_look_at_the_pretrained_policy_sees_no_kl():
    world = worlds.ring(6)
    seen = study.look(SteeredPolicy(world.pretrained), world.reward, alpha=0.5, n=500)
    torch.testing.assert_close(seen.sampled, world.reward(seen.x_0) / 0.5)
    torch.testing.assert_close(seen.averaged, seen.sampled)
    assert torch.equal(seen.x_0, study.look(SteeredPolicy(world.pretrained), world.reward, alpha=0.5, n=500).x_0)


def test_both_returns_of_a_look_have_the_same_mean():
    """A constant shift, where Σ log-ratio is Gaussian with mean Σ KL_t and variance twice that."""

    class Constant(torch.nn.Module):
        def forward(self, x, t):
            return torch.full_like(x, 0.3)

    world = worlds.ring(6)
    seen = study.look(SteeredPolicy(world.pretrained, Constant()), lambda x: 0 * x[:, 0], alpha=1.0, n=4000)
    kl = 6 * 0.3**2  # ½‖u‖² in two dimensions, six times
    torch.testing.assert_close(seen.averaged, torch.full((4000,), -kl))
    assert abs(seen.sampled.mean() + kl) < 4 * math.sqrt(2 * kl / 4000)
    assert seen.sampled.var().item() == pytest.approx(2 * kl, rel=0.1)


def test_the_returns_of_a_look_are_in_units_of_alpha_and_from_both_policies():
    world = worlds.ring(6)
    policy = stirred(SteeredPolicy(world.pretrained, width=16), 0.1)
    seen, path = study.look(policy, world.reward, alpha=0.25, n=200), rollout(policy, 200, generator=seeded(0))
    with torch.no_grad():
        paid = (policy.log_prob(path) - world.pretrained.log_prob(path)).sum(0)
        kl = sum(policy.control(path.x[t], t).square().sum(1) / 2 for t in range(1, 7))
    r = 4 * world.reward(path.x_0)
    assert kl.min() > 0.1
    torch.testing.assert_close(seen.sampled, r - paid, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(seen.averaged, r - kl, atol=1e-3, rtol=1e-4)


def test_the_entropy_of_cell_masses_is_that_of_the_density():
    axis = torch.linspace(-5, 5, 101, dtype=torch.float64)
    density = (-(axis[:, None].square() + axis.square()) / 2).exp()
    mass = density / density.sum()
    assert study.mass_entropy(mass, extent=5.0) == pytest.approx(math.log(2 * math.pi * math.e), 1e-3)


@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_beside_holds_each_policys_samples_and_the_exact_target(alpha):
    world = worlds.ring(6)
    other = stirred(SteeredPolicy(world.pretrained, width=16), 0.1)
    found = study.beside(world, alpha, {"before": world.pretrained, "after": other})
    for title, policy in (("before", world.pretrained), ("after", other)):
        assert torch.equal(found.samples[title], rollout(policy, 1000, generator=seeded(0)).x_0)
    exact = TiltedDensity(world.pretrained, world.reward, extent=5.0, grid=161)
    assert found.extent == 5.0 and torch.equal(found.target, exact.at(alpha).mass)
    i, j = 10, 300
    point = torch.tensor([[found.axis[i], found.axis[j]]])
    assert float(found.reward[i, j]) == pytest.approx(float(world.reward(point)), abs=1e-4)
    plt.close("all")


@pytest.fixture
def lambdas(monkeypatch):
    """Made-up rows in place of the stored ones."""
    g = seeded(0)
    made = {name: torch.rand(kinds, seeds, generator=g) for name, kinds, seeds in (("short", 6, 10), ("whole", 4, 5))}
    made |= {f"{name}_se": rows / 10 for name, rows in made.items()}
    monkeypatch.setattr(study, "load", {"soft_ppo_lambdas": made}.__getitem__)
    return made


@pytest.mark.parametrize(("training", "kinds"), [("short", rows.KINDS), ("whole", rows.COMPARED)])
def test_a_race_has_the_stored_regrets_by_name(lambdas, training, kinds):
    found = study.race(training)
    assert list(found.regrets) == list(kinds)
    for kept, values in zip(lambdas[training], found.regrets.values(), strict=True):
        assert torch.equal(values, kept)
    assert found.error == pytest.approx(float(lambdas[training].max()) / 10)
    one, other = (lambdas[training][list(kinds).index(name)].tolist() for name in ("λ = 0.9", "λ = 1"))
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    error = statistics.stdev(gaps) / len(gaps) ** 0.5
    assert found.mean("λ = 0.9") == pytest.approx(statistics.mean(one))
    assert found.apart("λ = 0.9", "λ = 1") == pytest.approx(statistics.mean(gaps) / error, rel=1e-4)


def test_the_stored_rows_are_of_the_recipes_seeds_and_one_is_made_again():
    """The first seed of the quickest kind, at the size of the stored training."""
    stored = assets.load("soft_ppo_lambdas")
    assert stored["short"].shape == stored["short_se"].shape == (6, 10)
    assert stored["whole"].shape == stored["whole_se"].shape == (4, 5)
    name = "no value network"
    regret, error = rows.regrets([name], **(rows.SHORT | dict(seeds=1)))
    assert float(regret[0, 0]) == pytest.approx(float(stored["short"][0, 0]), abs=4 * float(error[0, 0]))


def test_a_critic_that_is_exact_is_judged_so_and_a_constant_by_its_distance():
    """A constant reward: v_t = r at every t, and the pretrained policy's returns are all r/α."""
    world = worlds.ring(6)
    policy = SteeredPolicy(world.pretrained, width=16)
    soft = SoftValues(world.pretrained, lambda x: 0 * x[:, 0] + 0.6, alpha=0.5, extent=5.0, grid=41)
    critic = ValueNetwork(policy, generator=seeded(0))
    for center, off in ((1.2, 0.0), (1.7, 0.5)):
        critic.center = center
        found = study.judge(critic, policy, soft, n=50)
        assert found.critic[1:].tolist() == pytest.approx([off] * 6, abs=1e-4)
        assert found.single.tolist() == pytest.approx([0.0] * 7, abs=1e-4) and found.critic[0] < 1e-4


def test_a_single_return_is_judged_at_each_step_by_what_is_still_to_come():
    world = worlds.ring(6)
    policy = stirred(SteeredPolicy(world.pretrained, width=16), 0.1)
    soft = SoftValues(world.pretrained, world.reward, alpha=0.5, extent=5.0, grid=61)
    found = study.judge(ValueNetwork(policy, generator=seeded(0)), policy, soft, n=50)
    path = rollout(policy, 50, generator=seeded(3))
    with torch.no_grad():
        paid = policy.log_prob(path) - world.pretrained.log_prob(path)
        for t in (1, 4, 6):
            left = 2 * world.reward(path.x_0) - paid[1 : t + 1].sum(0) - 2 * soft(path.x[t], t)
            assert float(found.single[t]) == pytest.approx(float(left.square().mean().sqrt()), abs=1e-3)


def test_the_exact_advantages_are_the_librarys():
    values, ratios = study.batch()
    assert values.shape == ratios.shape == (7, 5) and not ratios[0].any()
    for lam in (0.3, 0.9, 1.0):
        exact = soft_ppo.advantages(values, ratios, lam=lam)
        torch.testing.assert_close(study.exact_advantages(values, ratios, lam=lam), exact, atol=1e-5, rtol=1e-5)


def test_every_slip_of_the_advantage_is_another():
    values, ratios = study.batch()
    slips = study.advantage_slips(values, ratios, lam=0.9)
    found = [study.exact_advantages(values, ratios, lam=0.9), *slips.values()]
    for i, one in enumerate(found):
        assert one.shape == (7, 5) and all((one - other).abs().max() > 0.1 for other in found[:i])


def test_the_planted_bug_lets_the_path_kl_run():
    world = worlds.ring(10)
    policy = SteeredPolicy(world.pretrained, width=64)
    bugs.tune(policy, world.reward, world.alpha, seeded(0))
    assert rollout_with_kl(policy, 500, generator=seeded(1))[1].mean() > 8
