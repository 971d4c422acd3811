r"""Estimators of the soft value v_t for value-weighted sampling and its derivative-free forms (§6.2).

    Tweedie       v_t(x_t) ≈ r(x̂_0(x_t, t))                  no training; right only where x_0 is all but known
    sampled       v_t(x_t) ≈ α log mean_m exp(r(x̂_0 + s_t ε_m)/α)    no training, several x_0 about Tweedie's
    Monte Carlo   exp(v_t/α) = E_pre[exp(r(x_0)/α) | x_t]     regression on the rewards that pretrained paths end in
    soft Q        exp(v_t/α) = E_pre[exp(v_{t−1}/α) | x_t]    regression on the value one step ahead, v_0 = r

The last two are fitted in units of α, f = v/α against an outcome y, by the LINEX loss (Varian 1975)

    ℓ(f, y) = e^{y−f} − (y − f) − 1,     dE[ℓ]/df = 0  ⇔  e^f = E[e^y],

so that the fitted f is a consistent estimator of log E[e^y|x_t], as it would be by the squared error of e^f. But that
one sees little beyond the few states where e^f is largest; in ℓ every state counts alike.
"""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..algorithms import STEADY, ValueNetwork
from ..checks import count, positive
from ..policies import DenoisingPolicy, rollout
from ..rewards import Reward, query, query_slope

STEEP = 9.0  # where e^{y−f} goes on as a straight line: an outcome e⁹ times the fit pulls hard enough


class Tweedie:
    """v_t(x) ≈ r(x̂_0(x, t)): costs one reward query and one backward pass through the denoiser, and no training."""

    def __init__(self, pretrained: DenoisingPolicy, reward: Reward):
        self.pretrained, self.reward = pretrained, reward

    def __call__(self, x: Tensor, t: int | Tensor) -> Tensor:
        """[B, …], t in 0..T, a number or [B] → [B]."""
        return query(self.reward, denoised(self.pretrained, x, t))

    def grad(self, x: Tensor, t: int | Tensor) -> Tensor:
        """∇_x r(x̂_0(x, t)): [B, …] → [B, …]. ValueError for a reward without a gradient."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(query_slope(self.reward, denoised(self.pretrained, x, t)).sum(), x)[0]


class SampledTweedie:
    """v_t(x) ≈ α log mean_m exp(r(x̂_0 ± s_t ε_m)/α): 2·`pairs` reward queries, one pass through the denoiser.

    The samples stand for p(x_0|x_t), as in LGD-MC (Song et al. 2023): Gaussian around x̂_0, and as wide as that law is
    for Gaussian data of std s, s_t² = s² (1−ᾱ_t)/(s² ᾱ_t + 1−ᾱ_t). The ε_m are drawn once, so that v has a slope. A
    large alpha gives the plain average of r.
    """

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        reward: Reward,
        *,
        alpha: float,
        pairs: int = 32,
        std: float = 1.0,
        generator: torch.Generator,
    ):
        self.pretrained, self.reward = pretrained, reward
        self.alpha, self.variance = positive("alpha", alpha), positive("std", std) ** 2
        device = pretrained.schedule.sigma.device
        noise = torch.randn(count("pairs", pairs), 1, *pretrained.shape, device=device, generator=generator)
        self.noise = torch.cat([noise, -noise])

    def __call__(self, x: Tensor, t: int | Tensor) -> Tensor:
        """[B, …], t in 0..T, a number or [B] → [B]."""
        return self._value(x, t, query)

    def grad(self, x: Tensor, t: int | Tensor) -> Tensor:
        """∇v_t(x): [B, …] → [B, …]. ValueError for a reward without a gradient."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self._value(x, t, query_slope).sum(), x)[0]

    def _value(self, x: Tensor, t: int | Tensor, ask: Callable[[Reward, Tensor], Tensor]) -> Tensor:
        level = self.pretrained.schedule.at("alpha_bar", t, x)
        spread = (self.variance * (1 - level) / (self.variance * level + 1 - level)).sqrt()
        x_0 = denoised(self.pretrained, x, t) + spread * self.noise  # [2·pairs, B, …]
        r = ask(self.reward, x_0.flatten(0, 1)).reshape(x_0.shape[:2])
        return self.alpha * ((r / self.alpha).logsumexp(0) - math.log(len(r)))


def denoised(pretrained: DenoisingPolicy, x: Tensor, t: int | Tensor) -> Tensor:
    """x̂_0(x, t), which is x itself at t = 0: [B, …] → [B, …]."""
    pretrained.schedule.check(t, least=0)
    at = torch.as_tensor(t, device=x.device)
    known = (at == 0).reshape(-1, *[1] * (x.ndim - 1))
    return torch.where(known, x, pretrained.denoiser(x, at.clamp_min(1)))


class LearnedValue:
    """v_t of points by a small network that `monte_carlo` or `soft_q` has fitted; queries: rewards asked for.

    v_0 is the reward itself; its slope is the network's, so that a reward may be a black box.
    """

    def __init__(self, network: ValueNetwork, pretrained: DenoisingPolicy, reward: Reward, alpha: float, queries: int):
        self.network, self.pretrained, self.reward = network, pretrained, reward
        self.alpha, self.queries = alpha, queries

    @torch.no_grad()
    def __call__(self, x: Tensor, t: int | Tensor) -> Tensor:
        """[B, D], t in 0..T, a number or [B] → [B]."""
        self.pretrained.schedule.check(t, least=0)
        v = self.alpha * self.network(x, t)
        known = torch.as_tensor(t, device=x.device).expand(len(x)) == 0
        if known.any():
            v[known] = query(self.reward, x[known]).to(v)
        return v

    def grad(self, x: Tensor, t: int | Tensor) -> Tensor:
        """∇v_t(x): [B, D] → [B, D]."""
        self.pretrained.schedule.check(t, least=0)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.alpha * self.network(x, t).sum(), x)[0]


def linex(f: Tensor, y: Tensor) -> Tensor:
    """Mean of e^{y−f} − (y − f) − 1 over f, y [B]: least where e^f = E[e^y]. Straight from y − f = STEEP on."""
    above = y - f
    return (above.clamp_max(STEEP).exp() * (1 + (above - STEEP).clamp_min(0)) - above - 1).mean()


def monte_carlo(
    pretrained: DenoisingPolicy, reward: Reward, *, alpha: float, generator: torch.Generator, **options
) -> LearnedValue:
    """v_t by regression on exp(r/α) of whole pretrained paths: no bias but the network's, and rare rewards as noise."""
    return _fit(pretrained, reward, pretrained.schedule.T, alpha, generator, **options)


def soft_q(
    pretrained: DenoisingPolicy, reward: Reward, *, alpha: float, generator: torch.Generator, **options
) -> LearnedValue:
    """v_t by regression on the value one step ahead, of a copy of the network that follows slowly: little noise, but
    the copy's errors are passed on from t to t + 1."""
    return _fit(pretrained, reward, 1, alpha, generator, **options)


def _fit(
    pretrained: DenoisingPolicy,
    reward: Reward,
    ahead: int,
    alpha: float,
    generator: torch.Generator,
    *,
    paths: int = 8192,
    iterations: int = 600,
    batch: int = 2048,
    learning_rate: float = 5e-3,
    follow: float = 0.1,
    width: int = 64,
    progress: bool = False,
) -> LearnedValue:
    """Regress f_t(x_t) on f_{t−ahead}(x_{t−ahead}), or on r/α where that is x_0 or beyond, over `paths` kept paths.

    Each batch is `batch` pairs (x_t, t), t in 0..T. follow: the share of its way to the network that the copy goes in
    each iteration. FloatingPointError where the loss does not stay finite.
    """
    alpha, learning_rate = positive("alpha", alpha), positive("learning_rate", learning_rate)
    paths, iterations, batch = count("paths", paths, least=2), count("iterations", iterations), count("batch", batch)
    if not 0 < follow <= 1:
        raise ValueError(f"follow must lie in (0, 1], got {follow!r}")
    x, T = rollout(pretrained, paths, generator=generator).x, pretrained.schedule.T
    with torch.no_grad():
        r = query(reward, x[0]) / alpha
    network = ValueNetwork(pretrained, generator=generator, width=width)
    network.adapt(r)
    network.center = (r.logsumexp(0) - r.new_tensor(paths).log()).item()  # v_T nearly; no y exceeds it by > log n
    slow = copy.deepcopy(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    for iteration in tqdm(range(iterations), disable=not progress):
        optimiser.param_groups[0]["lr"] = learning_rate * min(1, (1 - iteration / iterations) / (1 - STEADY))
        t, i = (torch.randint(m, (batch,), device=x.device, generator=generator) for m in (T + 1, paths))
        s = (t - ahead).clamp_min(0)
        with torch.no_grad():
            y = torch.where(s > 0, slow(x[s, i], s), r[i]) if ahead < T else r[i]
        loss = linex(network(x[t, i], t), y)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"expected a finite loss in iteration {iteration + 1}, got {loss.item()}")
        optimiser.step()
        with torch.no_grad():
            for kept, weight in zip(slow.parameters(), network.parameters(), strict=True):
                kept.lerp_(weight, follow)
    return LearnedValue(network.requires_grad_(False), pretrained, reward, alpha, paths)
