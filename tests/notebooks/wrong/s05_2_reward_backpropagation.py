"""Wrong ways back through a chain of numbers, and lines of the loop that are as they should be."""

INPUTS = """\
line, strength, K = study.line(), 0.5, 5
x = line.z[line.T]
for t in range(line.T, 0, -1):
    x = line.a[t] * x + line.sigma[t] * (line.u[t] + line.z[t - 1])
"""
JUDGE = """
truth, slips = study.line_slopes(line, alpha=strength, last=K)
quiz.judge(slope, truth, tolerance=1e-4, what="gradient", slips=slips)
"""


def attempt(
    *,
    start: str = "-2 * (x - line.c)",
    steps: str = "range(1, K + 1)",
    reward: str = "line.sigma[t] * back.mean()",
    kl: str = "strength * line.u[t]",
    end: str = "back = back * line.a[t]",
) -> str:
    """The solution with some of its pieces replaced."""
    head = f"{INPUTS}slope, back = torch.zeros(line.T), {start}\n"
    return f"{head}for t in {steps}:\n    slope[t - 1] = {reward} - {kl}\n    {end}{JUDGE}"


WRONG = {
    1: [
        (attempt(kl="0"), "the KL is missing"),
        (attempt(kl="line.u[t]"), "as if α = 1"),
        (attempt(steps="range(1, line.T + 1)"), "without truncation"),
        (attempt(end="back = back"), "one to one"),
        (attempt(reward="back.mean()"), "without the step's own σ_t"),
        (attempt(steps="range(1, K)"), "one K less"),
        (attempt(start="2 * (x - line.c)", kl="-strength * line.u[t]"), "minus the right one"),
        (attempt(start="torch.zeros_like(x)"), "as if the reward were 0"),
    ],
    2: [
        ("line_number = 9\nquiz.bug(bugs.follow).judge(line_number)", "line 9 is as it should be"),
        ("line_number = 11\nquiz.bug(bugs.follow).judge(line_number)", "line 11 is as it should be. KL_t"),
        ("line_number = 13\nquiz.bug(bugs.follow).judge(line_number)", "line 13 is as it should be. −J/α"),
        ("line_number = 16\nquiz.bug(bugs.follow).judge(line_number)", "line 16 is as it should be. one wild batch"),
    ],
}
