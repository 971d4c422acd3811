"""The noising direction of the soft-optimal chain, x_t given x_{t−1}."""

import pytest
import torch

from ..oracles import RING_EXTENT, ring
from .soft_chains import ALPHAS, REWARDS, T, optimal_paths

CLAIM = dict(
    number="4.4",
    section="§4",
    statement="Fine-tuning leaves the noising direction untouched: p*(x_t|x_{t−1}) = p_pre(x_t|x_{t−1})",
    notebook="04_1_theory",
    function="tutorial_lib.exact.sample_optimal",
)
GRID, N, TIMES = 121, 600, (2, 6, 12)
SEED = 0
AXIS = torch.linspace(-RING_EXTENT, RING_EXTENT, GRID, dtype=torch.float64)
POINTS = torch.cartesian_prod(AXIS, AXIS)


def normal(y, mean, sigma):
    """exp(−(y − mean)²/2σ²) for every pair: [A], [B] → [A, B]."""
    return (-((y[:, None] - mean) / sigma).square() / 2).exp()


@pytest.fixture(scope="module")
def joint():
    """For each t the pretrained chain's masses of x_t on the grid [GRID²], and its step's means there and σ_t."""
    chain, mass, found = ring(T), (-POINTS.square().sum(1) / 2).softmax(0), {}
    for t in range(T, 0, -1):
        means, sigma = chain.mean(POINTS.float(), t).double(), float(chain.sigma(t))
        found[t] = mass, means, sigma
        first, second = (normal(AXIS, mean, sigma) for mean in means.T)
        mass = ((first * mass) @ second.mT).reshape(-1)
        mass = mass / mass.sum()
    return found


def posterior(joint_t, y):
    """p_pre(x_t | x_{t−1} = y) on the grid: [B, 2] → [B, GRID²]."""
    mass, means, sigma = joint_t
    weights = normal(y[:, 0], means[:, 0], sigma) * normal(y[:, 1], means[:, 1], sigma) * mass
    return weights / weights.sum(1, keepdim=True)


def ranks(weights, x):
    """P(X_i ≤ x_i) along each axis of masses [B, GRID²], straight between grid points: [B, 2]."""
    weights, place = weights.reshape(-1, GRID, GRID), (x + RING_EXTENT) / (AXIS[1] - AXIS[0]) + 0.5
    lines = torch.stack([weights.sum(2), weights.sum(1)], 1)  # [B, 2, GRID]
    cell = place.floor().long().clamp(0, GRID - 1).unsqueeze(-1)
    below = lines.cumsum(-1).gather(-1, cell) - lines.gather(-1, cell) * (1 - place.unsqueeze(-1) + cell)
    return below.squeeze(-1)


def kolmogorov(u):
    """√n · the largest distance of u's distribution from uniform; above 2.3 once in 20,000 by chance."""
    n, u = len(u), u.sort().values
    steps = torch.arange(n, dtype=u.dtype) / n
    return float(torch.maximum(u - steps, steps + 1 / n - u).max() * n**0.5)


@pytest.mark.parametrize("name", REWARDS)
def test_claim_4_4_the_posteriors(name, joint, claim):
    """x_t's rank in p_pre(x_t|x_{t−1}), by quadrature, is uniform; in four cells of x_{t−1} the mean agrees. In the
    denoising direction the same test, x_{t−1}'s rank in p_pre(x_{t−1}|x_t), should fail."""
    uneven, z, denoising = [], [], []
    for alpha in ALPHAS:
        x = optimal_paths(name, alpha, N, SEED).double()
        for t in TIMES:
            weights = posterior(joint[t], x[t - 1])
            uneven += [kolmogorov(u) for u in ranks(weights, x[t]).T]
            mean = weights @ POINTS
            variance = weights @ POINTS.square() - mean.square()
            residual = (x[t] - mean) / variance.sqrt()
            order = x[t - 1, :, 0].argsort()  # four cells of equal share
            z += [(part.mean(0) * len(part) ** 0.5).abs().max() for part in residual[order].chunk(4)]
            back = (x[t - 1] - ring(T).mean(x[t].float(), t)) / joint[t][2]
            denoising += [kolmogorov(u) for u in torch.special.ndtr(back).T]
    worst = max(map(float, z))
    claim.record(
        label=name,
        measured=f"Kolmogorov's √n D {max(uneven):.2f}, largest of {len(uneven)} (denoising {max(denoising):.1f}); "
        f"means {worst:.1f} s.e., largest of {2 * len(z)}",
        threshold="≤ 2.3; ≤ 4.5 s.e.",
        floor=f"0.9 and 1 s.e., n = {N}",
        seed=SEED,
    )
    assert max(uneven) <= 2.3 and worst <= 4.5
    assert max(denoising) > 2.3
