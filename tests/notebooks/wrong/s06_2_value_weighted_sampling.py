"""Of value-weighted sampling: two gaps on paper, J* from a crowd, and a planted bug."""

GAPS = """m = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-1.0, 2.0]])
b, c, s, weight = torch.tensor([1.0, 0.5]), torch.tensor([2.0, 0.5]), 0.6, 0.5
S, k, distance = {square}, 1 + 2 * ({square}) / {alpha}, (m - c).square().sum(1)
linear_gaps = torch.stack([torch.zeros(3), (S * b.square().sum() / (2 * {alpha})).expand(3)])
average = -distance - 2 * S
soft_value = {soft_value}
quadratic_gaps = torch.stack([average + distance, {second}])
gaps = {gaps}
truth, slips = gaps_study.exercise(m, b, c, s, weight)
quiz.judge(gaps, truth, what="gaps", slips=slips)
"""
RIGHT = dict(
    square="s**2",
    alpha="weight",
    soft_value="-distance / k - weight * math.log(k)",
    second="soft_value - average",
    gaps="torch.stack([linear_gaps, quadratic_gaps])",
)
EXPANDED = "average + (4 * S * distance + 4 * S**2) / (2 * weight)"
CROWD = """world = worlds.ring().with_reward("disc")
by_guess = values.Tweedie(world.pretrained, world.reward)
options = dict(alpha=world.alpha, n=8, clouds=512, generator=seeded(0))
log_z = sequential_monte_carlo.sample(world.pretrained, by_guess, **options).log_z.double()
J_star = {answer}
truth, slips = crowds_study.best_objective(world, log_z)
quiz.judge(J_star, truth, tolerance=0.05, what="estimate of J*", slips=slips)
"""


def gaps(**slip: str) -> str:
    return GAPS.format(**RIGHT | slip)


WRONG = {
    1: [
        (gaps(alpha="1.0", soft_value="-distance / k - math.log(k)"), "the gaps as if α = 1"),
        (gaps(second="soft_value + distance"), "counted from r(E x_0)"),
        (gaps(soft_value=EXPANDED), "by Var[r]/2α"),
        (gaps(gaps="-torch.stack([linear_gaps, quadratic_gaps])"), "minus the right one"),
        (gaps(gaps="torch.stack([linear_gaps, quadratic_gaps]) / 2"), "exactly half"),
        (gaps(square="s"), "s in the place of s²"),
        (gaps(gaps="torch.zeros(2, 2, 3)"), "9 of 12 entries of the gaps are wrong"),
    ],
    2: [
        (CROWD.format(answer="world.alpha * log_z.mean()"), "the mean of the logarithms"),
        (CROWD.format(answer="log_z.logsumexp(0) - math.log(len(log_z))"), "as if α = 1"),
        (CROWD.format(answer="world.alpha * log_z.logsumexp(0)"), "a sum over the crowds"),
        (CROWD.format(answer="log_z.exp().mean()"), "Z itself"),
    ],
    3: [
        ("line = 6\nbug.judge(line)", "line 6 is as it should be"),
        ("line = 10\nbug.judge(line)", "line 10 is as it should be"),
        ("line = 12\nbug.judge(line)", "they count alike"),
    ],
}
