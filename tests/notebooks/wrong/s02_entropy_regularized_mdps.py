"""Wrong rounds of soft policy iteration, and lines of the ascent that are as they should be."""

INPUTS = """\
world, alpha = grid_world(4, slip=0.2, habit=(0.4, 0.3, 0.2, 0.1)), 0.3
policy = soft_value_iteration(world, 2.0).policy
v, found = world.terminal_rewards, []
for t in reversed(range(world.horizon)):
"""
JUDGE = """
truth, slips = study.next_round(world, policy, alpha)
quiz.judge(better, truth, tolerance=1e-6, what="policy", slips=slips)
"""
Q = "q = world.rewards[t] + world.transitions[t] @ v"
TILT = "found.append((world.reference[t].log() + q / alpha).softmax(1))"
KL = "kl = (policy[t] * (policy[t] / world.reference[t]).log()).sum(1)"
V = "v = (policy[t] * q).sum(1) - alpha * kl"
END = "better = torch.stack(found[::-1])"


def attempt(*, q: str = Q, tilt: str = TILT, kl: str = KL, v: str = V, end: str = END) -> str:
    """The solution with some of its lines replaced."""
    return INPUTS + "".join(f"    {line}\n" for line in (q, tilt, kl, v)) + end + JUDGE


WRONG = {
    1: [
        (attempt(v="v = alpha * (world.reference[t].log() + q / alpha).logsumexp(1)"), "the soft optimal policy"),
        (attempt(v="v = (policy[t] * q).sum(1)"), "forgets to pay for the KL"),
        (attempt(tilt="found.append((policy[t].log() + q / alpha).softmax(1))"), "the present policy tilted"),
        (attempt(tilt="found.append((q / alpha).softmax(1))"), "a tilt of the uniform policy"),
        (attempt(tilt="found.append(world.reference[t] * (q / alpha).exp())"), "not normalised"),
        (attempt(q="q = world.rewards[t]"), "as if v were 0"),
        (attempt(q="q = world.rewards[t] + world.transitions[t] @ v / 2"), "counts half"),
        (attempt(tilt="found.append((world.reference[t].log() + q).softmax(1))"), "the tilt as if α = 1"),
        (attempt(end="better = torch.stack(found)"), "its first axis reversed"),
        (attempt(end="better = found[-1]"), "should have shape [10, 16, 4], got [16, 4]"),
    ],
    2: [
        ("line = 9\nbug.judge(line)", "line 9 is as it should be. log π/π_ref"),
        ("line = 12\nbug.judge(line)", "line 12 is as it should be. states are weighted"),
        ("line = 16\nbug.judge(line)", "line 16 is as it should be. Adam descends"),
        ("line = 40\nbug.judge(line)", "expected the number of a line, 1 to 18"),
    ],
}
