"""Of 05_1: the advantage, and the line of the planted bug."""

ADVANTAGE = """values, ratios = study.batch()
{}
slips = study.advantage_slips(values, ratios, lam=0.9)
quiz.judge(advantage, study.exact_advantages(values, ratios, lam=0.9), what="advantage", slips=slips)"""
LOOP = """advantage = torch.zeros_like(values)
for t in range(1, len(values)):
    surprise = {}
    advantage[t] = surprise{}"""
LINE = "line = {}\nbug.judge(line)"


def loop(surprise: str = "values[t - 1] - ratios[t] - values[t]", before: str = " + 0.9 * advantage[t - 1]") -> str:
    return ADVANTAGE.format(LOOP.format(surprise, before))


BACKWARD = """advantage = torch.zeros_like(values)
for t in range(len(values) - 1, 0, -1):
    after = 0.9 * advantage[t + 1] if t + 1 < len(values) else 0.0
    advantage[t] = values[t - 1] - ratios[t] - values[t] + after"""

WRONG = {
    1: [
        (loop(before=" + advantage[t - 1]"), "with λ = 1"),
        (loop(before=""), "with λ = 0"),
        (loop(surprise="values[t - 1] + ratios[t] - values[t]"), "with the log-ratio added"),
        (loop(surprise="values[t - 1] - values[t]"), "without its log-ratios"),
        (loop(surprise="values[t] + ratios[t] - values[t - 1]"), "minus the right one"),
        (ADVANTAGE.format(BACKWARD), "summed over the steps before it"),
        (loop().replace("zeros_like(values)", "zeros(6, 5)").replace("len(values)", "6"), "should have shape [7, 5]"),
    ],
    2: [
        (LINE.format(7), "line 7 is as it should be. It is stored once"),
        (LINE.format(9), "line 9 is as it should be. Steps t"),
        (LINE.format(11), "line 11 is as it should be. A common factor"),
    ],
}
