import itertools

import pytest

from tutorial_lib.metrics import compare, sliced_wasserstein
from tutorial_lib.policies import ddim, rollout

from ..oracles import ring, ring_mixture, seeded

CLAIM = dict(
    number="1.4",
    section="§1.1",
    statement="The sampler's distance to the data falls as T grows, down to the noise floor of two exact samples; DDIM "
    "(the ODE) and DDPM (the SDE) agree in law as T grows",
    notebook="01_1_diffusion_models",
    function="tutorial_lib.policies.ddim",
)
STEPS, N = (5, 10, 20, 50, 100), 10_000


def between(x, y):
    return sliced_wasserstein(x, y, generator=seeded(0))


@pytest.fixture(scope="module")
def samples():
    """x_0 of both samplers at every T: {sampler: [N, 2] for each T}."""
    return {
        "DDPM": [rollout(ring(T), N, generator=seeded(T)).x_0 for T in STEPS],
        "DDIM": [ddim(ring(T), N, generator=seeded(1000 + T)).x_0 for T in STEPS],
    }


@pytest.mark.parametrize("sampler", ["DDPM", "DDIM"])
def test_claim_1_4_the_distance_to_the_data_falls_to_the_floor(sampler, samples, claim):
    """Each T is nearer than the one before, until both are within 2 standard deviations of the floor."""
    mixture, g = ring_mixture(), seeded(7)
    results = [compare(between, x, lambda n: mixture.sample(n, generator=g), repeats=5) for x in samples[sampler]]
    floor = sum(result.floor for result in results) / len(results)
    spread = sum(result.floor_sd for result in results) / len(results)
    values = [result.value for result in results]
    claim.record(
        label=f"{sampler}, sliced Wasserstein at T = {', '.join(map(str, STEPS))}",
        measured=", ".join(f"{value:.3f}" for value in values),
        threshold="falling to the floor + 2 sd",
        floor=f"{floor:.3f} ± {spread:.3f} (n = {N})",
        seed=7,
    )
    assert values[0] > floor + 10 * spread
    for before, after in itertools.pairwise(values):
        assert after < before or max(before, after) <= floor + 2 * spread
    assert values[-1] <= floor + 2 * spread


def test_claim_1_4_the_ode_and_the_sde_agree_in_law(samples, claim):
    mixture, g = ring_mixture(), seeded(8)
    floors = [between(mixture.sample(N, generator=g), mixture.sample(N, generator=g)) for _ in range(20)]
    typical = sum(floors) / 20
    values = [between(x, y) for x, y in zip(samples["DDPM"], samples["DDIM"], strict=True)]
    claim.record(
        label="DDIM to DDPM at the same T",
        measured=", ".join(f"{value:.3f}" for value in values),
        threshold="at T = 100 within the 20 floors",
        floor=f"{typical:.3f}, up to {max(floors):.3f}",
        seed=8,
    )
    assert values[0] > max(1.2 * max(floors), 2 * typical)
    assert values[-1] <= max(floors)
