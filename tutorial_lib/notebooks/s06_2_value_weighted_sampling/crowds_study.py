"""What crowds of particles reach (§6.2): the stored rows of many runs, and J* as a crowd should estimate it."""

import torch
from torch import Tensor

from ... import assets
from ...exact import TiltedDensity
from ...worlds import World

ROWS = "ring_crowds"


def rows(kind: str) -> tuple[list[int], dict[str, Tensor]]:
    """Sizes, and by name the numbers of runs of that many particles or candidates: [sizes, seeds].

    kind: "disc" or "peak", bounds on the regret of crowds; "svdd", the share of samples inside the disc.
    """
    sizes = assets.manifest()[ROWS]["recipe"]["sizes"]
    begins = f"{kind}, "
    return sizes, {name.removeprefix(begins): row for name, row in assets.load(ROWS).items() if name.startswith(begins)}


def best_objective(world: World, log_z: Tensor) -> tuple[float, dict[str, float]]:
    """J* = α log Z on the grid, and what common slips make of the crowds' log Ẑ [clouds]."""
    if world.extent is None:
        raise ValueError(f"expected a world of points, got {world.name}")
    tilted = TiltedDensity(world.pretrained, world.reward, extent=world.extent, grid=161)
    log_mean = (log_z.logsumexp(0) - torch.tensor(float(len(log_z))).log()).item()
    return tilted.at(world.alpha).objective, {
        "the mean of the logarithms, which is only a bound": world.alpha * log_z.mean().item(),
        "log Z, as if α = 1": log_mean,
        "a sum over the crowds, not their mean": world.alpha * log_z.logsumexp(0).item(),
        "Z itself": log_z.exp().mean().item(),
    }
