"""Of 03: the return to go, and the line of the planted bug."""

RETURN = """e = study.episodes()
u = (e.ours - e.theirs) / e.sigma[:, None, None]
{}
quiz.judge(to_go, study.to_go(e, alpha=0.2), what="return to go", slips=study.to_go_slips(e, alpha=0.2))"""
LINE = "line = {}\nbug.judge(line)"
KL = "kl = u.square().sum(-1) / 2"

WRONG = {
    1: [
        (RETURN.format("to_go = e.r - 0.2 * u.square().sum(-1).cumsum(0)"), "without its ½"),
        (RETURN.format("to_go = e.r - 0.2 * u.square().mean(-1).cumsum(0)"), "a mean over coordinates"),
        (RETURN.format("u = e.ours - e.theirs\n" + KL + "\nto_go = e.r - 0.2 * kl.cumsum(0)"), "not divided by σ_t"),
        (RETURN.format(KL + "\nto_go = e.r - kl.cumsum(0)"), "as if α = 1"),
        (RETURN.format(KL + "\nto_go = e.r - 0.2 * kl.flip(0).cumsum(0).flip(0)"), "the steps before x_t"),
        (RETURN.format(KL + "\nto_go = e.r - 0.2 * kl"), "its own step alone"),
        (RETURN.format(KL + "\nto_go = e.r + 0.2 * kl.cumsum(0)"), "adds the KL"),
        (RETURN.format(KL + "\nto_go = e.r - 0.2 * kl.sum(0)"), "should have shape [21, 50]"),
    ],
    2: [
        (LINE.format(8), "line 8 is as it should be. Half of"),
        (LINE.format(11), "line 11 is as it should be. The policy's own step"),
        (LINE.format(3), "x_T costs nothing"),
    ],
}
