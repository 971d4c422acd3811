"""The dictionary: an environment that knows no diffusion, against the sampler that knows no environment."""

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence

from tutorial_lib.metrics import rollout_with_kl
from tutorial_lib.policies import SteeredPolicy

from ..oracles import RING_ALPHA, RING_REWARD, ring, seeded, wave

CLAIM = dict(
    number="3.1",
    section="§3",
    statement="Denoising is an MDP: state (x_t, t), action x_{t−1}, deterministic transition, reward r(x_0) at the "
    "end. The return of an episode is r(x_0) − α Σ KL_t of the plain sampler.",
    notebook="03_denoising_as_an_mdp",
    function="tutorial_lib.metrics.rollout_with_kl",
)


class Swirl(nn.Module):
    """A control with no symmetry and no special time."""

    def forward(self, x_t, t):
        return 0.3 * torch.stack([(x_t[:, 1] + t / 7).sin() - 0.5, (x_t[:, 0] * x_t[:, 1] / 4).tanh()], -1)


@pytest.fixture(autouse=True)
def double():
    """In float64, so that the identity is not lost in the rounding of a long path."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def gaussian(mean, sigma):
    return MultivariateNormal(mean, sigma.double().square() * torch.eye(2))


def episodes(policy, reference, reward, alpha, n, generator):
    """Returns [n] of the entropy-regularised MDP, with the states as (x, time left), by agent and environment."""
    state = (torch.randn(n, 2, generator=generator), policy.schedule.T)
    returns = torch.zeros(n)
    while state[1] > 0:
        acts, habit = (gaussian(p.mean(*state), p.sigma(state[1])) for p in (policy, reference))
        action = acts.mean + torch.randn(n, 2, generator=generator) @ acts.scale_tril[0].T
        state = (action, state[1] - 1)
        earned = reward(action) if state[1] == 0 else torch.zeros(n)
        returns = returns + earned - alpha * kl_divergence(acts, habit)
    return returns


@pytest.mark.parametrize(
    ("name", "reward", "T"), [("peak", RING_REWARD, 20), ("peak", RING_REWARD, 50), ("wave", wave, 20)]
)
def test_claim_3_1_the_return_is_the_objective_of_the_path(name, reward, T, claim):
    pretrained, worst = ring(T), 0.0
    policy = SteeredPolicy(pretrained, Swirl())
    for seed in range(3):
        with torch.no_grad():
            left = episodes(policy, pretrained, reward, RING_ALPHA, 1000, seeded(seed))
            path, kl = rollout_with_kl(policy, 1000, generator=seeded(seed))
            right = reward(path.x_0) - RING_ALPHA * kl
        assert kl.mean() > 0.3 and right.std() > 0.1  # there is something to compare
        worst = max(worst, (left - right).abs().max().item())
    claim.record(
        label=f"{name}, T = {T}, largest difference in 3 × 1000 episodes",
        measured=f"{worst:.0e}",
        threshold="≤ 1e-5",
        floor="1e-16 a rounding (float64)",
    )
    assert worst <= 1e-5
