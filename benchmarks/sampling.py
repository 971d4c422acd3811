"""Sampling throughput beside other libraries: the same network, T = 50 steps, 4096 points, as multiples of a floor.

The floor is the network's matrix products alone, which no sampler can do without. Rounds alternate between all, so that
a busy machine slows all alike; a multiple is the median over rounds of time / the floor's time in the same round.

    pip install -c constraints.txt -e '.[bench]'              diffusers
    pip install --no-deps --target build/azula azula einops   azula, for PYTHONPATH=build/azula: it asks for
                                                              torchvision, and breaks a CPU torch if it gets it

What is not installed is left out. All draw from the same chain, up to the variance of a step, and all gain by what our
network saves; `rollout` alone keeps the whole path.
"""

from collections.abc import Callable, Iterable
from importlib import metadata
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from tutorial_lib.denoisers import MLP, MLPDenoiser
from tutorial_lib.policies import DenoisingPolicy, rollout
from tutorial_lib.schedules import NoiseSchedule

T, PATHS, DIM, ROUNDS = 50, 4096, 2, 25
SCHEDULE = NoiseSchedule.cosine(T)
Sampler = Callable[[], Tensor]


def matrix_products(network: MLP) -> Sampler:
    """The products of x [PATHS, DIM] with the layers' weights, T times, into memory that is there already."""
    layers = (network.first, network.second, network.third, network.last)
    weights = [layer.weight.detach().T for layer in layers]
    out = [torch.empty(PATHS, weight.shape[1]) for weight in weights]

    def floor() -> Tensor:
        x = torch.ones(PATHS, DIM)
        for _ in range(T):
            h = x
            for weight, place in zip(weights, out, strict=True):
                h = torch.mm(h, weight, out=place)
        return h

    return floor


def ours(denoiser: MLPDenoiser) -> Sampler:
    policy, g = DenoisingPolicy(denoiser, SCHEDULE), torch.Generator().manual_seed(0)
    return lambda: rollout(policy, PATHS, generator=g).x_0


def diffusers_ddpm(denoiser: MLPDenoiser) -> Sampler:
    """The loop that diffusers documents for a scheduler of one's own, with its fixed variance β̃_t."""
    from diffusers import DDPMScheduler

    betas = SCHEDULE.beta[1:].tolist()
    scheduler = DDPMScheduler(T, trained_betas=betas, prediction_type="sample", clip_sample=False)
    scheduler.set_timesteps(T)
    g = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def sample() -> Tensor:
        x = torch.randn(PATHS, DIM, generator=g)
        for t in scheduler.timesteps:
            x = scheduler.step(denoiser(x, int(t) + 1), int(t), x, generator=g).prev_sample
        return x

    return sample


def azula_ddpm(denoiser: MLPDenoiser) -> Sampler:
    """Its DDPMSampler; the time is t/T, and both scales are read from our table."""
    from azula.denoise import Denoiser, DiracPosterior
    from azula.sample import DDPMSampler

    class Wrapped(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.network = denoiser

        def schedule(self, time: Tensor) -> tuple[Tensor, Tensor]:
            t = (time * T).round().long()
            return SCHEDULE.alpha_bar[t].sqrt(), SCHEDULE.noise[t].sqrt()

        def forward(self, x_t: Tensor, time: Tensor) -> DiracPosterior:
            return DiracPosterior(self.network(x_t, round(float(time) * T)))

    sampler = DDPMSampler(Wrapped(), steps=T, silent=True)
    return lambda: sampler(torch.randn(PATHS, DIM))


def found(makers: Iterable[Callable[[MLPDenoiser], Sampler]], denoiser: MLPDenoiser) -> dict[str, Sampler]:
    """The samplers whose library is here, by its name and version; the others get a line."""
    samplers: dict[str, Sampler] = {"matrix products": matrix_products(denoiser.network), "rollout": ours(denoiser)}
    for maker in makers:
        library = maker.__name__.partition("_")[0]
        try:
            version = metadata.version(library)
            samplers[f"{library} {version}"] = maker(denoiser)
        except ImportError as missing:
            print(f"{library} is left out: {missing}")
    return samplers


def seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def main() -> None:
    torch.manual_seed(0)
    denoiser = MLPDenoiser(SCHEDULE)
    samplers = found((diffusers_ddpm, azula_ddpm), denoiser)
    spread = {name: sample().std().item() for name, sample in samplers.items()}  # a warm-up, and a check
    times: dict[str, list[float]] = {name: [] for name in samplers}
    for _ in range(ROUNDS):
        for name, sample in samplers.items():
            times[name].append(seconds(sample))
    floor, *_ = times.values()
    print(f"{PATHS} points, T = {T}, {torch.get_num_threads()} threads, torch {torch.__version__}, {ROUNDS} rounds")
    print(f"{'':20} × floor   median ms   std of x_0")
    for name, taken in times.items():
        ratio = median(time / least for time, least in zip(taken, floor, strict=True))
        shown = "" if name == "matrix products" else f"{spread[name]:10.3f}"
        print(f"{name:20} {ratio:7.2f} {1000 * median(taken):11.0f} {shown:>12}")


if __name__ == "__main__":
    main()
