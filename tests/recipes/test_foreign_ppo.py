"""Soft PPO on paths that another policy drew: what it makes of them, written out."""

from typing import Any

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import ValueNetwork, run
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy
from tutorial_lib.recipes import foreign_ppo
from tutorial_lib.rewards import peak

from ..oracles import seeded, stirred


@pytest.fixture(scope="module")
def short():
    return worlds.ring(T=8)


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


def ppo(world, **options):
    policy = SteeredPolicy(world.pretrained)
    settings: dict[str, Any] = dict(alpha=0.5, generator=seeded(0), iterations=2, n=16) | options
    return policy, foreign_ppo.fine_tune(policy, world.reward, **settings)


def test_on_its_own_paths_it_does_not_matter_whose_name_they_carry(short):
    (a, first), (b, second) = ppo(short, off_policy=0.0), ppo(short, off_policy=0.0, recorded=False)
    run(first), run(second)
    assert torch.equal(weights(a), weights(b)) and not torch.equal(weights(a), weights(SteeredPolicy(short.pretrained)))


def test_on_foreign_paths_it_does(short):
    (a, first), (b, second) = ppo(short, off_policy=1.0), ppo(short, off_policy=1.0, recorded=False)
    run(first), run(second)
    assert not torch.equal(weights(a), weights(b))


@pytest.mark.parametrize(("recorded", "clip"), [(True, 0.1), (True, None), (False, 0.1)])
def test_what_ppo_makes_of_foreign_paths_is_written_out(short, recorded, clip):
    """Two paths of the policy's, two of another's: log p_old/p_pre, the advantage and the return, step by step. Paid is
    the policy's own log-ratio, whoever drew the path."""
    policy, T = stirred(SteeredPolicy(short.pretrained)), short.schedule.T
    other = ValueWeightedPolicy(short.pretrained, Tweedie(short.pretrained, short.reward), alpha=1.0)
    critic = stirred(ValueNetwork(policy, generator=seeded(1)))
    critic.center, critic.scale = -2.0, 1.5
    path, foreign = foreign_ppo.mixed_rollout(policy, other, 4, 0.5, generator=seeded(3))
    assert foreign.tolist() == [False, False, True, True]
    r = short.reward(path.x_0)
    steps = foreign_ppo.judged(policy, critic, path, r, foreign, other if recorded else None)
    advantage, returns, old, own = (torch.zeros(T + 1, 4) for _ in range(4))
    values = torch.stack([r, *(critic(path.x[t], t) for t in range(1, T + 1))]).detach()
    with torch.no_grad():
        for t in range(1, T + 1):
            for i in range(4):
                x, sigma = path.x[t, i : i + 1], float(short.schedule.sigma[t])
                rho, drew = short.pretrained.mean(x, t), other if recorded and i > 1 else policy
                there = path.x[t - 1, i]
                means = (drew.mean(x, t), policy.mean(x, t), rho)
                log_old, log_own, log_pre = (-((there - mean) ** 2).sum() / 2 / sigma**2 for mean in means)
                old[t, i], own[t, i] = log_old - log_pre, log_own - log_pre
            advantage[t] = values[t - 1] - own[t] - values[t] + 0.99 * advantage[t - 1]
            returns[t] = advantage[t] + values[t]
    torch.testing.assert_close(steps.old, old[1:].reshape(-1), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(steps.returns, returns[1:].reshape(-1), atol=1e-2, rtol=1e-3)
    flat = advantage[1:].reshape(-1)
    torch.testing.assert_close(steps.advantage, (flat - flat.mean()) / flat.std(), atol=1e-2, rtol=1e-2)

    rows = torch.tensor([0, 3, 5, 11, 30])
    policy, critic = stirred(policy, 0.01), stirred(critic, 0.01)
    objective, missed = foreign_ppo.losses(policy, critic, steps, rows, clip)
    x, times, std = steps.x[rows], steps.t[rows], short.schedule.sigma[steps.t[rows]].unsqueeze(1)
    there = path.x[times - 1, rows % 4]
    log_new, log_pre = (
        -((there - mean) ** 2 / 2 / std**2).sum(1) for mean in (policy.mean(x, times), short.pretrained.mean(x, times))
    )
    ratio, A = (log_new - log_pre - steps.old[rows]).exp(), steps.advantage[rows]
    assert ((ratio - 1).abs() > 0.1).any()
    surrogate = (torch.minimum(ratio * A, ratio.clamp(0.9, 1.1) * A) if clip else ratio * A).mean()
    assert objective.item() == pytest.approx(-surrogate.item(), abs=1e-3)
    assert missed.item() == pytest.approx(((critic(x, times) - steps.returns[rows]) / 1.5).square().mean().item() / 2)


def test_the_foreign_paths_are_the_behaviours(short):
    """All queries of a run with share 1 are at the behaviour's ends."""
    seen = []

    def reward(x):
        seen.append(x)
        return peak((1.0, 0.0))(x)

    class Elsewhere(DenoisingPolicy):
        def mean(self, x_t, t):
            return super().mean(x_t, t) + 50.0

    policy, behaviour = SteeredPolicy(short.pretrained), Elsewhere(short.pretrained.denoiser, short.schedule)
    options: dict[str, Any] = dict(
        alpha=0.5, generator=seeded(0), off_policy=0.25, behaviour=behaviour, n=16, iterations=1
    )
    next(foreign_ppo.fine_tune(policy, reward, **options))
    (x,) = seen
    assert (x[:, 0] > 40).tolist() == [False] * 12 + [True] * 4


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_outside_its_range_is_told_so(short, share):
    with pytest.raises(ValueError, match=r"off_policy must lie in \[0, 1\], got"):
        next(ppo(short, off_policy=share)[1])


def test_a_batch_of_one_is_told_so(short):
    with pytest.raises(ValueError, match="n must be a whole number ≥ 2, got 1"):
        next(ppo(short, off_policy=0.5, n=1)[1])
