r"""What reward-weighted MLE (§6.1) has to learn from: α against the effective sample size, and what that costs.

    w_i ∝ exp(r(x_i)/α),  x_i ~ p_pre;   ESS = 1/Σ w_i² → n Z(α)²/Z(α/2),   Z(α) = E_pre[exp(r/α)]

A `Scene` holds what no setting changes; `answer` maps settings to arrays; `few_samples` and `digits_arms` are runs of
five seeds that recipes made beforehand. Shapes: B, n, N samples of p_pre; m grid cells a side; S seeds.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ... import assets, worlds
from ...algorithms.reward_weighted_mle import share_of_samples
from ...checks import positive
from ...exact import Frontier, Tilt, TiltedDensity
from ...policies import rollout
from ...recipes import weighted
from ...rewards import peak, query

ALPHAS, SIZES = (0.05, 5.0), (100, 500, 2500)
REWARDS = {"a peak on the ring": peak((2.0, 0.5)), "a peak beyond the ring": peak((3.0, 1.0))}
BLUR = 0.15
OFFLINE, ONLINE, LIMIT = "offline", "online", "endless samples"


def exact_share(tilted: TiltedDensity, alpha: float) -> float:
    """Z(α)²/Z(α/2): the share of n that ESS tends to, from J* = α log Z at α and at α/2."""
    return math.exp(2 / positive("alpha", alpha) * (tilted.at(alpha).objective - tilted.at(alpha / 2).objective))


@dataclass(frozen=True, eq=False)
class Scene:
    """One reward on Ring: samples x_0 [N, 2] of p_pre and their rewards [N]; the exact share at alphas [M]; and each
    sample's blurred indicator along both axes, [2, m, N]."""

    tilted: TiltedDensity
    x_0: Tensor
    rewards: Tensor
    alphas: Tensor
    shares: Tensor
    bumps: Tensor


@functools.lru_cache(maxsize=2)
def scene(reward_name: str) -> Scene:
    """The scene of one of REWARDS; ValueError for another."""
    if reward_name not in REWARDS:
        raise ValueError(f"unknown reward {reward_name!r}; known: {', '.join(REWARDS)}")
    world, reward = worlds.ring(T=20), REWARDS[reward_name]
    tilted = TiltedDensity(world.pretrained, reward, extent=5.0, grid=101)
    x_0 = rollout(world.pretrained, SIZES[-1], generator=torch.Generator().manual_seed(0)).x_0
    alphas = torch.logspace(math.log10(ALPHAS[0]), math.log10(ALPHAS[1]), 41)
    shares = torch.tensor([exact_share(tilted, float(alpha)) for alpha in alphas])
    distance = tilted.grid.axis.float()[:, None] - x_0.T[:, None]
    bumps = (-(distance / BLUR).square() / 2).exp() / (BLUR * math.sqrt(2 * math.pi))
    return Scene(tilted, x_0, query(reward, x_0), alphas, shares, bumps)


@dataclass(frozen=True)
class Answer:
    """One setting: weights [n], their effective sample size and n times the exact share; the weighted samples' density,
    blurred [m, m]; their mean reward; and the exact target."""

    alpha: float
    weights: Tensor
    effective: float
    foretold: float
    density: Tensor
    reward: float
    target: Tilt


def answer(scene: Scene, alpha: float, n: int) -> Answer:
    """The first n samples, weighted by exp(r/α)."""
    weights = (scene.rewards[:n] / positive("alpha", alpha)).softmax(0)
    first, second = scene.bumps[:, :, :n]
    return Answer(
        alpha,
        weights,
        n * share_of_samples(weights),
        n * exact_share(scene.tilted, alpha),
        (first * weights) @ second.mT,
        float(weights @ scene.rewards[:n]),
        scene.tilted.at(alpha),
    )


@dataclass(frozen=True)
class FewSamples:
    """The recipe `few_samples`, S seeds: what is lost, (J* − J)/α in nats, to n samples in all at A values of α.

    span, endless [A]: by the pretrained policy, by endless samples. effective [S, sizes, A]: 1/Σw² of p_pre's samples.
    offline [S, sizes, A]: trained on them. online [S, A]: by the same training on `budget` samples of its own.
    """

    alphas: tuple[float, ...]
    sizes: tuple[int, ...]
    span: Tensor
    endless: Tensor
    effective: Tensor
    offline: Tensor
    online: Tensor
    budget: int = weighted.BUDGET

    def excess(self, form: str) -> Tensor:
        """Nats beyond endless samples, of `budget` samples: [S, A]."""
        return (self.offline[:, self.sizes.index(self.budget)] if form == OFFLINE else self.online) - self.endless

    def regret(self, form: str) -> Tensor:
        """(J* − J)/(J* − J_pre), a mean over seeds: [A]."""
        return (self.endless if form == LIMIT else (self.excess(form) + self.endless).mean(0)) / self.span


def few_samples() -> FewSamples:
    stored: dict[str, Any] = {**assets.load("few_samples")}
    return FewSamples(weighted.ALPHAS, weighted.SIZES, **stored)


@dataclass(frozen=True)
class Arms:
    """The recipe `digits_weighted`: share of J* − J_pre and reward [S, arms], and each step's KL_t [S, arms, T+1]."""

    names: tuple[str, ...]
    share: Tensor
    reward: Tensor
    kl: Tensor

    def nats(self, least: int, most: int) -> Tensor:
        """KL of the steps least ≤ t ≤ most: [S, arms]."""
        return self.kl[:, :, least : most + 1].sum(2)


def digits_arms(bank: Frontier, alpha: float) -> Arms:
    """As shares of what the bank's frontier has at this α."""
    stored, pretrained = assets.load("digits_weighted"), float(bank.rewards.mean())
    share = (stored["objective"] - pretrained) / (bank.at(alpha).objective - pretrained)
    return Arms(tuple(weighted.ARMS), share, stored["reward"], stored["kl"])


def posterior_line(alpha: float, alpha_bar: float, *, rewarded: bool = True) -> Tensor:
    """(a, c) of E[x_0|x_t] = a x_t + c for x_0 ~ p_r: p_pre = N(0, 1), r = −(x_0 − 2)²/2, or p_pre itself."""
    precision = 1 + 1 / alpha if rewarded else 1.0
    mean = 2 / alpha / precision if rewarded else 0.0
    a = alpha_bar**0.5 / (alpha_bar + precision * (1 - alpha_bar))
    return torch.tensor([a, mean * (1 - a * alpha_bar**0.5)])


def line_slips(alpha: float, alpha_bar: float) -> dict[str, Tensor]:
    """What else the line may come out as, by what was done."""
    return {
        "the line of p_pre: either nothing is weighted, or by a reward of x_t": posterior_line(
            alpha, alpha_bar, rewarded=False
        ),
        "the line of weights exp(r), as if α = 1": posterior_line(1.0, alpha_bar),
        "the line of weights exp(α r): α multiplies where it should divide": posterior_line(1 / alpha, alpha_bar),
        "the line of weights that are squared, as if α were half": posterior_line(alpha / 2, alpha_bar),
    }
