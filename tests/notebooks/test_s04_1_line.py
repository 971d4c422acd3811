"""The line of the theory's exercises: its exact law by sampling, wrong theories that are wrong, and the planted bug."""

import pytest
import torch

from tutorial_lib import quiz
from tutorial_lib.notebooks.s04_1_theory import bugs, line_study

CHAIN = line_study.three_modes(T=10)
REWARD = line_study.two_bumps(CHAIN.axis)


def test_the_chain_has_three_modes_and_stops_where_it_is_told():
    law = CHAIN.forward(CHAIN.start, CHAIN.kernels)[0]
    masses = [float(law[(CHAIN.axis - mode).abs() < 1].sum()) for mode in (-2, 0, 2)]
    assert masses == pytest.approx([0.5, 0.25, 0.25], abs=0.06)
    assert [float(line_study.two_bumps(torch.tensor([x]))) for x in (-2.0, 0.0, 2.0)] == pytest.approx(
        [0.5, 0, 1], abs=1e-4
    )
    noisy = line_study.three_modes(level=0.3)
    assert float(noisy.means[-1].diff().abs().max()) > 0 and len(noisy.kernels) == 11


@pytest.mark.parametrize("t", [0, 5, 10])
def test_the_exact_law_is_that_of_sampled_paths_weighed_by_their_end(t):
    g, n = torch.Generator().manual_seed(0), 20_000
    place = CHAIN.start.multinomial(n, replacement=True, generator=g)
    at_t = place
    for s in range(10, 0, -1):
        at_t = place if s == t else at_t
        place = CHAIN.kernels[s][place].multinomial(1, generator=g)[:, 0]
    at_t = place if t == 0 else at_t
    weights, x = (REWARD[place] / 0.2).exp(), CHAIN.axis[at_t]
    exact = line_study.exact_law(CHAIN, REWARD, 0.2, t)
    assert float(exact.sum()) == pytest.approx(1)
    for f in (lambda x: x, lambda x: x**2, lambda x: x.sin()):
        mean = (weights * f(x)).sum() / weights.sum()
        error = (weights.square() * (f(x) - mean).square()).sum().sqrt() / weights.sum()
        assert abs(float(mean - exact @ f(CHAIN.axis))) <= 4 * float(error)


def test_wrong_theories_are_laws_and_wrong():
    exact = line_study.exact_law(CHAIN, REWARD, 0.2, 5)
    for name, law in line_study.wrong_laws(CHAIN, REWARD, 0.2, 5).items():
        assert float(law.sum()) == pytest.approx(1), name
        assert quiz.distance(law, exact) > 0.1, name


def test_the_planted_bug_is_the_only_one():
    """With v_{t−1} in its place the function returns the target."""
    bug = quiz.bug(bugs.law_of_x_0)
    assert "v[t]" in bug.lines[bug.line - 1] and len(bug.lines) <= 25
    mended = "\n".join(bug.lines).replace("(v[t] / alpha)", "(v[t - 1] / alpha)")
    scope: dict = {"Tensor": torch.Tensor}
    exec(mended, scope)
    goal = line_study.exact_law(CHAIN, REWARD, 0.2, 0)
    assert torch.allclose(scope["law_of_x_0"](CHAIN.kernels, CHAIN.start, REWARD, 0.2), goal, atol=1e-12)
    assert quiz.distance(bugs.law_of_x_0(CHAIN.kernels, CHAIN.start, REWARD, 0.2), goal) > 0.1
