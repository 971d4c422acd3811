"""The weighted line fitted to the wrong thing, and the lines of the loop that are as they should be."""

MADE = """g = torch.Generator().manual_seed(0)
x_0, alpha, alpha_bar = torch.randn(100_000, generator=g), 0.5, 0.5
r = -(x_0 - 2).square() / 2
"""
WEIGHTS = "w = (r / alpha).softmax(0)\n"
NOISED = "x_t = alpha_bar**0.5 * x_0 + (1 - alpha_bar) ** 0.5 * torch.randn(len(x_0), generator=g)\n"
FIT = """mean_t, mean_0 = w @ x_t, w @ x_0
a = (w * (x_t - mean_t)) @ (x_0 - mean_0) / ((w * (x_t - mean_t)) @ (x_t - mean_t))
c = mean_0 - a * mean_t
"""
JUDGE = """line = torch.stack([a, c])
quiz.judge(line, study.posterior_line(alpha, alpha_bar), tolerance=0.03, slips=study.line_slips(alpha, alpha_bar))"""
OF_NOISED = "w = (-(x_t - 2).square() / 2 / alpha).softmax(0)\n"
EVEN = "w = torch.full_like(r, 1 / len(r))\n"
SWAPPED = JUDGE.replace("[a, c]", "[c, a]")


def tried(weights: str, judge: str = JUDGE) -> str:
    return MADE + NOISED + weights + FIT + judge


WRONG = {
    1: [
        (tried(EVEN), "the line of p_pre"),
        (tried(OF_NOISED), "by a reward of x_t"),
        (tried("w = r.softmax(0)\n"), "as if α = 1"),
        (tried("w = (alpha * r).softmax(0)\n"), "multiplies where it should divide"),
        (tried("w = (2 * r / alpha).softmax(0)\n"), "as if α were half"),
        (tried(WEIGHTS, SWAPPED), "its first axis reversed"),
    ],
    2: [
        ("line = 5\nbug.judge(line)", "samples come from the policy as it is now"),
        ("line = 12\nbug.judge(line)", "fine-tuning leaves q as it was"),
        ("line = 14\nbug.judge(line)", "given the sample and its noised self"),
        ("line = 15\nbug.judge(line)", "in units of σ_t"),
    ],
}
