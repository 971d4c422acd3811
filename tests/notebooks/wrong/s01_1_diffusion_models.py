"""Of the notebook on diffusion models."""

ODE = """ring = worlds.ring(T=50)
schedule, mixture = ring.schedule, ring.mixture


def ode_step(x, t):
    now, after = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    x_0 = mixture.denoise(x, now)
    epsilon = (x - now.sqrt() * x_0) / (1 - now).sqrt()
    return {step}


truth_path = ddim(ring.pretrained, 500, generator=torch.Generator().manual_seed(4))
x = truth_path.x[schedule.T]
slips = study.slips_of_an_ode_step(ring.pretrained, x)
for t in range(schedule.T, 0, -1):
    x = ode_step(x, t) if x is not ... else ...
quiz.judge(x, truth_path.x_0, what="end of the path", slips=slips)"""

WRONG = {
    1: [
        (ODE.format(step="schedule.posterior_mean(x_0, x, t)"), "the SDE's step without its noise"),
        (ODE.format(step="after.sqrt() * x_0 + (1 - after) * epsilon"), "1 − ᾱ where its root belongs"),
        (ODE.format(step="after.sqrt() * x_0"), "the step without ε̂"),
        (ODE.format(step="after * x_0 + (1 - after).sqrt() * epsilon"), "with ᾱ where its root belongs"),
        (ODE.format(step="now.sqrt() * x_0 + (1 - now).sqrt() * epsilon"), "of its size"),
    ],
    2: [
        ("line = 7\nbug.judge(line)", "ᾱ_t = (1 − β_t) ᾱ_{t−1}"),
        ("line = 10\nbug.judge(line)", "this is β̃_t"),
        ("line = 11\nbug.judge(line)", "line 11 is as it should be"),
        ("line = 40\nbug.judge(line)", "expected the number of a line"),
    ],
}
