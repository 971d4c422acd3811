"""Of 06_digits: J* from a bank, and the planted bug."""

INPUTS = """scores, scale = digits_rewards()["symmetry"].double(), worlds.digits().alphas["symmetry"]
J_star = {answer}

slips = {{
    "the mean reward, J of p_pre": scores.mean(),
    "the optimum's reward, from which its KL has not been paid": (scores / scale).softmax(0) @ scores,
    "the largest reward, the optimum at α = 0": scores.max(),
    "the logarithm of a sum, where a mean belongs": scale * (scores / scale).logsumexp(0),
    "J* in units of α": (scores / scale).logsumexp(0) - torch.tensor(float(len(scores))).log(),
    "J* as if α = 1": scores.logsumexp(0) - torch.tensor(float(len(scores))).log(),
}}
exact = Frontier(digits_rewards()["symmetry"]).at(scale).objective
quiz.judge(J_star, exact, tolerance=0.001, what="estimate of J*", slips=slips)
"""
ANSWERS = [
    ("scores.mean()", "J of p_pre"),
    ("(scores / scale).softmax(0) @ scores", "its KL has not been paid"),
    ("scores.max()", "the optimum at α = 0"),
    ("scale * (scores / scale).logsumexp(0)", "the logarithm of a sum"),
    ("(scores / scale).exp().mean().log()", "in units of α"),
    ("scores.exp().mean().log()", "as if α = 1"),
    ("-scale * (scores / scale).exp().mean().log()", "minus the right one"),
]
LINES = [
    ("line = 3\nbug.judge(line)", "p_pre pays no KL"),
    ("line = 5\nbug.judge(line)", "a mean, not of a sum"),
    ("line = 10\nbug.judge(line)", "one minus the regret"),
    ("line = 0\nbug.judge(line)", "expected the number of a line"),
]
WRONG = {1: [(INPUTS.format(answer=answer), says) for answer, says in ANSWERS], 2: LINES}
