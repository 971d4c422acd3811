"""Natural wrong answers to the exercises of 04_1_theory: wrong theories of the value, lines that hold no bug."""

LAW = """
def tuned_law(P, start, r, alpha, t):
    v = r
    for s in range(1, t + 1):
        v = {value}
    p = start
    for s in range(len(P) - 1, t, -1):
        p = p @ P[s]
    p = {law}
    return {result}


law = tuned_law(chain.kernels, chain.start, r_here, alpha_here, t_here)
truth, slips = (f(chain, r_here, alpha_here, t_here) for f in (line_study.exact_law, line_study.wrong_laws))
quiz.judge(law, truth, tolerance=1e-6, what="law of x_t", slips=slips)
"""
VALUE, TILT, NORMALISED = "alpha * (P[s] @ (v / alpha).exp()).log()", "p * (v / alpha).exp()", "p / p.sum()"


def written(value: str = VALUE, law: str = TILT, result: str = NORMALISED) -> str:
    return LAW.format(value=value, law=law, result=result)


AT_MEAN = """
def tuned_law(P, start, r, alpha, t):
    mean = axis_here
    for s in range(1, t + 1):
        mean = P[s] @ mean
    cell = (mean - axis_here[0]) / (axis_here[1] - axis_here[0])
    low = cell.floor().long()
    v = r[low] + (cell - low) * (r[low + 1] - r[low])
    p = start
    for s in range(len(P) - 1, t, -1):
        p = p @ P[s]
    p = p * (v / alpha).exp()
    return p / p.sum()


law = tuned_law(chain.kernels, chain.start, r_here, alpha_here, t_here)
truth, slips = (f(chain, r_here, alpha_here, t_here) for f in (line_study.exact_law, line_study.wrong_laws))
quiz.judge(law, truth, tolerance=1e-6, what="law of x_t", slips=slips)
"""
WRONG = {
    1: [
        (written(law="p * (0 * v).exp()"), "the pretrained law, with no value in it"),
        (AT_MEAN, "a tilt by the reward at the expected x_0"),
        (written(law="p * (v / 2 / alpha).exp()"), "half the value, as if α were twice as large"),
        (written(value="P[s] @ v"), "the plain expectation of the reward"),
        (written(law="p * (r / alpha).exp()"), "the reward of the noisy point itself"),
        (written(law="p * v.exp()"), "as if α = 1"),
        (written(result="p"), "before it is normalised"),
    ],
    2: [
        ("line = 5\nbug.judge(line)", "Soft Bellman, from v_0 = r"),
        ("line = 6\nbug.judge(line)", "tilts x_T by its own value"),
        ("line = 10\nbug.judge(line)", "A row is a law of x_{t−1}"),
        ("line = 11\nbug.judge(line)", "A law is a row"),
    ],
}
