"""The planted bug of notebooks/06_1_reward_weighted_mle.ipynb: a loop that runs and is wrong in one line."""

from typing import Any

import torch


def iterated(policy: Any, reward: Any, alpha: float, draw: Any, g: torch.Generator) -> list[float]:
    schedule, means = policy.schedule, []
    adam = torch.optim.Adam(policy.parameters(), lr=4e-3)  # right: One optimiser for all rounds keeps its averages.
    for _ in range(6):
        path = draw(policy, 256, generator=g)  # right: Online, samples come from the policy as it is now.
        x_0, r = path.x_0, reward(path.x_0)
        means.append(r.mean().item())
        weight = (r / alpha).softmax(0)  # planted: x_0 ~ p_θ, not p_pre: without log p_pre/p_θ, every round tilts anew.
        for _ in range(20):
            i = torch.multinomial(weight, 800, replacement=True, generator=g)  # right: So drawn, all count alike.
            t = torch.randint(1, schedule.T + 1, (800,), generator=g)  # right: Every t is as likely as any other.
            x_t, _ = schedule.add_noise(x_0[i], t, generator=g)  # right: Fresh noise: fine-tuning leaves q as it was.
            rho, u = policy.proposal(x_t, t)
            mean = schedule.posterior_mean(x_0[i], x_t, t)  # right: Of x_{t−1}, given the sample and its noised self.
            z = (mean - rho) / schedule.at("sigma", t, x_t)  # right: Counted from ρ, in units of σ_t, as u is.
            loss = (u - z).square().sum(1).mean() / 2
            adam.zero_grad()
            loss.backward()
            adam.step()
    return means
