"""α = 0 collapses, α > 0 keeps the good modes, α too large moves nothing: the exact optimum and a trained policy."""

import itertools
import math
from functools import partial

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.algorithms import reward_backprop, run
from tutorial_lib.exact import TiltedDensity
from tutorial_lib.metrics import entropy, evaluate, mode_shares, modes_covered
from tutorial_lib.policies import SteeredPolicy, rollout

from ..oracles import RING_EXTENT, ring, ring_mixture, seeded
from ..shared import shared
from .digit_chains import DRAWN, STEEP, beginner, digits, pretrained_digits, variety

CLAIM = dict(
    number="3.3",
    section="§3",
    statement="Mechanism 2: at α = 0 entropy and covered modes fall, though the objective asks for no such thing; with "
    "α > 0 every good mode stays. Break condition: α too large leaves the reward where it was.",
    notebook="03_denoising_as_an_mdp",
    function="tutorial_lib.metrics.modes_covered",
)
T, GOOD, SEEDS = 20, [1, 4, 6], range(3)
LEAST = math.log(2 * math.pi * math.e * float(ring(T).schedule.sigma[1]) ** 2)  # H(x_0) ≥ H(x_0|x_1)


def islands(x):
    """Three equally high hills, on three of the ring's clusters."""
    return torch.exp(-(x[:, None] - ring_mixture().means[GOOD]).square().sum(-1) / 1.28).sum(1)


@pytest.fixture(scope="module")
def tilted():
    return shared(TiltedDensity, ring(T), islands, extent=RING_EXTENT, grid=161)


def climb(runs, iterations=160, n=256):
    """Policies by plain reparametrised ascent on E[r] − α Σ KL_t, {(α, seed): policy}: all in one batch, each with
    noise, weights and optimiser of its own."""
    pretrained, generators = ring(T), [seeded(seed) for _, seed in runs]
    policies = [SteeredPolicy(pretrained, width=64, generator=g) for g in generators]
    weights, _ = torch.func.stack_module_state([policy.control for policy in policies])
    control = torch.func.vmap(partial(torch.func.functional_call, policies[0].control), in_dims=(0, (0, None)))
    optimiser, alpha = torch.optim.Adam(weights.values(), lr=3e-3), torch.tensor([alpha for alpha, _ in runs])
    for _ in range(iterations):
        noise = iter(torch.stack([torch.randn(T + 1, n, 2, generator=g) for g in generators], 1))
        x, kl = next(noise), torch.zeros(len(runs), n)
        for t in range(T, 0, -1):
            u = control(weights, (x, t))
            kl = kl + u.square().sum(-1) / 2
            rho = pretrained.mean(x.flatten(0, 1), t).reshape(x.shape)
            x = rho + pretrained.sigma(t) * (u + next(noise))
        optimiser.zero_grad()
        (alpha @ kl.mean(1) - islands(x.flatten(0, 1)).reshape(kl.shape).mean(1).sum()).backward()
        clip_each(weights.values())
        optimiser.step()
    for place, policy in enumerate(policies):
        policy.control.load_state_dict({name: weight[place] for name, weight in weights.items()})
    return dict(zip(runs, policies, strict=True))


def clip_each(weights, most=1.0):
    """Each run's gradient, a row of every weight's, is at most of norm 1."""
    norm = sum(w.grad.flatten(1).square().sum(1) for w in weights).sqrt()
    for w in weights:
        w.grad *= (most / norm.clamp_min(most)).reshape(-1, *[1] * (w.ndim - 1))


@pytest.fixture(scope="module")
def measured():
    """A function (α, seed) → (x_0 of 4000 samples, reward) of a trained policy."""
    policies = climb([(alpha, seed) for alpha in (0.0, 0.2) for seed in SEEDS] + [(100.0, 0)])

    def measure(alpha, seed):
        policy = policies[alpha, seed]
        return rollout(policy, 4000, generator=seeded(100)).x_0, evaluate(
            policy, islands, alpha=alpha, n=4000, generator=seeded(101)
        )

    return measure


def test_claim_3_3_without_alpha_one_mode_is_left(measured, claim):
    rows = [(x, report.reward) for x, report in (measured(0.0, seed) for seed in SEEDS)]
    modes, H = [modes_covered(x, ring_mixture()) for x, _ in rows], [entropy(x) for x, _ in rows]
    before = entropy(rollout(ring(T), 4000, generator=seeded(100)).x_0)
    claim.record(
        label="α = 0, trained, three seeds",
        measured=f"modes {modes} of 8, entropy {max(H):.2f} nats at most (pretrained {before:.2f}), "
        f"reward ≥ {min(r for _, r in rows):.2f} of 1",
        threshold="one mode, entropy 3 nats down",
        floor=f"least entropy of the family {LEAST:.2f}",
    )
    assert modes == [1, 1, 1] and max(H) < before - 3 and min(r for _, r in rows) > 0.9
    assert min(H) > LEAST - 0.1


def test_claim_3_3_with_alpha_the_good_modes_stay(measured, claim):
    rows = [measured(0.2, seed) for seed in SEEDS]
    shares = torch.stack([mode_shares(x, ring_mixture())[GOOD] for x, _ in rows])
    H, reward = [entropy(x) for x, _ in rows], [report.reward for _, report in rows]
    claim.record(
        label="α = 0.2, trained, three seeds",
        measured=f"least share of a good mode {shares.min():.2f}, entropy ≥ {min(H):.2f} nats, "
        f"reward ≥ {min(reward):.2f} (pretrained 0.46)",
        threshold="each good mode ≥ 0.05, entropy ≥ 1 nat",
        floor="0.003 (s.e. of a share, n = 4000)",
    )
    assert shares.min() >= 0.05 and min(H) >= 1 and min(reward) >= 0.65


def test_claim_3_3_the_optimum_keeps_every_good_mode(tilted, claim):
    points, alphas = tilted.grid.points, torch.logspace(-2, 2, 17).tolist()
    targets = [tilted.at(alpha) for alpha in alphas]
    shares = torch.stack([mode_shares(points, ring_mixture(), weights=t.mass.reshape(-1)) for t in targets])
    H = [-torch.special.xlogy(t.mass, t.mass / tilted.grid.spacing**2).sum().item() for t in targets]
    least = shares[:, GOOD].min().item()
    claim.record(
        label="exact optimum, α from 0.01 to 100",
        measured=f"least share of a good mode {least:.2f}; entropy {H[0]:.2f} to {H[-1]:.2f} nats, rising",
        threshold="≥ 0.05, entropy rising",
    )
    assert least >= 0.05 and all(b > a for a, b in itertools.pairwise(H))


def test_claim_3_3_too_much_alpha_paralyses(tilted, measured, claim):
    """The optimum's gain is Var[r]/α to first order, and a trained policy's is no larger than its noise."""
    mean = (tilted.pretrained * tilted.reward).sum().item()
    variance = (tilted.pretrained * (tilted.reward - mean) ** 2).sum().item()
    gain = tilted.at(100.0).reward - mean
    _, report = measured(100.0, 0)
    off = (report.reward - mean) / report.reward_se
    claim.record(
        label="α = 100",
        measured=f"reward up by {gain:.4f} at the optimum (Var[r]/α = {variance / 100:.4f}), "
        f"trained {off:+.1f} s.e. from the pretrained {mean:.2f}",
        threshold="≤ 0.01; ≤ 4 s.e.",
        floor=f"1 s.e. = {report.reward_se:.3f}",
        seed=0,
    )
    assert gain <= 0.01 and gain == pytest.approx(variance / 100, rel=0.05) and abs(off) <= 4


def test_claim_3_3_on_digits(claim):
    """Ink: the shipped policy at its own α, and fifteen steep iterations of backprop at a thousandth of it."""
    world, greedy = digits("ink"), beginner("ink")
    run(reward_backprop.fine_tune(greedy, world.reward, alpha=world.alpha / 1000, generator=seeded(0), **STEEP))
    drawn = dict(pretrained=pretrained_digits())
    for name, policy in dict(tuned=worlds.shipped.digits_at_one_alpha("ink"), greedy=greedy).items():
        drawn[name] = rollout(policy, DRAWN, generator=seeded(7)).x_0
    found = {name: variety(x) for name, x in drawn.items()}
    shown = [
        f"{name}: class entropy {H:.2f} nats, mean distance {apart:.1f}, to the data {nearest:.1f}"
        for name, (H, apart, nearest) in found.items()
    ]
    claim.record(
        label=f"digits, ink, LoRA; tuned at α = {world.alpha:g}, greedy at α = {world.alpha / 1000:g}",
        measured="; ".join(shown),
        threshold="greedy: entropy ≤ 0.7, ≥ 3 × as far from the data; tuned: entropy ≥ 1.8, distances within 15 %",
        floor=f"entropy 0.03, distance 1 % (s.e., n = {DRAWN})",
        seed=0,
    )
    (_, apart, nearest), tuned, greedy_found = found.values()
    assert greedy_found[0] <= 0.7 and greedy_found[2] >= 3 * nearest
    assert tuned[0] >= 1.8 and tuned[1] == pytest.approx(apart, rel=0.15)
    assert tuned[2] == pytest.approx(nearest, rel=0.15)
