"""Of 06_3: the value from one path, and the planted bug."""

INPUTS = """chain = study.linear_chain(alpha=0.7, T=12, n=200, generator=seeded(5))
x, lr, b, scale = chain.x, chain.log_ratios, chain.b, chain.alpha
values = {answer}

paid = (x[0] @ b).expand(lr.shape)
slips = {{
    "the reward itself, with nothing subtracted": paid,
    "right but for α: log-ratios count in nats, v in the reward's units": paid - lr.cumsum(0),
    "one step's log-ratio in place of the sum": paid - scale * lr,
    "the sum over the steps before x_t, not over those still to come": paid - scale * (lr.sum(0) - lr.cumsum(0)),
    "the log-ratios added, not subtracted": paid + scale * lr.cumsum(0),
}}
quiz.judge(values, chain.v, tolerance=1e-3, what="value", slips=slips)
"""
ANSWERS = [
    ("(x[0] @ b).expand(lr.shape)", "nothing subtracted"),
    ("x[0] @ b - lr.cumsum(0)", "right but for α"),
    ("x[0] @ b - scale * lr", "one step's log-ratio"),
    ("x[0] @ b - scale * lr.flip(0).cumsum(0).flip(0) + scale * lr", "the steps before x_t"),
    ("x[0] @ b + scale * lr.cumsum(0)", "added, not subtracted"),
    ("(x[0] @ b) / scale - lr.cumsum(0)", "up to a constant factor"),
    ("x[0] @ b - scale * lr.sum(0)", "should have shape [13, 200]"),
    ("0 * lr", "entries of the value are wrong"),
    ("(x[0] @ b - scale * lr.cumsum(0)) / 2", "exactly half"),
]
LINES = [
    ("line = 10\nbug.judge(line)", "as it should be"),
    ("line = 16\nbug.judge(line)", "as it should be"),
    ("line = 18\nbug.judge(line)", "as it should be"),
    ("line = 99\nbug.judge(line)", "expected the number of a line"),
]
WRONG = {1: [(INPUTS.format(answer=answer), says) for answer, says in ANSWERS], 2: LINES}
