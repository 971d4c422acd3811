r"""RL's rivals on one map (§1.2): how far a law of x_0 is from p_pre, and its mean true reward, by sums over a grid.

A law is its masses on WIDE, [81, 81]. Of a chain they are pushed through every step; of a density they are read off.
Rivals that know labels of the data alone: guidance by a class; conditioning on a point's own score. Rivals that ask
the learned reward r̂: guidance by ∇r̂(x̂_0); conditioning on r̂(x) + noise; the best of n by r̂.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...distributions import GaussianMixture
from ...exact.chain import law_of_x_0
from ...grids import Grid
from ...guidance.classifier_free import ClassifierFreePolicy
from ...guidance.value_weighted import ValueWeightedPolicy
from ...guidance.values import Tweedie
from ...policies import Policy
from ...rewards import PolynomialReward
from .study import TRUE, H, Scene, best_of, law, summary, truth

WIDE = Grid(4.5, 81)
SEEN = 1e-10  # of the largest mass: what lies below is the grid's rounding
BLUR = 0.3  # of a point's score, where the model is conditioned on it


class Place(NamedTuple):
    """A law's KL of x_0 from p_pre in nats, and its mean true reward."""

    kl: float
    reward: float


def place(scene: Scene, mass: Tensor) -> Place:
    """Of masses on WIDE."""
    mass, before = mass.reshape(-1), law(scene.pretrained).log_prob(WIDE.points).double().log_softmax(0)
    seen = mass > SEEN * mass.max()
    kl = (mass * (mass.log() - before))[seen].sum()
    return Place(float(kl), float(mass @ truth(WIDE.points).double()))


def of_policy(scene: Scene, policy: Policy) -> Place:
    """Of a chain's x_0."""
    return place(scene, law_of_x_0(policy, WIDE))


def by_class(scene: Scene, strength: float) -> Place:
    """Classifier-free guidance on the best third."""
    return of_policy(scene, ClassifierFreePolicy(scene.pretrained, scene.conditional, strength=strength))


def by_score(scene: Scene, score: float) -> Place:
    """p(x | score) of a perfectly trained model: its points, weighted by how near their own score is, up to BLUR."""
    weights = (-(score - truth(scene.kept)).square() / (2 * BLUR**2)).softmax(0)
    mixture = GaussianMixture(weights, scene.kept, stds=torch.full_like(weights, H))
    return place(scene, mixture.log_prob(WIDE.points).double().softmax(0))


def by_slope(scene: Scene, reward: PolynomialReward, alpha: float) -> Place:
    """Reconstruction guidance: every step is steered by ∇r̂(x̂_0)/α."""
    return of_policy(scene, ValueWeightedPolicy(scene.pretrained, Tweedie(scene.pretrained, reward), alpha=alpha))


def by_asking(scene: Scene, reward: PolynomialReward, asked: float, std: float) -> Place:
    """p(x | y = asked) where y is r̂(x) with noise of a std."""
    return place(scene, asked_masses(scene, reward, asked, std))


def asked_masses(scene: Scene, reward: PolynomialReward, asked: float, std: float) -> Tensor:
    """p_pre(x) exp(−(asked − r̂(x))²/2 std²) on WIDE, over its sum."""
    before = law(scene.pretrained).log_prob(WIDE.points).double()
    return (before - (asked - reward(WIDE.points).double()).square() / (2 * std**2)).softmax(0)


def by_choice(scene: Scene, reward: PolynomialReward, draws: int) -> Place:
    """The best by r̂ of so many draws, whose KL is log n − (n − 1)/n; 400 times."""
    found = summary(best_of(scene, reward, draws, n=400), scene.cut)
    return Place(math.log(draws) - (draws - 1) / draws, found.reward)


def rivals(scene: Scene, reward: PolynomialReward) -> dict[str, dict[str, Place]]:
    """Of each rival some settings, by their labels."""
    return {
        "class": {f"γ = {s}": by_class(scene, s) for s in (1, 2, 4, 8)},
        "score": {f"y = {s:g}": by_score(scene, s) for s in (-4.0, -2.0, 0.0)},
        "slope of r̂": {f"α = {a:g}": by_slope(scene, reward, a) for a in (1.0, 0.5, 0.2, 0.1)},
        "r̂ = 0": {f"± {s:g}": by_asking(scene, reward, 0.0, s) for s in (2.0, 1.0, 0.5, 0.3)},
        "best of n": {f"n = {n}": by_choice(scene, reward, n) for n in (4, 16, 64, 256, 1024)},
    }


def tilts(scene: Scene, reward: PolynomialReward, alphas: Tensor) -> Tensor:
    """RL's optimum at each α, in closed form: its α, KL and mean true reward, [N, 3]."""
    p_pre, rows = law(scene.pretrained), []
    for alpha in alphas.tolist():
        tilted, objective = reward.tilt(p_pre, alpha)
        kl = (reward.expected(tilted) - objective) / alpha
        rows.append([alpha, kl, float(TRUE.expected(tilted))])
    return torch.tensor(rows, dtype=torch.float64)


def short_of(curve: Tensor, found: Place) -> float:
    """How far below a curve of (α, KL, reward) [N, 3] a place is, in reward at its own KL."""
    kl, reward = curve[curve[:, 1].argsort(), 1:].T.contiguous()
    i = int(torch.searchsorted(kl, found.kl).clamp(1, len(kl) - 1))
    share = (found.kl - kl[i - 1]) / (kl[i] - kl[i - 1])
    return float(reward[i - 1] + share * (reward[i] - reward[i - 1])) - found.reward


def asking(scene: Scene, reward: PolynomialReward, asked: float, std: float) -> tuple[Tensor, dict[str, Tensor]]:
    """The KL of p(x | y = asked) from p_pre and its mean true reward, and what slips make of them, each [2]."""
    mass = asked_masses(scene, reward, asked, std)
    right = torch.tensor(place(scene, mass), dtype=torch.float64)
    before = law(scene.pretrained).log_prob(WIDE.points).double().log_softmax(0)
    log_mass = (before - (asked - reward(WIDE.points).double()).square() / (2 * std**2)).log_softmax(0)
    scored = mass @ reward(WIDE.points).double()

    def of(asked: float, std: float) -> Tensor:
        return torch.tensor(by_asking(scene, reward, asked, std), dtype=torch.float64)

    slips = {
        "a Gaussian without its ½": of(asked, std / math.sqrt(2)),
        "the std in place of the variance": of(asked, math.sqrt(std)),
        "the tilt by r̂, which asks for no value of y": tilts(scene, reward, torch.tensor([std**2]))[0, 1:],
        "samples scored by r̂ in place of the truth": torch.stack([right[0], scored]),
        "a KL with its arguments exchanged": torch.stack([(before.exp() * (before - log_mass)).sum(), right[1]]),
        "the two numbers in the other order": right.flip(0),
        "minus the KL": right * torch.tensor([-1.0, 1.0], dtype=torch.float64),
    }
    return right, slips
