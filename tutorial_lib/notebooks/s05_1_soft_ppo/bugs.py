"""The planted bug of notebooks/05_1_soft_ppo.ipynb: a loop that runs and is wrong in one line."""

import torch

from ...policies import TunablePolicy, rollout
from ...rewards import Reward


def tune(policy: TunablePolicy, reward: Reward, alpha: float, generator: torch.Generator, clip: float = 0.1) -> None:
    optimiser = torch.optim.Adam(policy.parameters(), lr=4e-3)
    for _ in range(25):
        path = rollout(policy, 128, generator=generator)  # right: Fresh paths, of the policy as it is now.
        x_t, t, _ = path.steps()
        with torch.no_grad():
            old = policy.log_prob(path)[1:]  # right: It is stored once, before the first update.
            paid = path.by_step(policy.kl(x_t, t))  # planted: KL_t is the same for every action at x_t: never felt.
            ahead = reward(path.x_0) / alpha - paid.cumsum(0)[1:]  # right: Steps t, …, 1 are still to be paid.
            A = ahead - ahead.mean(1, keepdim=True)  # right: The other paths' mean is an honest baseline.
            A = A / A.std()  # right: A common factor changes no direction.
        for _ in range(4):  # right: Ratio and clip are there to allow several updates.
            ratio = (policy.log_prob(path)[1:] - old).exp()
            loss = -torch.minimum(ratio * A, ratio.clamp(1 - clip, 1 + clip) * A).mean()  # right: It is PPO's own.
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimiser.step()
