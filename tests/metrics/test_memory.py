"""Bytes that autograd keeps, against sizes counted by hand."""

from typing import Any

import pytest
import torch

from tutorial_lib import metrics
from tutorial_lib.algorithms import reward_backprop
from tutorial_lib.policies import Policy, SteeredPolicy

from ..oracles import RING_REWARD, ring

sample = reward_backprop.sample


def test_a_storage_is_counted_once_and_only_while_it_is_kept():
    x = torch.randn(1000, requires_grad=True)
    assert metrics.kept_bytes(lambda: x.exp()) == 4000  # exp keeps its result
    kept: list[torch.Tensor] = []
    assert metrics.kept_bytes(lambda: kept.append((x * x).exp())) == 8000  # x once, though twice a factor; the result
    assert metrics.kept_bytes(lambda: [x.exp().sum().backward() for _ in range(3)]) == 4000  # freed in between
    assert metrics.kept_bytes(lambda: torch.zeros(9)) == 0
    with torch.no_grad():
        assert metrics.kept_bytes(lambda: x.exp()) == 0


def test_a_view_keeps_the_whole_storage_alive():
    x = torch.randn(10, 100, requires_grad=True)
    assert metrics.kept_bytes(lambda: x[0] * x[1]) == 4000


def test_the_peak_is_that_of_the_highest_moment_not_the_last():
    x, y = torch.randn(1000, requires_grad=True), torch.randn(10, requires_grad=True)

    def high_then_low():
        x.exp().sum().backward()
        return y.exp()

    assert metrics.kept_bytes(high_then_low) == 4000


def test_what_is_put_aside_is_not_counted():
    weight, x = torch.randn(1000, requires_grad=True), torch.randn(1000, requires_grad=True)
    assert metrics.kept_bytes(lambda: weight * x) == 8000
    assert metrics.kept_bytes(lambda: weight * x, aside=[weight]) == 4000


def first_axis(x_0):
    return x_0[:, 0]


class Line(Policy):
    """u_t = θ x_t around a mean of 0: its bytes can be counted by hand."""

    def __init__(self, T):
        super().__init__()
        self.schedule, self.shape = ring(T).schedule, (2,)
        self.theta = torch.nn.Parameter(torch.ones(()))

    def proposal(self, x_t, t):
        return torch.zeros_like(x_t), self.theta * x_t


@pytest.mark.parametrize("T", [5, 12])
@pytest.mark.parametrize("n", [10, 30])
def test_the_bytes_of_a_linear_policy_are_those_counted_by_hand(T, n):
    """A step keeps x_t (for θ's slope) and u_t (for its square), 2 n floats each; x_T is a view of all the noise, and
    every σ_t one of the schedule's table."""
    points, table = 4 * 2 * n, 4 * (T + 1)
    for last in (1, 2, 4):
        assert metrics.saved_bytes(Line(T), first_axis, n=n, last=last, sample=sample) == 2 * last * points + table
    everything = (T + 1) * points + (2 * T - 1) * points + table
    assert metrics.saved_bytes(Line(T), first_axis, n=n, sample=sample) == everything


def test_what_is_saved_is_counted_a_step_at_a_time():
    """One more step saves as much as any other, however long the chain, and weights are not in it."""
    policies = {T: SteeredPolicy(ring(T)) for T in (10, 20)}
    size = {
        (T, K): metrics.saved_bytes(p, RING_REWARD, n=8, last=K, sample=sample)
        for T, p in policies.items()
        for K in (2, 3, 4)
    }
    step = size[10, 3] - size[10, 2]
    assert step > 8 * 96 * 4  # one layer of the control, at the least
    assert size[10, 4] - size[10, 3] == step and size[20, 4] - size[20, 3] == step


def test_wider_batches_save_in_proportion():
    policy = SteeredPolicy(ring(10))
    small, middle, large = (metrics.saved_bytes(policy, RING_REWARD, n=n, sample=sample) for n in (100, 200, 300))
    assert large - middle == pytest.approx(middle - small, rel=0.01) and large > 2.5 * small


def test_the_peak_adds_the_step_that_checkpointing_runs_again():
    policy, options = SteeredPolicy(ring(10)), dict[str, Any](n=16, sample=sample)
    states = metrics.saved_bytes(policy, RING_REWARD, checkpointed=True, **options)
    step = metrics.saved_bytes(policy, RING_REWARD, last=1, **options)
    assert metrics.peak_bytes(policy, RING_REWARD, checkpointed=True, **options) == states + step
    whole = metrics.saved_bytes(policy, RING_REWARD, **options)
    assert metrics.peak_bytes(policy, RING_REWARD, **options) == whole > 3 * (states + step)
