"""Chains of Gaussian steps against torch.distributions."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from tutorial_lib.denoisers import ExactDenoiser, MLPDenoiser
from tutorial_lib.policies import (
    Control,
    DenoisingPolicy,
    SteeredPolicy,
    Trajectory,
    ddim,
    glimpse,
    record,
    rollout,
    rollout_with,
    within_reach,
)
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import chain, image_chain, ring, ring_mixture, seeded, stirred

T = 12


class Push(nn.Module):
    """A control that is not zero: [B, 2] → [B, 2], different at every t."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.3, -0.2], [0.1, 0.4]]))

    def forward(self, x_t, t):
        return torch.sin(x_t @ self.weight + 0.1 * torch.as_tensor(t).reshape(-1, 1))


@pytest.fixture
def pretrained():
    return ring(T)


@pytest.fixture
def steered(pretrained):
    return SteeredPolicy(pretrained, Push())


def steps_of(path, policy):
    """(t, x_t, x_{t−1}, σ_t) one step at a time."""
    for t in range(1, path.T + 1):
        yield t, path.x[t], path.x[t - 1], policy.schedule.sigma[t]


def test_a_trajectory_is_indexed_by_the_papers_subscript():
    x = torch.arange(4.0)[:, None, None].expand(4, 3, 2) + torch.arange(3.0)[:, None] / 10
    path = Trajectory(x)
    assert path.T == 3 and torch.equal(path.x_0, x[0])
    x_t, t, x_next = path.steps()
    assert x_t.shape == x_next.shape == (9, 2) and t.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert torch.allclose(x_t - x_next, torch.ones(9, 2)) and torch.equal(x_t[:3], x[1])
    by_step = path.by_step(t * 10.0 + torch.arange(3.0).repeat(3))
    assert by_step.tolist() == [[0, 0, 0], [10, 11, 12], [20, 21, 22], [30, 31, 32]]


@pytest.mark.parametrize("kind", ["pretrained", "steered"])
def test_log_prob_is_that_of_normal_steps(kind, request):
    policy = request.getfixturevalue(kind)
    path = rollout(policy, 50, generator=seeded(0))
    log_prob = policy.log_prob(path)
    assert log_prob.shape == (T + 1, 50) and not log_prob[0].any()
    for t, x_t, x_next, sigma in steps_of(path, policy):
        exact = Normal(policy.mean(x_t, t).double(), sigma.double()).log_prob(x_next.double()).sum(-1)
        assert torch.allclose(log_prob[t].double(), exact, rtol=1e-5, atol=1e-5)


def test_images_are_summed_over_every_pixel():
    """A denoiser of zeros makes steps N(c¹ x_t, σ²) in any shape."""

    class Zero(nn.Module):
        shape = (1, 4, 4)

        def forward(self, x_t, t, label=None):
            return torch.zeros_like(x_t)

    schedule = NoiseSchedule.cosine(5)
    policy = DenoisingPolicy(Zero(), schedule)  # type: ignore[arg-type]
    path = rollout(policy, 7, generator=seeded(0))
    assert path.x.shape == (6, 7, 1, 4, 4)
    log_prob = policy.log_prob(path)
    for t, x_t, x_next, sigma in steps_of(path, policy):
        exact = Normal(schedule.carry[t] * x_t, sigma).log_prob(x_next).sum((1, 2, 3))
        assert torch.allclose(log_prob[t], exact, rtol=1e-5, atol=1e-4)


def test_the_pretrained_mean_is_that_of_the_exact_kernel(pretrained):
    """E[x_{t−1}|x_t] = E[q-mean given x_0, x_t], with E[x_0|x_t] by self-normalised sums over a fine grid of x_0."""
    axis = torch.linspace(-4, 4, 401, dtype=torch.float64)
    x_0 = torch.cartesian_prod(axis, axis)
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    centres = 2 * torch.stack([angle.cos(), angle.sin()], -1)
    prior = Normal(centres, 0.3).log_prob(x_0[:, None]).sum(-1).logsumexp(-1)
    schedule, x_t = pretrained.schedule, torch.tensor([[0.4, -1.1], [1.5, 0.2]])
    for t in (2, 6, 12):
        level = schedule.alpha_bar[t].double()
        likelihood = Normal(level.sqrt() * x_0, (1 - level).sqrt()).log_prob(x_t.double()[:, None]).sum(-1)
        x_hat = (prior + likelihood).softmax(-1) @ x_0
        exact = schedule.signal[t] * x_hat + schedule.carry[t] * x_t
        assert torch.allclose(pretrained.mean(x_t, t).double(), exact, atol=1e-5)


def test_a_steered_policy_starts_as_the_pretrained_one(pretrained):
    policy = SteeredPolicy(pretrained)
    x = torch.randn(20, 2, generator=seeded(0))
    for t in (1, 5, T):
        assert torch.equal(policy.mean(x, t), pretrained.mean(x, t))
        assert not policy.kl(x, t).any() and not policy.shift(x, t).any()
    path = rollout(policy, 20, generator=seeded(1))
    assert torch.equal(path.x, rollout(pretrained, 20, generator=seeded(1)).x)
    assert not policy.log_ratio(path).any()
    loss = policy.log_prob(path).sum()
    loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in policy.parameters())  # zero, but not stuck there


def test_a_shift_is_bent_to_stay_within_reach():
    """‖u‖/√(1 + ‖u‖²/reach²): of a length of 0.1, 3 and 4·10³ with a reach of 4, and in its own direction."""
    u = torch.tensor([[0.06, 0.08], [1.8, -2.4], [-3200.0, 2400.0]])
    bent = within_reach(u, 4.0)
    assert bent.norm(dim=1).tolist() == pytest.approx([0.1, 2.4, 4.0], rel=1e-3)
    torch.testing.assert_close(bent / bent.norm(dim=1, keepdim=True), u / u.norm(dim=1, keepdim=True))
    image = torch.full((2, 1, 3, 3), 5.0)
    assert within_reach(image, 4.0).flatten(1).norm(dim=1).tolist() == pytest.approx([4 / (1 + 16 / 225) ** 0.5] * 2)


def test_a_control_is_its_network_within_reach(pretrained):
    control, x = stirred(Control(pretrained, reach=0.7, generator=seeded(1))), torch.randn(9, 2, generator=seeded(2))
    for t in (1, T):
        v = control.network(x, t)
        expected = v / (1 + v.square().sum(1, keepdim=True) / 0.49).sqrt()
        torch.testing.assert_close(SteeredPolicy(pretrained, control).shift(x, t), expected)
        assert expected.norm(dim=1).max() > 0.1


def test_first_weights_are_the_generators_or_the_same_every_time(pretrained):
    state = torch.get_rng_state()
    a, b = (SteeredPolicy(pretrained).state_dict() for _ in range(2))
    c, d, e = (SteeredPolicy(pretrained, generator=seeded(s)).state_dict() for s in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    first = "control.network.first.weight"
    assert torch.equal(a[first], b[first]) and torch.equal(c[first], d[first])
    assert not torch.equal(a[first], c[first]) and not torch.equal(c[first], e[first])


def test_kl_is_that_of_the_two_normals(steered, pretrained):
    x = torch.randn(30, 2, generator=seeded(0))
    for t in (1, 2, 7, T):
        sigma = pretrained.schedule.sigma[t]
        ours, theirs = Normal(steered.mean(x, t), sigma), Normal(pretrained.mean(x, t), sigma)
        assert torch.allclose(steered.kl(x, t), kl_divergence(ours, theirs).sum(-1), rtol=1e-3, atol=1e-5)
        assert torch.allclose(steered.shift(x, t), (ours.mean - theirs.mean) / sigma, atol=1e-4)


def test_log_ratio_is_the_difference_of_log_probs(steered, pretrained):
    path = rollout(steered, 50, generator=seeded(0))
    exact = steered.log_prob(path) - pretrained.log_prob(path)
    assert not steered.log_ratio(path)[0].any()
    assert exact[1:].abs().max() > 0.1
    assert torch.allclose(steered.log_ratio(path), exact, atol=1e-3)


def test_the_expected_log_ratio_is_the_kl(steered):
    """Σ_t of the log-ratio and of ½‖u‖² along the policy's own paths have one mean (4 standard errors)."""
    path = rollout(steered, 20_000, generator=seeded(0))
    with torch.no_grad():
        kl = torch.stack([steered.kl(path.x[t], t) for t in range(1, T + 1)]).sum(0)
        gap = steered.log_ratio(path).sum(0) - kl
    assert abs(gap.mean().item()) <= 4 * gap.std().item() / 20_000**0.5
    assert kl.mean() > 0.1


def test_only_the_control_is_trained_and_the_pretrained_policy_stays(pretrained):
    network = MLPDenoiser(pretrained.schedule)
    learned = DenoisingPolicy(network, pretrained.schedule)
    policy = SteeredPolicy(learned)
    before = [p.clone() for p in network.parameters()]
    assert policy.pretrained is learned
    assert {id(p) for p in policy.parameters()}.isdisjoint({id(p) for p in network.parameters()})
    optimiser = torch.optim.SGD(policy.parameters(), lr=0.1)
    path = rollout(policy, 20, generator=seeded(0))
    for _ in range(3):
        optimiser.zero_grad()
        (policy.log_prob(path).sum() / 1e3).backward()
        optimiser.step()
    assert policy.shift(path.x[3], 3).any()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert "pretrained" not in " ".join(policy.state_dict())


def test_a_rollouts_noise_depends_on_the_generator_alone(pretrained, steered):
    first, second = (rollout(pretrained, 40, generator=seeded(3)).x for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, rollout(pretrained, 40, generator=seeded(4)).x)
    noise = []
    for policy in (pretrained, steered):
        path = rollout(policy, 40, generator=seeded(3))
        assert not path.x.requires_grad
        with torch.no_grad():
            noise.append(torch.stack([(b - policy.mean(a, t)) / s for t, a, b, s in steps_of(path, policy)]))
    assert torch.allclose(noise[0], noise[1], atol=1e-3)
    assert torch.equal(first[T], rollout(steered, 40, generator=seeded(3)).x[T])


def test_a_rollout_is_what_the_network_says_with_gradients(pretrained):
    """Without gradients the network works in place; the samples must not know."""
    policy = DenoisingPolicy(MLPDenoiser(pretrained.schedule), pretrained.schedule)
    for t, x, _, _ in steps_of(rollout(policy, 40, generator=seeded(3)), policy):
        with torch.no_grad():
            quick = policy.mean(x, t)
        assert torch.equal(policy.mean(x, t).detach(), quick)


@pytest.mark.parametrize("kind", ["pretrained", "steered"])
def test_t_as_a_tensor_is_t_as_a_number(kind, request):
    policy = request.getfixturevalue(kind)
    x = torch.randn(T, 2, generator=seeded(0))
    t = torch.arange(T, 0, -1)
    for method in (policy.mean, policy.shift, policy.kl):
        rows = torch.cat([method(x[i : i + 1], int(t[i])) for i in range(T)])
        assert torch.allclose(method(x, t), rows, atol=1e-6)
    assert torch.equal(policy.sigma(t), torch.stack([policy.sigma(int(s)) for s in t]))


def test_ddim_without_noise_is_a_map_and_with_all_of_it_the_chain(pretrained):
    def hand(x, t, eta, z):  # Song et al. 2021, equations 12 and 16
        level, before = (pretrained.schedule.alpha_bar[s].double() for s in (t, t - 1))
        x_0 = pretrained.denoiser(x, t).double()
        epsilon = (x - level.sqrt() * x_0) / (1 - level).sqrt()
        sigma = eta * ((1 - before) / (1 - level) * (1 - level / before)).sqrt()  # √β̃_t at η = 1
        return before.sqrt() * x_0 + (1 - before - sigma**2).sqrt() * epsilon + sigma * z

    path = ddim(pretrained, 30, eta=0.0, generator=seeded(0))
    for t, x_t, x_next, _ in steps_of(path, pretrained):
        assert torch.allclose(x_next.double(), hand(x_t, t, 0.0, 0.0), atol=2e-4)
    noisy = ddim(pretrained, 30, eta=1.0, generator=seeded(0))
    g = seeded(0)
    z = [torch.randn(30, 2, generator=g) for _ in range(T + 1)]
    for t, x_t, x_next, _ in steps_of(noisy, pretrained):
        mean = x_next - pretrained.schedule.posterior_std[t] * z[T + 1 - t]
        if t >= 2:
            assert torch.allclose(mean, pretrained.mean(x_t, t), atol=2e-5)
            assert torch.allclose(x_next.double(), hand(x_t, t, 1.0, z[T + 1 - t].double()), atol=2e-4)


@pytest.mark.parametrize("kind", ["pretrained", "steered"])
def test_a_glimpse_is_ddim_over_a_few_levels(kind, request):
    """Levels T = 12, 8, 4, 0 by hand, x̂_0 told by the mean: c⁰_t x̂_0 + c¹_t x_t."""
    policy = request.getfixturevalue(kind)
    schedule, x = policy.schedule, torch.randn(20, 2, generator=seeded(5))
    with torch.no_grad():
        for t, s in ((12, 8), (8, 4), (4, 0)):
            x_0 = (policy.mean(x, t) - schedule.carry[t] * x) / schedule.signal[t]
            epsilon = (x - schedule.alpha_bar[t].sqrt() * x_0) / (1 - schedule.alpha_bar[t]).sqrt()
            x = schedule.alpha_bar[s].sqrt() * x_0 + (1 - schedule.alpha_bar[s]).sqrt() * epsilon
    torch.testing.assert_close(glimpse(policy, 20, steps=3, generator=seeded(5)), x, atol=1e-4, rtol=1e-4)


def test_a_glimpse_of_every_level_is_ddim_and_more_are_refused(pretrained):
    all_levels = glimpse(pretrained, 9, steps=T, generator=seeded(5))
    torch.testing.assert_close(all_levels, ddim(pretrained, 9, eta=0.0, generator=seeded(5)).x_0, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match=r"steps must lie in 1\.\.12, got 13"):
        glimpse(pretrained, 3, steps=T + 1, generator=seeded(0))


def test_rollout_with_another_mean_keeps_the_policys_noise(pretrained):
    path = rollout_with(lambda x, t: torch.zeros_like(x), pretrained, 40_000, generator=seeded(0))
    spread = path.x[:T].std((1, 2))
    assert torch.allclose(spread, pretrained.schedule.sigma[1:], rtol=0.02)
    still = rollout_with(lambda x, t: x, pretrained, 5, std=torch.zeros(T + 1), generator=seeded(0))
    assert torch.equal(still.x_0, still.x[T])


def test_the_chain_samples_its_data():
    """Mean and variance of x_0 at T = 100 within 4 standard errors and 1 % of the ring's."""
    x_0 = rollout(chain(ring_mixture(), 100), 50_000, generator=seeded(0)).x_0
    assert (x_0.mean(0).abs() <= 4 * x_0.std(0) / 50_000**0.5).all()
    assert torch.allclose(x_0.var(0), torch.full((2,), 2 + 0.09), rtol=0.015)


def test_images_need_a_control_of_their_own():
    with pytest.raises(ValueError, match=r"pass a control for data of shape \(1, 8, 8\)"):
        SteeredPolicy(image_chain())


def test_moving_the_exact_denoiser_needs_no_parameters():
    assert not list(ExactDenoiser(ring_mixture(), NoiseSchedule.cosine(5)).parameters())


def test_a_recorded_path_is_the_policys_own_and_knows_what_was_done(steered):
    path, again = record(steered, 40, generator=seeded(3)), rollout(steered, 40, generator=seeded(3))
    torch.testing.assert_close(path.x, again.x)
    assert not path.u[0].any() and not path.z[0].any()
    with torch.no_grad():
        torch.testing.assert_close(path.log_ratio(), steered.log_ratio(again), atol=1e-4, rtol=1e-4)
        kl = torch.zeros(40)
        for t in range(1, T + 1):
            p, q = (Normal(policy.mean(again.x[t], t), steered.sigma(t)) for policy in (steered, steered.pretrained))
            kl += kl_divergence(p, q).sum(1)
            torch.testing.assert_close(path.u[t], steered.shift(again.x[t], t))
            back = q.mean + steered.sigma(t) * path.z[t]
            torch.testing.assert_close(back, again.x[t - 1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(path.kl(), kl, atol=1e-4, rtol=1e-4)
    assert kl.min() > 1e-3
