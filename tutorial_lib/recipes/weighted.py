"""What reward-weighted MLE loses, over five seeds: to few samples, and to the way in which a network is tuned.

    few_samples       a peak beyond the ring, T = 20: (J* − J)/α in nats, which is KL(p_θ‖p*) of whole paths
    digits_weighted   `symmetry` on digits, a control and adapters, each with two weights of t: J and every KL_t

Within an asset all that is compared has the same rewards, updates and starts. The first takes two minutes on one core,
the second eight.
"""

import time
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .. import worlds
from ..algorithms import run
from ..algorithms.reward_weighted_mle import epsilon_weights, fine_tune
from ..assets import manifest, save
from ..denoisers import ExactDenoiser
from ..exact import SoftValues
from ..metrics import quiet_objective
from ..policies import DenoisingPolicy, Policy, RetunedPolicy, SteeredPolicy, record, tunable
from ..rewards import Reward, peak, query
from ..worlds import World

FAR, T = (3.0, 1.0), 20
ALPHAS, SIZES, BUDGET, SEEDS = (3.0, 1.0, 0.5, 0.2, 0.1, 0.05), (128, 512, 2048), 512, 5
ROUNDS: dict[str, Any] = dict(iterations=8, updates=15, batch=800)
ARMS = {
    "control, the KL's weights": ("control", False),
    "control, uniform ε-weights": ("control", True),
    "LoRA, the KL's weights": ("lora", False),
    "LoRA, uniform ε-weights": ("lora", True),
}
FEW: dict[str, Any] = dict(iterations=4, n=160, updates=20, batch=384, effective=0.3, denoised=True, learning_rate=3e-3)
DRAWN = 256  # digits behind each number
RECIPES: dict[str, dict[str, Any]] = dict(
    few_samples=dict(
        data="rollouts of worlds.ring(20)", seeds=SEEDS, center=list(FAR), alphas=list(ALPHAS), sizes=list(SIZES),
        options=ROUNDS,
    ),
    digits_weighted=dict(data="the digits asset", reward="symmetry", seeds=SEEDS, arms=list(ARMS), options=FEW),
)  # fmt: skip


def endless(world: World, alpha: float, center: tuple[float, float] = FAR) -> RetunedPolicy:
    """What endless samples would teach: the exact denoiser of the world's data tilted by a peak at the center."""
    assert world.mixture is not None
    tilted, _ = world.mixture.tilt(linear=2 / alpha * torch.tensor(center), quadratic=2 / alpha * torch.eye(2))
    return RetunedPolicy(world.pretrained, ExactDenoiser(tilted, world.schedule))


def lost(soft: SoftValues, reward: Reward, policy: Policy) -> float:
    """(J* − J)/α in nats, J from 3000 quiet paths."""
    J, _ = quiet_objective(policy, reward, alpha=soft.alpha, n=3000, generator=torch.Generator().manual_seed(1))
    return (soft.optimum - J) / soft.alpha


def trained(
    pretrained: DenoisingPolicy, reward: Reward, *, alpha: float, n: int, online: bool, seed: int
) -> tuple[SteeredPolicy, float]:
    """From n samples in all, offline with plain weights or online with weights tempered to a tenth; and the effective
    sample size of the last weights, which offline are those of all n."""
    policy = SteeredPolicy(pretrained, generator=seeded(seed))
    options = ROUNDS | dict(n=n // ROUNDS["iterations"], online=online, effective=0.1 if online else 1e-6)
    last = run(fine_tune(policy, reward, alpha=alpha, generator=seeded(seed), **options))[-1]
    return policy, last.extra["effective"] * (options["n"] if online else n)


def few_samples() -> dict[str, Tensor]:
    """span, endless [A]; effective, offline [S, sizes, A]; online [S, A], of BUDGET. span: (J* − J_pre)/α."""
    world, reward = worlds.ring(T), peak(FAR)
    span, best = torch.zeros(2, len(ALPHAS))
    effective, offline = torch.zeros(2, SEEDS, len(SIZES), len(ALPHAS))
    online = torch.zeros(SEEDS, len(ALPHAS))
    for a, alpha in enumerate(tqdm(ALPHAS, "few_samples")):
        soft = SoftValues(world.pretrained, reward, alpha=alpha, extent=5.0, grid=81)
        span[a] = (soft.optimum - soft.pretrained_objective) / alpha
        best[a] = lost(soft, reward, endless(world, alpha))
        for seed in range(SEEDS):
            options: dict[str, Any] = dict(alpha=alpha, seed=seed)
            for i, n in enumerate(SIZES):
                tuned, effective[seed, i, a] = trained(world.pretrained, reward, n=n, online=False, **options)
                offline[seed, i, a] = lost(soft, reward, tuned)
            tuned, _ = trained(world.pretrained, reward, n=BUDGET, online=True, **options)
            online[seed, a] = lost(soft, reward, tuned)
    return dict(span=span, endless=best, effective=effective, offline=offline, online=online)


def digits_weighted() -> dict[str, Tensor]:
    """objective, reward [S, arms]; kl [S, arms, T + 1], KL_t of the tuned policy's own paths, row 0 zero."""
    world = worlds.digits().with_reward("symmetry")
    objective, reward = torch.zeros(2, SEEDS, len(ARMS))
    kl = torch.zeros(SEEDS, len(ARMS), world.schedule.T + 1)
    for seed in tqdm(range(SEEDS), "digits_weighted"):
        for arm, (how, uniform) in enumerate(ARMS.values()):
            policy = tunable(world.pretrained, how, generator=seeded(seed))
            options = FEW | dict(per_time=epsilon_weights(world.schedule) if uniform else None)
            run(fine_tune(policy, world.reward, alpha=world.alpha, generator=seeded(seed), **options))
            path = record(policy, DRAWN, generator=seeded(seed))
            r = query(world.reward, path.x_0)
            reward[seed, arm] = r.mean()
            objective[seed, arm] = (r - world.alpha * path.log_ratio().sum(0)).mean()
            kl[seed, arm] = path.u.flatten(2).square().sum(2).mean(1) / 2
    return dict(objective=objective, reward=reward, kl=kl)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(name: str, command: str) -> None:
    """Train all, measure, and save the numbers."""
    start = time.perf_counter()
    tensors = few_samples() if name == "few_samples" else digits_weighted()
    made_from = {} if name == "few_samples" else dict(denoiser_sha256=manifest()["digits"]["sha256"])
    save(name, tensors, dict(command=command, **RECIPES[name], **made_from, seconds=round(time.perf_counter() - start)))
