"""Path consistency: its losses and stretches written out, one whole iteration, and where its paths come from."""

import pytest
import torch

from tutorial_lib.algorithms import ValueNetwork, path_consistency, run
from tutorial_lib.policies import SteeredPolicy, Trajectory, rollout

from ..oracles import seeded
from .contract import REWARD, T, along, beginner, gradient, moved, only_once, slope, tune

ALPHA, N = 0.5, 20
KINDS = ("step", "sub", "return", "trajectory", "mixed")


@pytest.mark.parametrize("kind", KINDS)
def test_consistency_is_the_double_sum_over_stretches(kind):
    g, steps = seeded(0), 5
    values, ratios = torch.randn(6, 4, generator=g), torch.randn(6, 4, generator=g)
    ratios[0] = 0
    w = path_consistency.stretches(steps, kind)
    expected = torch.zeros(())
    for s in range(steps + 1):
        for t in range(s + 1, steps + 1):
            residual = values[t] + ratios[s + 1 : t + 1].sum(0) - values[s]
            expected = expected + w[s, t] * residual.square().mean()
    torch.testing.assert_close(path_consistency.loss(values, ratios, w), expected)
    assert w.sum().item() == pytest.approx(2) and torch.equal(w, w.T) and not w.diagonal().any()


@pytest.mark.parametrize(
    ("kind", "pairs"),
    [
        ("step", {(0, 1): 1 / 3, (1, 2): 1 / 3, (2, 3): 1 / 3}),
        ("return", {(0, 1): 1 / 3, (0, 2): 1 / 3, (0, 3): 1 / 3}),
        ("trajectory", {(0, 3): 1.0}),
        ("sub", {(s, t): 0.9 ** (t - s) / (3 * 0.9 + 2 * 0.81 + 0.729) for s in range(4) for t in range(s + 1, 4)}),
    ],
)
def test_each_kind_counts_its_own_stretches(kind, pairs):
    w = path_consistency.stretches(3, kind)
    found = {(s, t): w[s, t].item() for s in range(4) for t in range(s + 1, 4) if w[s, t]}
    assert found == pytest.approx(pairs)


def test_mixed_is_half_of_every_stretch_and_half_of_those_that_end_in_x_0():
    sub, back = (path_consistency.stretches(4, kind) for kind in ("sub", "return"))
    torch.testing.assert_close(path_consistency.stretches(4), (sub + back) / 2)


def test_vargrad_is_the_variance_of_what_the_optimum_makes_constant():
    """By hand: r/α − Σ log-ratio is 1, 2, 6, whose variance is 7; a constant reward more changes nothing."""
    r, ratios = torch.tensor([2.0, 2.0, 2.0]), torch.tensor([[0.0, 0, 0], [1.0, -1.0, -4.0], [0.0, 1.0, 0.0]])
    assert path_consistency.vargrad(r, ratios).item() == pytest.approx(7)
    assert path_consistency.vargrad(r + 100, ratios).item() == pytest.approx(7, rel=1e-4)


def drawn(twin, generator, others):
    """The paths of one iteration: the policy's own first, then `others` of p_pre."""
    parts = [rollout(twin, N - others, generator=generator), rollout(twin.pretrained, others, generator=generator)]
    return Trajectory(torch.cat([part.x for part in parts], 1))


@pytest.mark.parametrize("kind", KINDS)
def test_an_iteration_follows_the_consistency_of_all_its_paths(kind, monkeypatch):
    """Untaught, the critic says the mean of r/α at every t ≥ 1; both are clipped together."""
    kept: list[ValueNetwork] = []

    def critic_kept(*args, **options):
        kept.append(ValueNetwork(*args, **options))
        return kept[0]

    monkeypatch.setattr(path_consistency, "ValueNetwork", critic_kept)
    policy, twin, generator = moved(), moved(), seeded(1)
    next(tune(path_consistency, policy, **only_once(path_consistency, n=N, kind=kind, off_policy=0.25)))
    critic = ValueNetwork(twin, generator=generator)
    path = drawn(twin, generator, 5)
    r = REWARD(path.x_0) / ALPHA
    critic.center, critic.scale = r.mean().item(), r.std().item()
    ratios = along(twin, path)
    phi = [r, *(critic(path.x[t], t) + ratios[1 : t + 1].sum(0) for t in range(1, T + 1))]
    w = path_consistency.stretches(T, kind)
    pairs = [(s, t) for s in range(T + 1) for t in range(s + 1, T + 1)]
    loss = sum(w[s, t] * (phi[t] - phi[s]).square().mean() for s, t in pairs)
    expected = slope(loss, twin, critic)
    found = torch.cat([gradient(policy), gradient(kept[0])])
    torch.testing.assert_close(found, expected / expected.norm().clamp_min(1), rtol=1e-2, atol=2e-4)


def test_an_iteration_of_vargrad_follows_the_variance_over_its_paths():
    policy, twin = moved(), moved()
    next(tune(path_consistency, policy, **only_once(path_consistency, n=N, kind="vargrad", off_policy=0.25)))
    path = drawn(twin, seeded(1), 5)
    expected = slope((REWARD(path.x_0) / ALPHA - along(twin, path).sum(0)).var(), twin)
    torch.testing.assert_close(gradient(policy), expected / expected.norm().clamp_min(1), rtol=1e-2, atol=2e-4)


class Asked:
    """The reward, which remembers every x_0 that it was asked about."""

    def __init__(self):
        self.x_0 = []

    def __call__(self, x):
        self.x_0.append(x)
        return REWARD(x)


@pytest.mark.parametrize(("share", "others"), [(0.0, 0), (0.25, 8), (1.0, 32)])
def test_a_share_of_the_paths_is_the_behaviours(share, others):
    reward, behaviour, generator = Asked(), moved(seed=3), seeded(1)
    next(tune(path_consistency, beginner(), reward, kind="vargrad", off_policy=share, behaviour=behaviour))
    own = rollout(beginner(), 32 - others, generator=generator).x_0 if others < 32 else torch.zeros(0, 2)
    foreign = rollout(behaviour, others, generator=generator).x_0 if others else torch.zeros(0, 2)
    torch.testing.assert_close(reward.x_0[0], torch.cat([own, foreign]))


@pytest.fixture
def seen(monkeypatch):
    """The x_0 of every minibatch that a training computes log-ratios of."""
    found, log_ratio = [], SteeredPolicy.log_ratio

    def spy(policy, part):
        found.append(part.x[0])
        return log_ratio(policy, part)

    monkeypatch.setattr(SteeredPolicy, "log_ratio", spy)
    return found


def test_a_replay_asks_no_reward_twice_and_trains_on_old_paths_too(seen):
    reward = Asked()
    run(tune(path_consistency, beginner(), reward, iterations=4, replay=2, parts=4, n=32))
    assert [len(x) for x in reward.x_0] == [32] * 4
    sizes = [sum(len(x) for x in seen[i : i + 4]) for i in range(0, 16, 4)]
    assert sizes == [32] * 4, "a pass is over n paths, old and new"
    last = torch.cat(seen[12:])[:, None]
    whence = [(last == x).all(2).any(1).sum().item() for x in reward.x_0]
    assert whence[0] == whence[1] == 0 and whence[2] > 4 and whence[3] > 4 and whence[2] + whence[3] == 32


def test_passes_use_each_path_as_often_and_ask_no_more_rewards(seen):
    reward = Asked()
    run(tune(path_consistency, beginner(), reward, iterations=1, parts=4, passes=3, n=32))
    assert [len(x) for x in reward.x_0] == [32] and [len(x) for x in seen] == [8] * 12
    used = (torch.cat(seen)[:, None] == reward.x_0[0]).all(2).sum(0)
    assert used.tolist() == [3] * 32
