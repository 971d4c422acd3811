"""The notebook on soft PPO: runs, looks and targets against the same by hand."""

import itertools
import math

import matplotlib.pyplot as plt
import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import soft_ppo
from tutorial_lib.exact import SoftValues, TiltedDensity
from tutorial_lib.notebooks.s05_1_soft_ppo import study
from tutorial_lib.policies import SteeredPolicy, rollout

from ..oracles import seeded, stirred

LAST = 3  # iterations of a run here, one frame beyond the start


@pytest.fixture(scope="module")
def scene():
    """Three iterations a run in place of eighteen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "ITERATIONS", LAST)
        return study.scene.__wrapped__()


def test_every_setting_has_its_run_from_one_start(scene):
    assert set(scene.runs) == set(itertools.product(study.ALPHAS, study.CLIPS, study.BATCHES))
    assert len(scene.runs) == 18
    starts = [found.x_0[0] for found in scene.runs.values()]
    assert all(torch.equal(start, starts[0]) for start in starts), "one noise, one network"
    for (alpha, clip, batch), found in scene.runs.items():
        assert found.kl[0] == 0 and found.clipped[0] == 0 and scene.goals[alpha].optimum > found.objective.max()
        assert found.objective[-1] > found.objective[0] or (clip, batch) != (0.1, 64), "the default clip learns"
        assert all(torch.isfinite(values).all() for values in (found.x_0, found.objective, found.kl, found.clipped))


@pytest.mark.parametrize(("alpha", "clip", "batch"), [(0.2, 0.1, 64), (2.0, 0.01, 16)])
def test_a_run_is_the_training_of_its_setting(scene, alpha, clip, batch):
    """By hand: the same loop, and J and KL from both policies' log-probabilities of every step."""
    world = worlds.ring(10)
    policy = SteeredPolicy(world.pretrained, width=64)
    steps = soft_ppo.fine_tune(
        policy, world.reward, alpha=alpha, clip=clip, n=batch, iterations=LAST, generator=seeded(0)
    )
    shares = [step.extra["clipped"] for step in steps]
    path = rollout(policy, 400, generator=seeded(0))
    with torch.no_grad():
        paid = (policy.log_prob(path) - world.pretrained.log_prob(path)).sum(0)
    run = scene.runs[alpha, clip, batch]
    assert torch.equal(run.x_0[-1], path.x_0)
    assert run.clipped.tolist() == pytest.approx([0.0, shares[2]])
    assert float(run.kl[-1]) == pytest.approx(float(paid.mean()), abs=1e-4)
    earned = -(path.x_0 - torch.tensor([2.0, 0.5])).square().sum(1)  # Ring's reward, written out
    assert float(run.objective[-1]) == pytest.approx(float((earned - alpha * paid).mean()), abs=1e-4)


def test_the_goals_are_those_of_their_alpha(scene):
    world = worlds.ring(10)
    tilted = TiltedDensity(world.pretrained, world.reward, extent=5.0, grid=121)
    for alpha, goal in scene.goals.items():
        soft = SoftValues(world.pretrained, world.reward, alpha=alpha, extent=5.0, grid=81)
        assert torch.equal(goal.target, tilted.at(alpha).mass)
        assert (goal.optimum, goal.pretrained) == (soft.optimum, soft.pretrained_objective)


def test_a_small_clip_is_slower_and_clips_more(monkeypatch):
    monkeypatch.setattr(study, "ITERATIONS", 6)
    small, large = (study.train(worlds.ring(10), 0.5, clip, 64) for clip in (0.01, 1.0))
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
