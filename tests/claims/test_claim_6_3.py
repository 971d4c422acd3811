"""Reward-weighted MLE beside the pretraining loss, both with a weight for each sample: two files, one gradient."""

import pytest
import torch

from tutorial_lib.algorithms import reward_weighted_mle
from tutorial_lib.denoisers import Denoiser, MLPDenoiser, denoising_loss
from tutorial_lib.policies import RetunedPolicy, SteeredPolicy, rollout

from ..oracles import RING_ALPHA, RING_REWARD, ring, seeded

CLAIM = dict(
    number="6.3",
    section="§6.1",
    statement="Reward-weighted MLE's loss is the pretraining loss with a weight: the same gradient as the denoising "
    "loss under w·(c⁰_t)²/2σ_t², for a retrained denoiser and for a control, which is a denoiser too.",
    notebook="06_1_reward_weighted_mle",
    function="tutorial_lib.algorithms.reward_weighted_mle.loss",
)
T, N, SEED = 50, 4096, 0


class Steered(Denoiser):
    """The denoiser that a control makes: x̂_0 + (σ_t/c⁰_t) u_t."""

    def __init__(self, policy):
        super().__init__()
        self.policy, self.schedule, self.shape = policy, policy.schedule, policy.shape

    def forward(self, x_t, t, label=None):
        gain = (self.schedule.sigma / self.schedule.signal)[t].unsqueeze(1)
        return self.policy.pretrained.denoiser(x_t, t) + gain * self.policy.control(x_t, t)


def pair(kind):
    """A policy, and the denoiser that it is."""
    torch.manual_seed(SEED)
    pretrained = ring(T)
    if kind == "a retrained denoiser":
        denoiser = MLPDenoiser(pretrained.schedule)
        return RetunedPolicy(pretrained, denoiser), denoiser
    policy = SteeredPolicy(pretrained)
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    return policy, Steered(policy)


def gradient(loss, policy):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(policy.parameters()))]).double()


def weighted_samples(pretrained, n):
    x_0 = rollout(pretrained, n, generator=seeded(SEED)).x_0
    t = torch.randint(1, T + 1, (n,), generator=seeded(SEED + 1))
    return x_0, t, n * (RING_REWARD(x_0) / RING_ALPHA).softmax(0)


@pytest.mark.parametrize("kind", ["a retrained denoiser", "a control"])
def test_claim_6_3_one_gradient_two_losses(kind, claim):
    policy, denoiser = pair(kind)
    schedule = policy.schedule
    x_0, t, weight = weighted_samples(policy.pretrained, N)

    x_t, _ = schedule.add_noise(x_0, t, generator=seeded(SEED + 2))
    ours = gradient(reward_weighted_mle.loss(policy, x_0, x_t, t, weight), policy)

    time = 2 * (1 - schedule.alpha_bar) * schedule.signal**2 / (2 * schedule.sigma**2)  # the KL's weight; D = 2
    pretraining = denoising_loss(denoiser, x_0, t, generator=seeded(SEED + 2), weight=weight * time[t])
    theirs = gradient(pretraining, policy)

    error = ((ours - theirs).norm() / theirs.norm()).item()
    floor = torch.finfo(torch.float32).eps
    claim.record(
        label=f"{kind}, relative difference", measured=f"{error:.0e}", threshold="≤ 1e-5", floor=f"{floor:.0e}"
    )
    assert error <= 1e-5


def test_claim_6_3_it_is_maximum_likelihood(claim):
    """The mean over x_{t−1} ~ q(x_{t−1}|x_t, x_0) of the gradient of −log p_θ(x_{t−1}|x_t) is the loss's gradient."""
    policy, _ = pair("a control")
    schedule = policy.schedule
    x_0, t, weight = weighted_samples(policy.pretrained, 256)
    x_t, _ = schedule.add_noise(x_0, t, generator=seeded(SEED + 2))
    exact = gradient(reward_weighted_mle.loss(policy, x_0, x_t, t, weight), policy)

    g, drawn = seeded(SEED + 3), []
    for _ in range(400):
        z = torch.randn(x_0.shape, generator=g)
        x_next = schedule.posterior_mean(x_0, x_t, t) + schedule.posterior_std[t].unsqueeze(1) * z
        law = torch.distributions.Normal(policy.mean(x_t, t), schedule.sigma[t].unsqueeze(1))
        drawn.append(gradient(-(weight * law.log_prob(x_next).sum(1)).mean(), policy))
    draws = torch.stack(drawn)
    along = draws @ (exact / exact.norm())
    z_score = ((along.mean() - exact.norm()) / (along.std() / len(draws) ** 0.5)).item()
    claim.record(
        label="its mean over x_{t−1} of the gradient of −log p_θ, along that gradient",
        measured=f"{z_score:+.1f} s.e.",
        threshold="≤ 4 s.e.",
        floor="1 s.e., n = 400",
        seed=SEED,
    )
    assert abs(z_score) <= 4
