import math

import pytest
import torch

from tutorial_lib.schedules import NoiseSchedule

from ..oracles import ring_mixture, seeded

CLAIM = dict(
    number="1.1",
    section="§1.1",
    statement="Adding noise step by step and sampling q(x_t|x_0) in one go give the same law: the first two moments "
    "and the radius agree within 4 standard errors at every t",
    notebook="01_1_diffusion_models",
    function="tutorial_lib.schedules.NoiseSchedule.add_noise",
)
N = 100_000


def features(x):
    """x, its products and its radius: [n, 2] → [n, 6]."""
    first, second = x.unbind(1)
    return torch.stack([first, second, first**2, first * second, second**2, x.norm(dim=1)], 1).double()


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_claim_1_1_the_forward_process_in_steps_is_the_one_in_one_go(kind, claim):
    """Two independent samples of x_0, one noised in steps, one in one go; and both against the closed-form moments.

    800 comparisons a schedule: at 4 standard errors at most 5 % of right answers would fail, on a fresh seed."""
    T = 50
    schedule, mixture = getattr(NoiseSchedule, kind)(T), ring_mixture()
    x, other = (mixture.sample(N, generator=seeded(seed)) for seed in (0, 1))
    g, worst, worst_exact = seeded(2), 0.0, 0.0
    for t in range(1, T + 1):
        x = schedule.forward_step(x, t, generator=g)
        at_once, _ = schedule.add_noise(other, t, generator=g)
        a, b = features(x), features(at_once)
        error = ((a.var(0) + b.var(0)) / N).sqrt()
        worst = max(worst, ((a.mean(0) - b.mean(0)) / error).abs().max().item())
        level = schedule.alpha_bar[t].item()
        variance = level * (2 + 0.09) + 1 - level  # the ring: radius 2, so 2 on each axis, plus 0.3²
        exact = torch.tensor([0.0, 0.0, variance, 0.0, variance], dtype=torch.float64)
        for sample in (a, b):
            z = (sample.mean(0)[:5] - exact) / (sample.std(0)[:5] / math.sqrt(N))
            worst_exact = max(worst_exact, z.abs().max().item())
    claim.record(
        label=kind,
        measured=f"largest of 300 differences {worst:.1f} s.e., from the closed form {worst_exact:.1f} s.e., n = {N}",
        threshold="≤ 4 s.e.",
        floor="1 s.e. each",
        seed=0,
    )
    assert worst <= 4 and worst_exact <= 4
