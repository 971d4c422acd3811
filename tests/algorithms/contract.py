"""What the tests of the algorithms share: a quick run of each, and policies of points to run it on."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tutorial_lib.algorithms import path_consistency, reward_backprop, reward_weighted_mle, soft_ppo
from tutorial_lib.denoisers import MLPDenoiser, initial_weights
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy
from tutorial_lib.rewards import peak
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import stirred

T = 6
REWARD = peak((1.0, 0.0))
QUICK: dict[Any, dict] = {
    soft_ppo: dict(iterations=3, n=32),
    reward_backprop: dict(iterations=3, n=16),
    reward_weighted_mle: dict(iterations=3, n=64, updates=4, batch=64),
    path_consistency: dict(iterations=3, n=32),
}


def name(value):
    return value.__name__.rpartition(".")[2] if hasattr(value, "__name__") else str(value)


every = pytest.mark.parametrize("algorithm", QUICK, ids=name)


def learned_chain(seed=0, device="cpu", steps=T) -> DenoisingPolicy:
    """A chain around a random network, so that there are pretrained weights to leave alone."""
    schedule = NoiseSchedule.cosine(steps, device=device)
    with initial_weights(seed):
        return DenoisingPolicy(MLPDenoiser(schedule).to(device), schedule)


def beginner(seed=0, device="cpu", steps=T) -> SteeredPolicy:
    """A policy to tune that is still the pretrained one."""
    return SteeredPolicy(learned_chain(seed, device, steps))


def moved(seed=0, steps=T) -> SteeredPolicy:
    """A policy that has left the pretrained one: u is of size 0.3 to 0.5 and differs from state to state."""
    return stirred(beginner(seed, steps=steps), 0.06)


class Constant(nn.Module):
    """u = (0.3, −0.1) at every x and t, which may be tuned: KL_t = 0.05."""

    def __init__(self) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.tensor([0.3, -0.1]))

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        return self.u.expand_as(x_t)


def tune(algorithm, policy, reward=REWARD, **options):
    device = policy.schedule.sigma.device
    options = {"alpha": 0.5, "generator": torch.Generator(device).manual_seed(1), **QUICK[algorithm], **options}
    return algorithm.fine_tune(policy, reward, **options)


def only_once(algorithm, **options):
    """Options for a single step of Adam on everything that one iteration drew."""
    known = inspect.signature(algorithm.fine_tune).parameters
    return {key: 1 for key in ("iterations", "epochs", "parts", "updates") if key in known} | options


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def gradient(module):
    """The gradients that a training has left, in one vector."""
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def slope(loss, *modules):
    """∇loss in the parameters of modules, in one vector."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


def along(policy, path):
    """log p_θ/p_pre (x_{t−1}|x_t) at every step from the two means, [T+1, B], row 0 zero; with gradients."""
    rows = [torch.zeros(path.x.shape[1])]
    for t in range(1, path.T + 1):
        gaps = [path.x[t - 1] - p.mean(path.x[t], t) for p in (policy, policy.pretrained)]
        ours, theirs = (-gap.square().sum(1) / (2 * policy.schedule.sigma[t] ** 2) for gap in gaps)
        rows.append(ours - theirs)
    return torch.stack(rows)
