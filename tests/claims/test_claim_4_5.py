import math

import pytest
import torch
from torch.distributions import Normal

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import TiltedDensity

from ..oracles import RING_ALPHA, RING_EXTENT, RING_PEAK, RING_REWARD, law, parameters, ring, ring_mixture, seeded

CLAIM = dict(
    number="4.5",
    section="§4",
    statement="For a Gaussian mixture and a linear or quadratic reward the target p_pre exp(r/α)/Z, log Z and v_t(x) "
    "at every t are closed-form: closed form, grid and Monte Carlo agree",
    notebook="04_1_theory",
    function="tutorial_lib.distributions.GaussianMixture.tilt",
)
ALPHA, N = 0.7, 400_000
B, A = torch.tensor([0.9, -0.5], dtype=torch.float64), torch.tensor([[0.8, 0.3], [0.3, 0.5]], dtype=torch.float64)
REWARDS = {"linear": (B, None), "quadratic": (B, A)}
LEVELS = (0.95, 0.6, 0.2, 0.01)
AXIS = torch.linspace(-9, 9, 601, dtype=torch.float64)
POINTS, CELL = torch.cartesian_prod(AXIS, AXIS), (18 / 600) ** 2


def reward(x, kind):
    b, A = REWARDS[kind]
    return x @ b if A is None else x @ b - ((x @ A) * x).sum(-1) / 2


def tilt(mixture, kind):
    """The closed form: (target, log Z)."""
    b, A = REWARDS[kind]
    return mixture.tilt(b / ALPHA, None if A is None else A / ALPHA)


def ratio(weight, tilted):
    """Σ weight·tilted / Σ weight and its standard error."""
    mean = (weight * tilted).sum() / weight.sum()
    return mean, (weight * (tilted - mean)).square().sum().sqrt() / weight.sum()


@pytest.mark.parametrize("kind", REWARDS)
def test_claim_4_5_closed_form_grid_and_monte_carlo_agree(kind, claim):
    """The grid sums torch.distributions' density; Monte Carlo weighs its draws, by q(x_t|x_0) for v_t."""
    weights, means, covariances = parameters(21, 2, 4, condition=8.0)
    mixture, truth = GaussianMixture(weights, means, covariances), law(weights, means, covariances)
    target, log_z = tilt(mixture, kind)
    log_p, r = truth.log_prob(POINTS), reward(POINTS, kind)
    grid_log_z = (log_p + r / ALPHA).logsumexp(0) + math.log(CELL)
    exact = (log_p + r / ALPHA - grid_log_z).exp()
    grid_errors = [abs(float(log_z - grid_log_z)), float((target.log_prob(POINTS).exp() - exact).abs().sum() * CELL)]

    x_0 = mixture.sample(N, generator=seeded(0))
    tilted, z = (reward(x_0, kind) / ALPHA).exp(), []
    even = torch.ones(N, dtype=torch.float64)
    for value, closed in [(tilted, log_z.exp()), *((x_0[:, i], target.mean[i]) for i in (0, 1))]:
        weight = even if value is tilted else tilted
        mean, error = ratio(weight, value)
        z.append(float((mean - closed).abs() / error))

    for level in LEVELS:
        x_t = mixture.noised(level).sample(3, generator=seeded(1))
        v = ALPHA * tilt(mixture.posterior(x_t, level), kind)[1]
        for x, closed in zip(x_t, v, strict=True):
            kernel = Normal(math.sqrt(level) * POINTS, math.sqrt(1 - level)).log_prob(x).sum(1) + log_p
            by_grid = ALPHA * ((kernel + r / ALPHA).logsumexp(0) - kernel.logsumexp(0))
            grid_errors.append(abs(float(by_grid - closed)))
            weight = Normal(math.sqrt(level) * x_0, math.sqrt(1 - level)).log_prob(x).sum(1).exp()
            mean, error = ratio(weight, tilted)
            z.append(float((mean - (closed / ALPHA).exp()).abs() / error))
    claim.record(
        label=kind,
        measured=f"grid {max(grid_errors):.0e}; Monte Carlo {max(z):.1f} s.e., largest of {len(z)}",
        threshold="≤ 1e-6; ≤ 4 s.e.",
        floor=f"1 s.e., n = {N}",
        seed=0,
    )
    assert max(grid_errors) <= 1e-6
    assert max(z) <= 4


def test_claim_4_5_the_chain_on_a_grid_comes_to_the_closed_form(claim):
    """The library's grid holds the chain's own law, so it differs from the data's closed form by 1/T: at T = 200."""
    found = TiltedDensity(ring(200), RING_REWARD, extent=RING_EXTENT, grid=141)
    c, eye = torch.tensor(RING_PEAK, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    mixture = ring_mixture().to(torch.float64)
    target, log_z = mixture.tilt(2 * c / RING_ALPHA, 2 * eye / RING_ALPHA)
    optimum = RING_ALPHA * float(log_z) - float(c @ c)
    points, cell = torch.cartesian_prod(found.grid.axis, found.grid.axis), found.grid.spacing**2
    by_tilt = target.log_prob(points).exp() * cell
    distance = float((found.at(RING_ALPHA).mass.reshape(-1) - by_tilt).abs().sum() / 2)
    _, values = found.through_time(RING_ALPHA)
    errors = []
    for t in (20, 60, 120, 200):
        level = float(found.schedule.alpha_bar[t])
        density = mixture.noised(level).log_prob(points).exp() * cell
        inside = density > 1e-3 * density.max()
        posterior = mixture.posterior(points[inside], level)
        v = RING_ALPHA * posterior.tilt(2 * c / RING_ALPHA, 2 * eye / RING_ALPHA)[1] - c @ c
        gap = (values[t].reshape(-1)[inside] - v).abs()
        errors.append(float((gap * density[inside]).sum() / (v.abs() * density[inside]).sum()))
    gain = optimum + 4 + 0.18 + 4.25  # J* − J_pre, with E‖x − c‖² = 4 + 2·0.3² + ‖c‖²
    share = abs(found.at(RING_ALPHA).objective - optimum) / gain
    claim.record(
        label="the chain's grid, Ring, T = 200",
        measured=f"α log Z {share:.2%} of J* − J_pre, target {distance:.1%} in total variation, v_t {max(errors):.1%}",
        threshold="≤ 0.2 %, 3 %, 3 %",
        floor="the chain's 1/T",
    )
    assert share <= 2e-3 and distance <= 0.03 and max(errors) <= 0.03
