r"""Path consistency (§6.3): make the optimum's own equation hold on every stretch of every path.

    φ_t = v_t(x_t)/α + Σ_{s≤t} log p_θ/p_pre (x_{s−1}|x_s),   v_0 = r;     at the optimum φ_s = φ_t for all s, t
    loss = E Σ_{s<t} w_{st} (φ_t − φ_s)²

w = 1 for neighbours alone is one-step consistency (a GFlowNet's detailed balance), for all pairs sub-trajectory
balance, for (0, T) alone trajectory balance. The equation holds on any path, so the data may come from anywhere: old
policies, p_pre, another sampler. `vargrad` needs no v: its loss is the batch's variance of r/α − Σ_t log p_θ/p_pre.
Shapes: [T+1, n], row t is time t.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..checks import count
from ..policies import Policy, Trajectory, TunablePolicy, record, rollout
from ..rewards import Reward
from .loop import Step, Training, floored, minibatches, path_kl
from .values import ValueNetwork


def loss(values: Tensor, log_ratios: Tensor, weights: Tensor) -> Tensor:
    """Σ_{s<t} w_{st} (φ_t − φ_s)², averaged over paths. values, log_ratios [T+1, n], v_0 = r/α; weights [T+1, T+1]."""
    phi = values + log_ratios.cumsum(0)
    laplacian = weights.sum(1).diag() - weights  # φᵀ(D − W)φ = Σ_{s<t} w_{st} (φ_t − φ_s)² for a symmetric W
    return ((laplacian @ phi) * phi).sum(0).mean()


def vargrad(r: Tensor, log_ratios: Tensor) -> Tensor:
    """Variance over the batch of r/α − Σ_t log-ratio_t: r/α [n], log_ratios [T+1, n]."""
    return (r - log_ratios.sum(0)).var()


def stretches(T: int, kind: str = "mixed") -> Tensor:
    """Weights w_{st} [T+1, T+1], symmetric, of sum one over the pairs that count.

    "step": neighbours; "sub": all pairs, w = 0.9^{t−s}; "return": all stretches that end in x_0, where v is known to be
    r; "trajectory": (0, T) alone; "mixed": half "sub", half "return".
    """
    index = torch.arange(T + 1)
    apart, first = (index[:, None] - index).abs(), torch.minimum(index[:, None], index)
    kinds = {
        "step": apart == 1,
        "sub": 0.9**apart * (apart > 0),
        "return": (first == 0) & (apart > 0),
        "trajectory": apart == T,
    }
    if kind == "mixed":
        return (stretches(T, "sub") + stretches(T, "return")) / 2
    if kind not in kinds:
        raise ValueError(f"unknown stretches {kind!r}; known: {', '.join([*kinds, 'mixed'])}")
    weights = kinds[kind].float()
    return 2 * weights / weights.sum()


def fine_tune(
    policy: TunablePolicy,
    reward: Reward,
    *,
    alpha: float,
    generator: torch.Generator,
    iterations: int = 100,
    n: int = 256,
    parts: int = 4,
    kind: str | None = None,
    behaviour: Policy | None = None,
    off_policy: float = 0.2,
    replay: int = 1,
    learning_rate: float | None = None,
) -> Iterator[Step]:
    """Each iteration: n paths, a share `off_policy` of them by `behaviour` (p_pre unless given); then one pass over n
    of the last `replay` iterations' paths, in `parts` minibatches.

    Without any foreign paths a short training can run away: its paths leave the data together, and no equation is asked
    where they should have stayed.

    kind: which stretches count (see `stretches`), or "vargrad", which needs no value network; None is "mixed" for
    points and "vargrad" for images. learning_rate: None is `loop.RATE` times `policy.pace`.
    """
    n, parts, replay = count("n", n, least=2), count("parts", parts), count("replay", replay)
    if not 0 <= off_policy <= 1:
        raise ValueError(f"off_policy must lie in [0, 1], got {off_policy!r}")
    kind = kind or ("mixed" if len(policy.shape) == 1 else "vargrad")
    if kind == "vargrad" and n < 2 * parts:
        raise ValueError(f"vargrad compares the paths of a minibatch, and needs n ≥ 2·parts = {2 * parts}, got n = {n}")
    critic = None if kind == "vargrad" else ValueNetwork(policy, generator=generator)
    weights = stretches(policy.schedule.T, kind).to(policy.schedule.sigma) if critic else None
    plan: dict[str, Any] = dict(alpha=alpha, n=n, iterations=iterations, learning_rate=learning_rate)
    training = Training(policy, reward, generator=generator, helpers=[critic] if critic else [], **plan)
    others, sampler = round(off_policy * n), behaviour or policy.pretrained
    kept: list[tuple[Tensor, Tensor]] = []
    for _ in training:
        own = record(policy, n - others, generator=generator) if others < n else None
        foreign = rollout(sampler, others, generator=generator) if others else None
        path = Trajectory(torch.cat([drawn.x for drawn in (own, foreign) if drawn], 1))
        r = floored(training.rewards(path.x_0).detach())
        kl = own.kl() if own else path_kl(policy, path)
        kept = [*kept, (path.x, r)][-replay:]
        x, rewards = torch.cat([x for x, _ in kept], 1), torch.cat([r for _, r in kept])
        if critic:
            critic.adapt(r)
        total = 0.0
        for chosen in minibatches(len(rewards), len(kept) * parts, generator)[:parts]:
            part, r_part = Trajectory(x[:, chosen]), rewards[chosen]
            log_ratios = policy.log_ratio(part)
            if critic and weights is not None:
                objective = loss(critic.along(part, r_part), log_ratios, weights)
            else:
                objective = vargrad(r_part, log_ratios)
            training.descend(objective)
            total += objective.item() / parts
        yield training.step(total, r[: len(kl)], kl)
