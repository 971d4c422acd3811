"""Algorithm 4 step by step: the value's slope one step ahead, at the pretrained mean, times γ σ_t²/α."""

from typing import Any

import pytest
import torch

from tutorial_lib.guidance import value_weighted
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.policies import rollout

from ..oracles import ring, seeded

T, ALPHA = 6, 0.5


class Drifting:
    """v_t = −(1 + t)/2 ‖x − (t, 1)‖², another one at every t."""

    def grad(self, x, t):
        t = torch.as_tensor(t, dtype=x.dtype).reshape(-1, 1)
        return -(1 + t) * (x - torch.cat([t, torch.ones_like(t)], 1))


@pytest.mark.parametrize("strength", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("t", [1, 4, T])
def test_a_step_goes_up_the_slope_of_the_value_ahead(t, strength):
    policy = ValueWeightedPolicy(ring(T), Drifting(), alpha=ALPHA, strength=strength)
    x = torch.randn(5, 2, generator=seeded(0))
    rho, sigma = ring(T).mean(x, t), float(ring(T).schedule.sigma[t])
    slope = -t * (rho - torch.tensor([t - 1.0, 1.0]))
    torch.testing.assert_close(policy.shift(x, t), strength * sigma / ALPHA * slope)
    torch.testing.assert_close(policy.mean(x, t), rho + strength * sigma**2 / ALPHA * slope)


def test_a_batch_of_times_is_each_of_them_alone():
    policy = ValueWeightedPolicy(ring(T), Drifting(), alpha=ALPHA)
    x, t = torch.randn(4, 2, generator=seeded(0)), torch.tensor([1, 6, 3, 3])
    alone = torch.cat([policy.mean(x[i : i + 1], int(t[i])) for i in range(4)])
    torch.testing.assert_close(policy.mean(x, t), alone)


def test_a_sample_is_the_loop_by_hand():
    path = value_weighted.sample(ring(T), Drifting(), alpha=ALPHA, n=30, strength=0.3, generator=seeded(1))
    g = seeded(1)
    x = torch.randn(30, 2, generator=g)
    assert torch.equal(path.x[T], x)
    for t in range(T, 0, -1):
        rho, sigma = ring(T).mean(x, t), ring(T).schedule.sigma[t]
        ahead = rho - 0.3 * sigma**2 / ALPHA * t * (rho - torch.tensor([t - 1.0, 1.0]))
        x = ahead + sigma * torch.randn(30, 2, generator=g)
        torch.testing.assert_close(path.x[t - 1], x, rtol=1e-4, atol=1e-5)


def test_without_strength_nothing_is_guided():
    options: dict[str, Any] = dict(alpha=ALPHA, n=50, strength=0.0, generator=seeded(0))
    path = value_weighted.sample(ring(T), Drifting(), **options)
    assert torch.equal(path.x, rollout(ring(T), 50, generator=seeded(0)).x)
