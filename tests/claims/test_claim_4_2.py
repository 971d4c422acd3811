"""What the soft-optimal chain ends in, sampled with its exact kernels."""

import pytest
import torch

from tutorial_lib.exact import MomentMatched, TiltedDensity
from tutorial_lib.metrics import sliced_wasserstein
from tutorial_lib.policies import rollout

from ..oracles import RING_EXTENT, ring, seeded
from .soft_chains import ALPHAS, REWARDS, T, features, optimal_paths, soft_values

CLAIM = dict(
    number="4.2",
    section="§4",
    statement="The soft-optimal chain's x_0 has the density p_pre exp(r/α)/Z",
    notebook="04_1_theory",
    function="tutorial_lib.exact.sample_optimal",
)
BATCHES, N = 8, 1000
SEED = 0


def excess(clouds, draw):
    """Distance of clouds [BATCHES, N, 2] to fresh exact draws, the floor of exact to exact, and z of the difference."""
    g = seeded(99)
    value = torch.tensor([sliced_wasserstein(x, draw(), generator=g) for x in clouds])
    floor = torch.tensor([sliced_wasserstein(draw(), draw(), generator=g) for _ in clouds])
    error = ((value.var() + floor.var()) / BATCHES).sqrt()
    return value.mean(), floor.mean(), float((value.mean() - floor.mean()) / error)


@pytest.mark.parametrize("name", REWARDS)
def test_claim_4_2_the_induced_distribution(name, claim):
    """The target's draws come from p_pre pushed forward on a grid and tilted there: no soft value is in them. As a
    control, Gaussian steps with the exact kernels' means, which should be seen to miss it."""
    target = TiltedDensity(ring(T), REWARDS[name], extent=RING_EXTENT, grid=201)
    for alpha in ALPHAS:
        uniforms = seeded(1000 + SEED)

        def draw(alpha=alpha, uniforms=uniforms):
            return target.sample(alpha, torch.rand(N, 2, generator=uniforms, dtype=torch.float64))

        x_0 = optimal_paths(name, alpha, BATCHES * N, SEED)[0]
        value, floor, z = excess(x_0.reshape(BATCHES, N, 2), draw)
        found, mass = features(x_0), target.at(alpha).mass.reshape(-1)
        off = (found.mean(0) - mass @ features(target.grid.points)) / (found.std(0) / len(x_0) ** 0.5)
        gaussian = rollout(MomentMatched(soft_values(name, alpha)), BATCHES * N, generator=seeded(SEED)).x_0
        control = excess(gaussian.reshape(BATCHES, N, 2), draw)[2]
        claim.record(
            label=f"{name}, α = {alpha}",
            measured=f"sliced Wasserstein {value:.4f}, {z:+.1f} s.e. from the floor (Gaussian steps {control:+.1f}); "
            f"mean features {off.abs().max():.1f} s.e., largest of {len(off)}",
            threshold="≤ 4 s.e.; ≤ 4 s.e.",
            floor=f"{floor:.4f}, n = {N}",
            seed=SEED,
        )
        assert z <= 4 and off.abs().max() <= 4
