"""Path consistency with a planted bug (§6.3): it runs, nothing is learned, and one line is wrong."""

import torch

from ...algorithms import path_consistency
from ...policies import Trajectory, rollout


def loop(policy, critic, reward, *, alpha, generator, iterations, n):
    T = policy.schedule.T
    weights = path_consistency.stretches(T, "mixed")
    parameters = [*policy.parameters(), *critic.parameters()]
    adam = torch.optim.Adam(parameters, lr=4e-3)
    for _ in range(iterations):
        own = rollout(policy, n // 2, generator=generator)
        foreign = rollout(policy.pretrained, n - n // 2, generator=generator)  # right: any share of them will do.
        x = torch.cat([own.x, foreign.x], 1)
        r = reward(x[0]) / alpha  # right: row 0 is the sample x_0, and rewards count in units of α.
        critic.adapt(r)
        for _ in range(4):  # right: the equation holds on old paths too, so they may be used again.
            rows = torch.randperm(n, generator=generator)
            path = Trajectory(x[:, rows])
            values = critic.along(path, r)  # planted: the paths are shuffled and their rewards r are not.
            phi = values + policy.log_ratio(path).cumsum(0)  # right: φ_t holds all log-ratios between x_0 and x_t.
            squares = (phi[:, None] - phi).square().mean(2)
            loss = (weights * squares).sum() / 2  # right: each pair stands twice in the square of all pairs.
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            adam.step()
