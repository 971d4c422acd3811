"""A loop that runs and is wrong in one line, for the reader to find (§1.2). Shown without its remarks by `quiz.bug`."""

import torch


def tune(policy, reward, alpha, generator, steps=40):
    """Backpropagate through the whole chain. `policy` is tuned in place; the last loss is −J of its batch."""
    optimiser = torch.optim.Adam(policy.parameters(), lr=5e-3)
    sigma = policy.schedule.sigma
    for _ in range(steps):
        x, kl = torch.randn(128, 2, generator=generator), torch.zeros(128)
        for t in range(policy.schedule.T, 0, -1):
            mean, u = policy.proposal(x, t)  # right: the pretrained mean, and the shift in units of sigma_t.
            noise = torch.randn(x.shape, generator=generator)
            x = mean + sigma[t] * (u + noise)  # right: the gradient of what follows runs back through x.
            kl = u.square().sum(1) / 2  # planted: each step overwrites the sum, so that only the last one is paid for.
        loss = (alpha * kl - reward(x)).mean()  # right: minus the objective, averaged over the batch.
        optimiser.zero_grad()  # right: or the gradients of all batches would add up.
        loss.backward()
        optimiser.step()
    return loss.item()
