"""A measurement with a planted bug: it runs, and says more than there can be."""

import math

from ...policies import record


def share(policy, reward, bank, *, alpha, n, generator):
    """The share of J* − J_pre that a policy attains, from n paths and the bank's rewards [N]."""
    J_pre = bank.mean()  # right: p_pre pays no KL, so its J is its reward.
    total = (bank / alpha).logsumexp(0)
    J_star = alpha * (total - math.log(len(bank)))  # right: α times the logarithm of a mean, not of a sum.
    path = record(policy, n, generator=generator)
    r = reward(path.x_0)
    paid = path.log_ratio()  # right: [T+1, n], row 0 is zero, and its mean is that of the KLs.
    J = (r - alpha * paid.mean(0)).mean()  # planted: a path pays for all its T steps: a sum over time, not a mean.
    return float((J - J_pre) / (J_star - J_pre))  # right: one minus the regret.
