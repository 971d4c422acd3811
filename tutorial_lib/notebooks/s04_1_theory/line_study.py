r"""Three modes on a line, where every law of §4 is a sum: for a start that is not tilted, and for the exercises.

Shapes: functions and laws are [n], at the n points of the chain's axis.
"""

import math

import torch
from torch import Tensor

from ...denoisers import ExactDenoiser
from ...distributions import GaussianMixture
from ...exact import LineChain
from ...policies import DenoisingPolicy
from ...schedules import NoiseSchedule


def three_modes(*, T: int = 10, level: float = 1e-4) -> LineChain:
    """Modes at −2, 0 and 2 with weights ½, ¼, ¼, under cosine noise in T steps that stops at ᾱ_T = level."""
    alpha_bar = torch.linspace(0, math.acos(level**0.5), T + 1, dtype=torch.float64).cos().square()
    schedule = NoiseSchedule(1 - alpha_bar[1:] / alpha_bar[:-1])
    means = torch.tensor([[-2.0], [0.0], [2.0]])
    mixture = GaussianMixture(torch.tensor([0.5, 0.25, 0.25]), means, stds=torch.full((3,), 0.3))
    return LineChain(DenoisingPolicy(ExactDenoiser(mixture, schedule), schedule), extent=3.8, n=241)


def two_bumps(x: Tensor) -> Tensor:
    """A reward of 1 at the mode at 2, of ½ at the one at −2, and none at the middle one."""
    return (-(x - 2).square() / 0.3).exp() + (-(x + 2).square() / 0.3).exp() / 2


def exact_law(chain: LineChain, r: Tensor, alpha: float, t: int) -> Tensor:
    """Masses of p*_t without any value: the tilted x_0, noised by Bayes' rule, Σ p_r(x_0) p_pre(x_t|x_0)."""
    laws = chain.forward(chain.start, chain.kernels)
    weights = ((r - r.max()) / alpha).exp()
    return (laws[t].unsqueeze(1) * chain.ahead(t)) @ weights / (laws[0] @ weights)


def wrong_laws(chain: LineChain, r: Tensor, alpha: float, t: int) -> dict[str, Tensor]:
    """What wrong theories of the value make of p*_t, by what they look like."""
    before, to_end = chain.forward(chain.start, chain.kernels)[t], chain.ahead(t)
    value = alpha * (to_end @ (r / alpha).exp()).log()
    theories = {
        "the pretrained law, with no value in it": 0 * value,
        "a tilt by half the value, as if α were twice as large": value / 2,
        "a tilt by the reward at the expected x_0": chain.at_expected(r, t),
        "a tilt by the plain expectation of the reward": to_end @ r,
        "a tilt by the reward of the noisy point itself": r,
        "a tilt by exp(v_t), as if α = 1": alpha * value,
    }
    return {name: (before.log() + v / alpha).softmax(0) for name, v in theories.items()}
