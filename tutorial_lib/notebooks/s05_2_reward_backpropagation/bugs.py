"""A loop that runs and is wrong in one line, for the reader to find (§5.2). Shown without its remarks by `quiz.bug`."""

import torch

from ...policies import SteeredPolicy
from ...rewards import Reward


def follow(policy: SteeredPolicy, reward: Reward, alpha: float, g: torch.Generator, steps: int = 40) -> list[float]:
    """Follow the reward's gradient through the chain: J of every iteration."""
    pretrained, T, found = policy.pretrained, policy.schedule.T, []
    optimiser = torch.optim.Adam(policy.parameters(), lr=1e-2)  # right: the control alone is tuned.
    for _ in range(steps):
        noise = torch.randn(T + 1, 32, *policy.shape, generator=g)  # right: fresh noise at every iteration.
        x, kl = noise[T], torch.zeros(32)
        for t in range(T, 0, -1):
            u = policy.shift(x, t)
            rho = pretrained.mean(x.detach(), t)  # planted: frozen weights, yes; but x_0 hears of u_t through ρ alone.
            kl = kl + u.square().sum(1) / 2  # right: KL_t = ½‖u_t‖², summed over the path.
            x = rho + pretrained.sigma(t) * (u + noise[t - 1])  # right: the step, with u in units of σ_t.
        loss = (kl - reward(x) / alpha).mean()  # right: −J/α.
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)  # right: one wild batch must not throw it far.
        optimiser.step()
        found.append(-alpha * loss.item())
    return found
