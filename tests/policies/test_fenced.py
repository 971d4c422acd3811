"""A fence around a policy's paths: which ones it holds, and that it changes nothing about the others."""

import pytest
import torch
from torch import nn

from tutorial_lib.metrics import rollout_with_kl
from tutorial_lib.policies import DenoisingPolicy, Fenced, SteeredPolicy, record, rollout
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import ring, seeded

T, N = 12, 60


class Thrower(nn.Module):
    """A control that is mild on the left and throws what lies right of 2 away, further at each step, to NaN."""

    def forward(self, x_t, t):
        thrown = x_t[:, :1] > 2
        return torch.where(thrown, 1e6 * x_t.square(), 0.3 * (x_t + 1).sin())


@pytest.fixture
def wild():
    return SteeredPolicy(ring(T), Thrower())


def test_the_thrower_throws_some_paths_to_infinity_and_others_not(wild):
    gone = ~rollout(wild, N, generator=seeded(0)).x_0.isfinite().all(1)
    assert 5 < gone.sum() < N - 5


def test_paths_that_stay_are_the_policys_own_and_the_others_are_held(wild):
    fenced = Fenced(wild)
    free, held = (rollout(policy, N, generator=seeded(0)).x for policy in (wild, fenced))
    path, kl = rollout_with_kl(fenced, N, generator=seeded(0))
    assert torch.equal(path.x, held) and held.isfinite().all() and kl.isfinite().all()
    stayed = fenced.stayed(path)
    assert torch.equal(stayed, (free.abs() <= 100).all(2).all(0))
    torch.testing.assert_close(held[:, stayed], free[:, stayed])
    for i in (~stayed).nonzero().flatten().tolist():
        out = max(t for t in range(T + 1) if held[t, i].abs().max() > 100)  # the first step out, as t falls
        torch.testing.assert_close(held[out:, i], free[out:, i])
        assert (held[:out, i] - held[out, i]).norm(dim=1).max() < 1e-5 * held[out, i].norm() + 20 * wild.sigma(T)


def test_a_step_beyond_the_fence_costs_nothing_and_adds_only_noise(wild):
    x, fenced = torch.tensor([[500.0, 0.0], [1.0, 1.0], [float("inf"), 0.0], [float("nan"), 0.0]]), Fenced(wild)
    rho, u = fenced.proposal(x, 5)
    assert torch.equal(rho[0], x[0]) and torch.equal(u[[0, 2, 3]], torch.zeros(3, 2))
    own_rho, own_u = wild.proposal(x[1:2], 5)
    torch.testing.assert_close((rho[1:2], u[1:2]), (own_rho, own_u))
    assert own_u.abs().min() > 0.01
    assert fenced.kl(x, 5)[0] == 0 and torch.equal(fenced.mean(x[:1], 5), x[:1])


def test_the_reach_is_where_the_fence_stands():
    pretrained = ring(T)
    path = rollout(pretrained, N, generator=seeded(0))
    far = path.x.abs().amax((0, 2))
    reach = float(far.median())
    assert torch.equal(Fenced(pretrained, reach=reach).stayed(path), far <= reach)
    assert Fenced(pretrained).stayed(path).all()
    with pytest.raises(ValueError, match="reach must be a finite number > 0"):
        Fenced(pretrained, reach=0)


def test_a_fence_around_images_counts_every_pixel():
    class Flat(nn.Module):
        shape = (1, 2, 2)

        def forward(self, x, t):
            return torch.zeros_like(x)

    fenced = Fenced(DenoisingPolicy(Flat(), NoiseSchedule.cosine(T)), reach=2.0)  # type: ignore[arg-type]
    path = record(fenced, N, generator=seeded(1))
    inside = (path.x.abs() <= 2).flatten(2).all(2).all(0)
    assert 0 < inside.sum() < N and torch.equal(fenced.stayed(path), inside)
