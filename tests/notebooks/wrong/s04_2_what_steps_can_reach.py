"""Natural wrong answers to the exercises of 04_2: wrong theories, a wrong index, lines that hold no bug."""

MEANS = """
def matched_means(P, axis, r, alpha, t):
    v = r
    for s in range(1, {last}):
        v = {value}
    weights = P[t] * {tilt}
    return {result}


means = matched_means(chain.kernels, chain.axis, r_here, alpha_here, t_here)
setting = chain, r_here, alpha_here, t_here
truth, slips = exercise_study.matched_means(*setting), exercise_study.wrong_means(*setting)
quiz.judge(means, truth, tolerance=1e-6, what="means", slips=slips)
"""
VALUE, TILT, RESULT = "alpha * (P[s] @ (v / alpha).exp()).log()", "(v / alpha).exp()", "weights @ axis / weights.sum(1)"


def written(value: str = VALUE, tilt: str = TILT, last: str = "t", result: str = RESULT) -> str:
    return MEANS.format(value=value, tilt=tilt, last=last, result=result)


AT_MEAN = """
def matched_means(P, axis, r, alpha, t):
    mean = axis
    for s in range(1, t):
        mean = P[s] @ mean
    cell = (mean - axis[0]) / (axis[1] - axis[0])
    low = cell.floor().long().clamp(0, len(r) - 2)
    v = r[low] + (cell - low) * (r[low + 1] - r[low])
    weights = P[t] * (v / alpha).exp()
    return weights @ axis / weights.sum(1)


means = matched_means(chain.kernels, chain.axis, r_here, alpha_here, t_here)
setting = chain, r_here, alpha_here, t_here
truth, slips = exercise_study.matched_means(*setting), exercise_study.wrong_means(*setting)
quiz.judge(means, truth, tolerance=1e-6, what="means", slips=slips)
"""
WRONG = {
    1: [
        (written(tilt="(0 * v).exp()"), "the pretrained means, with no value in them"),
        (AT_MEAN, "the reward at the expected x_0"),
        (written(tilt="(v / 2 / alpha).exp()"), "half the value, as if α were twice as large"),
        (written(value="P[s] @ v"), "the plain expectation of the reward"),
        (written(tilt="(r / alpha).exp()"), "the reward of x_{t−1} itself"),
        (written(last="t + 1"), "v_t in place of v_{t−1}"),
        (written(result="weights @ axis"), "entries of the means are wrong"),
    ],
    2: [
        ("line_number = 5\nbug.judge(line_number)", "at every y that a step may aim at"),
        ("line_number = 6\nbug.judge(line_number)", "how far y is from ρ(x_t)"),
        ("line_number = 8\nbug.judge(line_number)", "an ordinary maximum"),
        ("line_number = 9\nbug.judge(line_number)", "a plain mean"),
    ],
}
