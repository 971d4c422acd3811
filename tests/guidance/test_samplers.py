"""One contract for all samplers that leave the model as it is, and what each derivative-free one aims at."""

import functools
import math
from collections.abc import Callable

import pytest
import torch

from tutorial_lib.denoisers import MLPDenoiser, initial_weights
from tutorial_lib.exact import SoftValues
from tutorial_lib.guidance import classifier_free, sequential_monte_carlo, value_weighted
from tutorial_lib.guidance.sequential_monte_carlo import Particles, systematic
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.policies import DenoisingPolicy, Trajectory, rollout
from tutorial_lib.rewards import disc, peak
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import RING_REWARD, ring, seeded

T, ALPHA = 6, 0.5


class Bowl:
    """v = −‖x‖² at every t."""

    def __call__(self, x, t):
        return -x.square().sum(1)

    def grad(self, x, t):
        return -2 * x


class Flat:
    """No number for each particle, and no slope for each coordinate."""

    def __call__(self, x, t):
        return torch.zeros(len(x), 1)

    def grad(self, x, t):
        return torch.zeros(len(x))


def learned(seed=0):
    """A chain around a random network, so that there are weights to leave alone."""
    schedule = NoiseSchedule.cosine(T)
    with initial_weights(seed):
        return DenoisingPolicy(MLPDenoiser(schedule), schedule)


BY_VALUE: dict[str, Callable] = {
    "value_weighted": value_weighted.sample,
    "sequential_monte_carlo": sequential_monte_carlo.sample,
    "svdd": functools.partial(sequential_monte_carlo.svdd, candidates=3),
}


def steered(pretrained, value, **options):
    """Sequential Monte Carlo on the steps of Algorithm 4, with a value that counts more and more."""
    proposal = ValueWeightedPolicy(pretrained, value, alpha=options["alpha"])
    temper = [1 - t / pretrained.schedule.T for t in range(pretrained.schedule.T + 1)]
    return sequential_monte_carlo.sample(pretrained, value, proposal=proposal, temper=temper, **options)


BY_VALUE["steered"] = steered
SAMPLERS: dict[str, Callable] = {
    **{name: functools.partial(sample, value=Bowl(), alpha=ALPHA) for name, sample in BY_VALUE.items()},
    "classifier_free": functools.partial(classifier_free.sample, conditional=learned(1)),
}
every = pytest.mark.parametrize("sample", SAMPLERS.values(), ids=SAMPLERS.keys())
by_value = pytest.mark.parametrize("sample", BY_VALUE.values(), ids=BY_VALUE.keys())


@every
def test_the_same_seed_gives_the_same_samples(sample):
    first, second, other = (sample(learned(), n=9, generator=seeded(seed)).x for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)


@every
def test_a_trajectory_of_finite_points_comes_back(sample):
    for n in (1, 2, 9):
        path = sample(learned(), n=n, generator=seeded(0))
        assert isinstance(path, Trajectory) and path.x.shape == (T + 1, n, 2)
        assert torch.isfinite(path.x).all() and not path.x.requires_grad


@every
def test_the_pretrained_model_is_left_alone(sample):
    pretrained = learned()
    before = [p.detach().clone() for p in pretrained.parameters()]
    sample(pretrained, n=5, generator=seeded(0))
    assert all(torch.equal(a, b) for a, b in zip(before, pretrained.parameters(), strict=True))
    assert all(p.grad is None for p in pretrained.parameters())


@every
@pytest.mark.parametrize("n", [0, -3, 1.5, math.nan])
def test_a_bad_n_is_refused(sample, n):
    with pytest.raises(ValueError, match=rf"n must be a whole number ≥ 1, got {n}"):
        sample(learned(), n=n, generator=seeded(0))


@by_value
@pytest.mark.parametrize("alpha", [0, -0.5, math.nan, math.inf])
def test_a_bad_alpha_is_refused(sample, alpha):
    with pytest.raises(ValueError, match=rf"alpha must be a finite number > 0, got {alpha}"):
        sample(learned(), Bowl(), alpha=alpha, n=3, generator=seeded(0))


@by_value
def test_a_value_of_another_shape_is_refused(sample):
    with pytest.raises(ValueError, match=r"value(\.grad)? must return .*, got (shape )?\[\d+(, 1)?\]"):
        sample(learned(), Flat(), alpha=ALPHA, n=3, generator=seeded(0))


class Asked:
    """A value that counts how often it was asked, and what it was asked for."""

    def __init__(self, value):
        self.value, self.times = value, []

    def __call__(self, x, t):
        self.times.append(t)
        return self.value(x, t)

    def grad(self, x, t):
        self.times.append(t)
        return self.value.grad(x, t)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("value_weighted", [5, 4, 3, 2, 1, 0]),
        ("sequential_monte_carlo", [6, 5, 4, 3, 2, 1, 0]),
        ("svdd", [5, 4, 3, 2, 1, 0]),
        ("steered", [6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0]),
    ],
)
def test_the_value_is_asked_once_a_step_about_where_the_step_goes(name, times):
    """Once for its slope and once for itself where both steer."""
    value = Asked(Bowl())
    BY_VALUE[name](learned(), value, alpha=ALPHA, n=5, generator=seeded(0))
    assert value.times == times


@pytest.mark.parametrize("name", ["sequential_monte_carlo", "svdd"])
def test_a_constant_added_to_v_t_changes_no_choice(name):
    """Nor does it change log Ẑ, for the v_t cancel along a path and v_0 has none."""
    raised = Asked(lambda x, t: Bowl()(x, t) + 0.25 * t)
    plain, other = (
        BY_VALUE[name](learned(), v, alpha=ALPHA, n=40, generator=seeded(0)) for v in (Asked(Bowl()), raised)
    )
    assert raised.times and torch.allclose(plain.x, other.x, atol=1e-4)
    if name == "sequential_monte_carlo":
        assert torch.allclose(plain.log_z, other.log_z, atol=1e-4)
        assert torch.allclose(plain.effective, other.effective, atol=1e-4)


@pytest.mark.parametrize("name", ["sequential_monte_carlo", "svdd"])
def test_a_slope_added_to_v_t_changes_what_is_drawn(name):
    steeper = Asked(lambda x, t: Bowl()(x, t) + 3 * t * x[:, 0])
    plain, other = (BY_VALUE[name](learned(), v, alpha=ALPHA, n=40, generator=seeded(0)) for v in (Bowl(), steeper))
    assert not torch.allclose(plain.x_0, other.x_0, atol=0.1)


@pytest.mark.parametrize("candidates", [0, 2.5, -1])
def test_a_bad_number_of_candidates_is_refused(candidates):
    with pytest.raises(ValueError, match=rf"candidates must be a whole number ≥ 1, got {candidates}"):
        BY_VALUE["svdd"](learned(), Bowl(), alpha=ALPHA, n=3, candidates=candidates, generator=seeded(0))


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, math.nan])
def test_a_bad_threshold_is_refused(share):
    with pytest.raises(ValueError, match=rf"resample_below must lie in \(0, 1\], got {share}"):
        sequential_monte_carlo.sample(learned(), Bowl(), alpha=ALPHA, n=3, resample_below=share, generator=seeded(0))


@pytest.mark.parametrize("temper", [[], [1.0] * T, [0.5] * (T + 1), [1.0, -0.1] + [0.0] * (T - 1)])
def test_bad_shares_are_refused(temper):
    with pytest.raises(ValueError, match=rf"temper must (hold T \+ 1 = {T + 1} shares|be a finite number ≥ 0)"):
        sequential_monte_carlo.sample(learned(), Bowl(), alpha=ALPHA, n=3, temper=temper, generator=seeded(0))


@pytest.mark.parametrize("sample", [BY_VALUE["sequential_monte_carlo"], BY_VALUE["svdd"]])
def test_a_nan_value_is_refused(sample):
    with pytest.raises(ValueError, match=r"finite numbers .* with NaN or infinity"):
        sample(learned(), lambda x, t: torch.full((len(x),), math.nan), alpha=ALPHA, n=3, generator=seeded(0))


# what they aim at


@functools.cache
def soft(reward_name="peak"):
    reward = {"peak": RING_REWARD, "disc": disc((-1.5, -1.5), radius=0.8)}[reward_name]
    return SoftValues(ring(T), reward, alpha=ALPHA, extent=7.0, grid=121)


def value_of(name, reward_name):
    found = soft(reward_name)
    values: dict[str, Callable] = {
        "exact": found,
        "none": lambda x, t: torch.zeros(len(x)) if t else found.reward(x),
        "wrong": lambda x, t: 0.2 * x[:, 1] if t else found.reward(x),
    }
    return values[name]


@pytest.mark.parametrize("reward_name", ["peak", "disc"])
@pytest.mark.parametrize("name", ["exact", "none", "wrong"])
@pytest.mark.parametrize("n", [1, 16])
def test_the_mean_weight_is_unbiased_whatever_the_value(n, name, reward_name):
    """E[Ẑ] = E_pre[exp(r/α)], which quadrature knows."""
    path = sequential_monte_carlo.sample(
        ring(T), value_of(name, reward_name), alpha=ALPHA, n=n, clouds=16_000 // n, generator=seeded(1)
    )
    z = path.log_z.double().exp()
    assert abs(z.mean() - math.exp(soft(reward_name).tilted_optimum / ALPHA)) < 4 * z.std() / len(z) ** 0.5


FADING = [1 - t / T for t in range(T + 1)]


class Pushed(ValueWeightedPolicy):
    """Pretrained steps, each pushed along a share of Tweedie's slope; against it where the share is negative."""

    def __init__(self, share):
        super().__init__(ring(T), Tweedie(ring(T), RING_REWARD), alpha=ALPHA)
        self.share = share

    def proposal(self, x_t, t):
        rho, u = super().proposal(x_t, t)
        return rho, self.share * u


@pytest.mark.parametrize(("share", "temper"), [(0.3, None), (-0.1, None), (0, FADING), (0.5, FADING)])
@pytest.mark.parametrize("n", [1, 16])
def test_the_mean_weight_is_unbiased_whatever_the_steps_and_shares(n, share, temper):
    options: dict = dict(alpha=ALPHA, n=n, clouds=16_000 // n, proposal=Pushed(share), temper=temper)
    path = sequential_monte_carlo.sample(ring(T), soft(), generator=seeded(1), **options)
    z = path.log_z.double().exp()
    assert abs(z.mean() - math.exp(soft().tilted_optimum / ALPHA)) < 4 * z.std() / len(z) ** 0.5


@pytest.mark.parametrize(("share", "temper"), [(0.3, None), (-0.1, None), (0.5, FADING)])
def test_the_cloud_keeps_its_aim_whatever_the_steps_and_shares(share, temper):
    x = rollout(ring(T), 400_000, generator=seeded(2)).x_0.double()
    mean = (RING_REWARD(x) / ALPHA).softmax(0) @ x
    options: dict = dict(alpha=ALPHA, n=500, clouds=40, proposal=Pushed(share), temper=temper)
    cloud = sequential_monte_carlo.sample(ring(T), soft(), generator=seeded(3), **options)
    means = cloud.x_0.double().reshape(40, 500, 2).mean(1)
    assert ((means.mean(0) - mean).abs() < 4 * means.std(0) / 40**0.5 + 0.01).all()


def test_steps_by_the_exact_slope_leave_the_weights_nearly_even():
    options: dict = dict(alpha=ALPHA, n=64, clouds=20)
    proposal = ValueWeightedPolicy(ring(T), soft(), alpha=ALPHA)
    chosen = sequential_monte_carlo.sample(ring(T), soft(), generator=seeded(2), **options)
    both = sequential_monte_carlo.sample(ring(T), soft(), generator=seeded(2), proposal=proposal, **options)
    assert both.effective.mean() > 0.7 > chosen.effective.mean()


def test_one_steered_particle_is_algorithm_4_and_pays_its_log_ratio():
    """n = 1: nothing is chosen, log Ẑ = r/α − log p/p_pre of the path. With λ_t = 0 on the way it is p_pre's path."""
    proposal = ValueWeightedPolicy(ring(T), Bowl(), alpha=ALPHA)
    value = Asked(lambda x, t: Bowl()(x, t) if t else RING_REWARD(x))
    options: dict = dict(alpha=ALPHA, n=1, clouds=50, proposal=proposal)
    path = sequential_monte_carlo.sample(ring(T), value, generator=seeded(3), **options)
    expected = RING_REWARD(path.x_0) / ALPHA - proposal.log_ratio(path).sum(0)
    torch.testing.assert_close(path.log_z, expected, atol=1e-3, rtol=1e-4)
    off = sequential_monte_carlo.sample(ring(T), value, generator=seeded(3), temper=[1.0] + [0.0] * T, **options)
    assert torch.allclose(ring(T).log_ratio(off).sum(0), torch.zeros(50))
    z = (off.x[1:-1] - torch.stack([ring(T).mean(off.x[t], t) for t in range(2, T + 1)])).flatten(1)
    assert ((z.std(1) / ring(T).schedule.sigma[2:] - 1).abs() < 0.3).all()
    torch.testing.assert_close(
        off.log_z, RING_REWARD(off.x_0) / ALPHA - proposal_paid(proposal, off), atol=1e-3, rtol=0
    )


def proposal_paid(proposal, path):
    """log p/p_pre of the last step alone: [B]."""
    rho, u = proposal.proposal(path.x[1], 1)
    z = (path.x[0] - rho) / proposal.schedule.sigma[1]
    return (u * z - u.square() / 2).sum(1)


def test_shares_of_one_are_no_tempering_and_the_pretrained_steps_no_proposal():
    options: dict = dict(alpha=ALPHA, n=40)
    same: dict = dict(temper=[1.0] * (T + 1), proposal=ring(T))
    plain, told = (
        sequential_monte_carlo.sample(ring(T), Bowl(), generator=seeded(0), **options, **more) for more in ({}, same)
    )
    assert torch.equal(plain.x, told.x) and torch.equal(plain.log_z, told.log_z)


def test_a_tempered_value_is_that_share_of_it():
    options: dict = dict(alpha=ALPHA, n=40)
    plain = sequential_monte_carlo.sample(
        ring(T), lambda x, t: FADING[t] * Bowl()(x, t), generator=seeded(0), **options
    )
    told = sequential_monte_carlo.sample(ring(T), Bowl(), temper=FADING, generator=seeded(0), **options)
    assert torch.allclose(plain.x, told.x, atol=1e-5)


@pytest.mark.parametrize("name", ["exact", "none", "wrong"])
def test_the_cloud_has_the_moments_of_the_tilted_chain(name):
    """Against pretrained paths weighted by exp(r/α), many more of them."""
    x = rollout(ring(T), 400_000, generator=seeded(2)).x_0.double()
    weights = (RING_REWARD(x) / ALPHA).softmax(0)
    mean = weights @ x
    cloud = sequential_monte_carlo.sample(
        ring(T), value_of(name, "peak"), alpha=ALPHA, n=500, clouds=40, generator=seeded(3)
    )
    means = cloud.x_0.double().reshape(40, 500, 2).mean(1)
    assert ((means.mean(0) - mean).abs() < 4 * means.std(0) / 40**0.5 + 0.01).all()


def test_clouds_keep_to_themselves_and_paths_are_whole():
    """A survivor's x_{t−1} lies within 6σ_t of ρ(x_t), which a neighbour's does not; no ancestor serves two clouds."""
    path = sequential_monte_carlo.sample(ring(T), soft(), alpha=ALPHA, n=50, clouds=8, generator=seeded(4))
    for t in range(1, T + 1):
        z = (path.x[t - 1] - ring(T).mean(path.x[t], t)) / ring(T).sigma(t)
        assert z.abs().max() < 6
    clouds = path.x[-1].reshape(8, 50, 2)
    assert sum(len(cloud.unique(dim=0)) for cloud in clouds) == len(path.x[-1].unique(dim=0)) < 400
    assert isinstance(path, Particles) and path.effective.shape == (T + 1, 8)
    assert ((path.effective > 0) & (path.effective <= 1 + 1e-5)).all()


def test_the_survivors_descend_from_few_x_T_and_are_many_x_0():
    """A value that loves the right half at t = 3: from there on down the paths part, from there on up they are one."""
    fond = Asked(lambda x, t: 8.0 * (x[:, 0] > 1).float() if t == 3 else torch.zeros(len(x)))
    path = sequential_monte_carlo.sample(ring(T), fond, alpha=ALPHA, n=400, generator=seeded(14))
    distinct = [len(path.x[t].unique(dim=0)) for t in range(T + 1)]
    assert distinct[0] == distinct[1] == distinct[2], "v_2 = 0 takes back what v_3 gave, and nobody is copied again"
    assert distinct[3] == distinct[4] == distinct[5] == distinct[T] < 200 < distinct[2]
    assert (path.x[3][:, 0] > 1).all()


def test_where_no_share_is_too_small_all_weights_are_carried_to_the_end():
    """By hand: a threshold that is never reached, so that w_0 = exp(r/α) alone chooses, whatever v was on the way."""
    options: dict = dict(alpha=ALPHA, n=64, resample_below=1e-6)
    path = sequential_monte_carlo.sample(ring(T), value_of("wrong", "peak"), generator=seeded(15), **options)
    generator = seeded(15)
    x = torch.randn(64, 2, generator=generator)
    for t in range(T, 0, -1):
        torch.rand(1, 1, generator=generator)  # the resampling's own, which is not used
        x = ring(T).mean(x, t) + ring(T).schedule.sigma[t] * torch.randn(64, 2, generator=generator)
    w = (RING_REWARD(x) / ALPHA).exp()
    assert path.log_z.item() == pytest.approx(w.mean().log().item(), rel=1e-4)
    assert path.effective[0].item() == pytest.approx(float(w.sum() ** 2 / w.square().sum() / 64), rel=1e-3)
    chosen = (path.x_0[:, None] - x).norm(dim=2).argmin(1).bincount(minlength=64)
    assert ((chosen - 64 * w / w.sum()).abs() < 1 + 1e-3).all()


def test_a_value_of_zero_resamples_nothing_but_at_the_end():
    path = sequential_monte_carlo.sample(ring(T), value_of("none", "peak"), alpha=ALPHA, n=300, generator=seeded(5))
    assert torch.allclose(path.effective[1:], torch.ones(T, 1)) and path.effective[0] < 0.5
    weights = (RING_REWARD(rollout(ring(T), 10**5, generator=seeded(6)).x_0).double() / ALPHA).softmax(0)
    assert float(path.effective[0]) == pytest.approx(float(1 / weights.square().sum()) / 10**5, rel=0.4)


def test_systematic_resampling_gives_each_its_due():
    weights = torch.rand(5, 12, generator=seeded(7)).square()
    weights = weights / weights.sum(1, keepdim=True)
    chosen = systematic(weights, seeded(8))
    counts = torch.stack([row.bincount(minlength=12) for row in chosen])
    assert ((counts - 12 * weights).abs() < 1 + 1e-4).all()
    even = torch.full((3, 7), 1 / 7)
    assert torch.equal(systematic(even, seeded(9)), torch.arange(7).expand(3, 7))


def test_svdd_with_one_candidate_is_the_pretrained_model():
    x = BY_VALUE["svdd"](ring(T), Bowl(), alpha=ALPHA, n=20_000, candidates=1, generator=seeded(10)).x_0
    same = rollout(ring(T), 20_000, generator=seeded(11)).x_0
    assert (x.mean(0) - same.mean(0)).abs().max() < 0.06 and (x.T.cov() - same.T.cov()).abs().max() < 0.1


def test_svdd_draws_its_candidates_by_their_values():
    """One step of one chain from one point: the mean of r over draws, against Gauss–Hermite's tilted kernel."""
    reward, t = peak((0.5, 0.0)), 1
    pretrained = ring(2)
    x = sequential_monte_carlo.svdd(
        pretrained,
        lambda x, t: reward(x) if t == 0 else 0 * x[:, 0],
        alpha=ALPHA,
        n=4000,
        candidates=400,
        generator=seeded(12),
    )
    rho, sigma = pretrained.mean(x.x[t], t), float(pretrained.sigma(t))
    precision = 2 / ALPHA + 1 / sigma**2  # a Gaussian kernel times exp(−‖x − c‖²/α)
    expected = (rho / sigma**2 + 2 / ALPHA * torch.tensor([0.5, 0.0])) / precision
    z = (x.x_0 - expected) * precision**0.5
    assert z.mean(0).abs().max() < 4 / 4000**0.5 + 0.02
    assert (z.square().mean(0) - 1).abs().max() < 0.12
