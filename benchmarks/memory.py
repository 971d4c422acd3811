"""Reward backpropagation, full, checkpointed and truncated (claim 5.5): bytes saved for backward, time, resident peak.

Times are ratios within one run; the resident peak is that of a fresh interpreter, less what it had before the pass.
"""

import resource
import subprocess
import sys
from statistics import median
from time import perf_counter
from typing import Any

T, PATHS, ROUNDS = 200, 256, 7
KINDS: dict[str, dict[str, Any]] = {"full": {}, "checkpointed": {"checkpointed": True}, "last 10 steps": {"last": 10}}


def resident() -> float:
    """The most that this process ever held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(kind: str) -> None:
    """Print saved MiB, median seconds of a forward and backward pass, and growth of the resident peak in MiB."""
    import torch

    from tutorial_lib import worlds
    from tutorial_lib.algorithms import reward_backprop
    from tutorial_lib.metrics import peak_bytes
    from tutorial_lib.policies import SteeredPolicy, rollout

    world, generator = worlds.ring(T), torch.Generator().manual_seed(0)
    policy = SteeredPolicy(world.pretrained)
    options: dict[str, Any] = {"last": T, **KINDS[kind]}
    rollout(policy, PATHS, generator=generator)
    before, times = resident(), []
    for _ in range(ROUNDS):
        noise = torch.randn(T + 1, PATHS, 2, generator=generator)
        start = perf_counter()
        x_0, kl = reward_backprop.sample(policy, noise, **options)
        reward_backprop.loss(world.reward(x_0), kl).backward()
        times.append(perf_counter() - start)
    grown = resident() - before
    kept = peak_bytes(policy, world.reward, sample=reward_backprop.sample, n=PATHS, **KINDS[kind])
    print(kept / 2**20, median(times), grown)


def main() -> None:
    found = {}
    for kind in KINDS:
        done = subprocess.run([sys.executable, __file__, kind], check=True, capture_output=True, text=True)
        found[kind] = [float(number) for number in done.stdout.split()]
    print(f"Ring, T = {T}, {PATHS} paths; forward and backward")
    print(f"{'':14} MiB for backward  resident peak grew by  time")
    for kind, (kept, seconds, grown) in found.items():
        print(f"{kind:14} {kept:16.1f}  {grown:16.0f} MiB  {seconds / found['full'][1]:.2f} × full")


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
