"""Wrong estimates of a law that is conditioned on a reward, and lines of the loop that are as they should be."""

INPUTS = """\
scene = study.scene(-2.0)
r_hat, std = scene.rewards["linear"], 0.8
x = law(scene.pretrained).sample(400_000, generator=torch.Generator().manual_seed(5))
"""
JUDGE = """
expected, slips = rivals_study.asking(scene, r_hat, 0.0, std)
quiz.judge(answer, expected, tolerance=0.01, what="pair", slips=slips)
"""


def attempt(
    *,
    exponent: str = "-(r_hat(x).double() ** 2) / (2 * std**2)",
    kl: str = "(w * (log_w + math.log(len(x)))).sum()",
    score: str = "truth(x)",
    pair: str = "[kl, reward]",
) -> str:
    """The solution with some of its parts replaced."""
    lines = (
        f"log_w = ({exponent}).log_softmax(0)",
        "w = log_w.exp()",
        f"kl, reward = {kl}, w @ {score}.double()",
        f"answer = torch.stack({pair})",
    )
    return INPUTS + "\n".join(lines) + JUDGE


WRONG = {
    1: [
        (attempt(exponent="-(r_hat(x).double() ** 2) / std**2"), "without its ½"),
        (attempt(exponent="-(r_hat(x).double() ** 2) / (2 * std)"), "the std in place of the variance"),
        (attempt(exponent="r_hat(x).double() / std**2"), "the tilt by r̂"),
        (attempt(score="r_hat(x)"), "scored by r̂ in place of the truth"),
        (attempt(kl="-(w * (log_w + math.log(len(x)))).sum()"), "minus the KL"),
        (attempt(pair="[reward, kl]"), "in the other order"),
        (attempt(pair="[kl]"), "should have shape [2], got [1]"),
    ],
    2: [
        ("line = 8\nbug.judge(line)", "line 8 is as it should be. the pretrained mean"),
        ("line = 10\nbug.judge(line)", "line 10 is as it should be. the gradient of what follows"),
        ("line = 12\nbug.judge(line)", "line 12 is as it should be. minus the objective"),
    ],
}
