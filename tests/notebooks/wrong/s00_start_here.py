"""Of the first notebook."""

OPTIMUM = """g = torch.Generator().manual_seed(1)
alpha, r = 0.05, 60 + worlds.ring().reward(worlds.ring().mixture.sample(50_000, generator=g)).double()  # [n]

estimate = {estimate}

exact = Frontier(r).at(alpha).objective
quiz.judge(estimate, exact, tolerance=1e-6, what="estimate of J*", slips=study.slips_of_an_optimum(r, alpha))"""

WRONG = {
    1: [
        (OPTIMUM.format(estimate="alpha * (r / alpha).exp().mean().log()"), "not finite"),
        (OPTIMUM.format(estimate="alpha * (r / alpha).logsumexp(0)"), "a sum where a mean belongs"),
        (OPTIMUM.format(estimate="(r / alpha).logsumexp(0) - torch.tensor(len(r)).log()"), "without the α"),
        (OPTIMUM.format(estimate="r.logsumexp(0) - torch.tensor(len(r)).log()"), "the J* of α = 1"),
        (OPTIMUM.format(estimate="r.mean()"), "J_pre, the mean of r"),
        (OPTIMUM.format(estimate="r.max()"), "the largest reward"),
        (OPTIMUM.format(estimate="alpha * (r / alpha).softmax(0)"), "should have shape []"),
    ],
    2: [
        ("line = 6\nbug.judge(line)", "the optimum's own mean of r"),
        ("line = 7\nbug.judge(line)", "the model that pays"),
        ("line = 3\nbug.judge(line)", "line 3 is as it should be"),
    ],
}
