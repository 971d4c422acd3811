"""Sampling throughput on images: the digits' network, T = 50 steps, as multiples of its convolutions alone.

The floor is the arithmetic that no sampler of all 50 steps in float32 can do without: every convolution of every step,
at the same shapes, and nothing between them (a glimpse and bfloat16 may go below it). Rounds alternate between all, so
that a busy machine slows all alike; a multiple is the median over rounds of time / the floor's time in the same round.
Every sampler starts from the same noise; what it changes is how far its x_0 are from the first one's, at most, and the
mean ink (a glimpse takes another path).
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn

from tutorial_lib import worlds
from tutorial_lib.denoisers import Denoiser, UNetDenoiser, adapted
from tutorial_lib.policies import DenoisingPolicy, glimpse, rollout
from tutorial_lib.rewards import ink

T, FEW = 50, 9
FLOOR, FIRST = "convolutions alone", "rollout"
Sampler = Callable[[], Tensor]


def convolutions(network: nn.Module, call: Callable[[], object], steps: int) -> Sampler:
    """Every nn.Conv2d of `network` on the input that it has in `call`, `steps` times; returns the last one's output."""
    seen: list[tuple[nn.Conv2d, Tensor]] = []
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [
        layer.register_forward_pre_hook(lambda module, given: seen.append((module, given[0].clone())))
        for layer in layers
    ]
    with torch.no_grad():
        call()
    for hook in hooks:
        hook.remove()

    @torch.no_grad()
    def floor() -> Tensor:
        for _ in range(steps):
            for layer, x in seen:
                last = nn.functional.conv2d(x, layer.weight, None, layer.stride, layer.padding)
        return last

    return floor


def chain(denoiser: Denoiser, n: int) -> Sampler:
    policy = DenoisingPolicy(denoiser, denoiser.schedule)
    return lambda: rollout(policy, n, generator=torch.Generator().manual_seed(0)).x_0


def in_bfloat16(sample: Sampler) -> Sampler:
    def cast() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return sample()

    return cast


def samplers(n: int) -> dict[str, Sampler]:
    """Every way to draw n digits, by name; the first is the floor."""
    pretrained = worlds.digits().pretrained
    network = pretrained.denoiser
    assert isinstance(network, UNetDenoiser)
    last = UNetDenoiser(network.schedule).requires_grad_(False)
    last.load_state_dict(network.state_dict())
    last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    noise = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with_adapters = adapted(network, generator=torch.Generator().manual_seed(0)).requires_grad_(False)
    return {
        FLOOR: convolutions(network, lambda: network(noise, T // 2), T),
        FIRST: chain(network, n),
        "channels last": chain(last, n),
        "bfloat16": in_bfloat16(chain(network, n)),
        "adapters, not merged": chain(with_adapters, n),
        f"glimpse, {FEW} steps": lambda: glimpse(pretrained, n, steps=FEW, generator=torch.Generator().manual_seed(0)),
    }


def seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def compare(n: int, rounds: int) -> None:
    ways = samplers(n)
    x_0 = {name: sample() for name, sample in ways.items()}  # a warm-up, and what each one draws
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, sample in ways.items():
            times[name].append(seconds(sample))
    print(f"\n{n} digits, {torch.get_num_threads()} threads, torch {torch.__version__}, {rounds} rounds")
    print(f"{'':22} × floor   digits/s   furthest x_0   mean ink")
    for name, taken in times.items():
        ratio = median(time / least for time, least in zip(taken, times[FLOOR], strict=True))
        away = (x_0[name] - x_0[FIRST]).abs().max().item() if name != FLOOR else 0.0
        drawn = "" if name == FLOOR else f"{away:14.4f} {ink(x_0[name]).mean().item():10.4f}"
        print(f"{name:22} {ratio:7.2f} {n / median(taken):10.0f} {drawn}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    for n in (1, 36, 256):
        compare(n, parser.parse_args().rounds)


if __name__ == "__main__":
    main()
