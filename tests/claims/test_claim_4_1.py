"""The soft Bellman equation, one step and all steps at once: quadrature on a grid against plain Monte Carlo."""

import math

import pytest
import torch

from tutorial_lib.policies import rollout

from ..oracles import ring, seeded
from .soft_chains import REWARDS, T, soft_values

CLAIM = dict(
    number="4.1",
    section="§4",
    statement="Soft Bellman: exp(v_t/α) = E_pre[exp(v_{t−1}/α) given x_t]; unrolled, exp(v_t/α) = E_pre[exp(r/α) given "
    "x_t]",
    notebook="04_1_theory",
    function="tutorial_lib.exact.SoftValues",
)
ALPHA, POINTS, N = 1.0, 20, 20_000
TIMES = (1, 3, 8, 14, 20)
GRID = 2e-3  # of exp(v/α), what quadrature may be off by; counts where Monte Carlo is surer than that
SEED = 1


def descend(x_t, t, steps, n):
    """n pretrained paths of some steps from each of the points x_t [B, 2]: where they end, [n·B, 2]."""
    pretrained, generator, x = ring(T), seeded(SEED + t), x_t.repeat(n, 1)
    for s in range(t, t - steps, -1):
        x = pretrained.mean(x, s) + float(pretrained.sigma(s)) * torch.randn(x.shape, generator=generator)
    return x


def standard_errors(draws, exact):
    """(mean − exact)/error for draws [n·B] of B points, exact [B]; without points whose mean hangs on rare draws."""
    draws = draws.reshape(-1, len(exact))
    mean, error = draws.mean(0), draws.std(0) / math.sqrt(len(draws))
    z = (mean - exact) / torch.hypot(error, GRID * exact)
    return z[error < mean / 20]


@pytest.mark.parametrize("name", REWARDS)
def test_claim_4_1_by_quadrature_and_by_monte_carlo(name, claim):
    """All the way to x_0 Monte Carlo asks for the reward alone, never for a value."""
    soft, starts = soft_values(name, ALPHA), rollout(ring(T), POINTS, generator=seeded(SEED)).x
    one, all_the_way = [], []
    for t in TIMES:
        exact = (soft(starts[t], t).double() / ALPHA).exp()
        before, end = descend(starts[t], t, 1, N), descend(starts[t], t, t, N // 4)
        one.append(standard_errors((soft(before, t - 1).double() / ALPHA).exp(), exact))
        all_the_way.append(standard_errors((REWARDS[name](end).double() / ALPHA).exp(), exact))
    for label, z, n in [("one step", torch.cat(one), N), ("from x_t to the reward", torch.cat(all_the_way), N // 4)]:
        claim.record(
            label=f"{name}, {label}",
            measured=f"{z.abs().max():.1f} s.e., largest of {len(z)}",
            threshold="≤ 4 s.e.",
            floor=f"1 s.e., n = {n}",
            seed=SEED,
        )
        assert len(z) >= 0.8 * POINTS * len(TIMES)
        assert z.abs().max() <= 4
