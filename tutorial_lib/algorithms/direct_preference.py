r"""Direct preference optimisation of the chain (§7.3): pairs in, a tuned policy out, and no reward between.

    at the optimum   α log p_θ/p_pre (x_{0:T}) = r(x_0) + a constant,   so p_θ is its own reward
    minimise         − E log sigmoid( α Σ_t log-ratio_t(winner's path) − α Σ_t log-ratio_t(loser's path) )

Fine-tuning leaves the noising direction as it was (§4), so a path that ends in a given x_0 is made by noising it,
winner and loser alike, which takes noise out of the difference. Only the difference counts: both log-ratios may fall,
as long as the loser's falls faster. (Rafailov et al. 2023; Diffusion-DPO, step by step: Wallace et al. 2024.)
Shapes: winners and losers [N, …].
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..checks import count
from ..policies import Trajectory, TunablePolicy, record
from ..rewards import preferences
from ..schedules import NoiseSchedule
from .loop import Step, Training

RATE = 2e-3  # of learning, for a policy of pace 1


def loss(winner: Tensor, loser: Tensor) -> Tensor:
    """−log sigmoid of how far the winners' reward lies above the losers', both α Σ log-ratio [B]; the mean."""
    return -torch.nn.functional.logsigmoid(winner - loser).mean()


def noised(schedule: NoiseSchedule, winners: Tensor, losers: Tensor, *, generator: torch.Generator) -> Trajectory:
    """Paths of the noising process from winners and from losers [B, …] on, by the same noise: [T+1, 2B, …]."""
    x = [winners]
    for t in range(1, schedule.T + 1):
        x.append(schedule.forward_step(x[-1], t, generator=generator))
    apart = schedule.alpha_bar.sqrt().reshape(-1, *[1] * winners.ndim) * (losers - winners)
    return Trajectory(torch.cat([torch.stack(x), torch.stack(x) + apart], 1))


def fine_tune(
    policy: TunablePolicy,
    winners: Tensor,
    losers: Tensor,
    *,
    alpha: float,
    generator: torch.Generator,
    iterations: int = 200,
    n: int = 64,
    learning_rate: float | None = None,
) -> Iterator[Step]:
    """Each iteration: n of the pairs, a path to each of their samples, one step of Adam.

    A Step's objective is the mean log-likelihood of the preferences, its reward how far the winners lie above the
    losers, its kl the path KL of the policy's own samples. Step.extra: "right", the share of pairs told right; "winner"
    and "loser", Σ log-ratio of each. learning_rate: None is RATE times `policy.pace`.
    """
    preferences.pairs(winners, losers)
    plan: dict[str, Any] = dict(alpha=alpha, n=min(count("n", n, least=2), len(winners)), iterations=iterations)
    training = Training(policy, _none, learning_rate=learning_rate, usual=RATE, generator=generator, **plan)
    for _ in training:
        chosen = torch.randperm(len(winners), device=winners.device, generator=generator)[: training.n]
        path = noised(policy.schedule, winners[chosen], losers[chosen], generator=generator)
        winner, loser = policy.log_ratio(path).sum(0).chunk(2)
        objective = loss(training.alpha * winner, training.alpha * loser)
        training.descend(objective)
        kl = record(policy, training.n, generator=generator).kl()
        apart = (winner - loser).detach()
        told = dict(right=(apart > 0).double().mean(), winner=winner.detach().mean(), loser=loser.detach().mean())
        step = training.step(objective.item(), apart, kl, **{name: value.item() for name, value in told.items()})
        yield replace(step, objective=-step.loss)


def _none(x_0: Tensor) -> Tensor:
    raise TypeError("preferences have no reward to ask")
