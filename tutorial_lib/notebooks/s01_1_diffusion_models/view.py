r"""What a reader moves in the notebook on diffusion models (§1.1): a chain from noise to data, step by step.

    x_{t−1} = √ᾱ_{t−1} x̂_0 + √(1 − ᾱ_{t−1} − η²σ_t²) ε̂ + ησ_t z        η = 1 is the SDE, η = 0 the ODE

Every setting sees the same noise: one x_T, and one Brownian path z whose increments are added up where T is smaller, so
that samples glide. All chains are computed once; a slider then only looks one up.
Shapes: E values of η, B samples, T steps; a chain is [E, T+1, B, 2], and its second index is the paper's t.
"""

from collections.abc import Callable
from dataclasses import dataclass

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from ... import plots, widgets
from ...checks import count
from ...denoisers import ExactDenoiser, convert
from ...distributions import GaussianMixture
from ...metrics import sliced_wasserstein
from ...policies import DenoisingPolicy, rollout_with
from ...schedules import NoiseSchedule
from .figures import EXTENT, density_on_grid

STEPS = (5, 10, 20, 50, 100)  # the values of T; each divides the last
ETAS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN, PATHS = 400, 5  # points in the cloud and paths beside it


@dataclass(frozen=True)
class Chains:
    """All chains of one mixture: `x[T]` is [E, T+1, B, 2]. even, epsilon: [B, 2], exact samples to compare with; floor:
    what B independent exact samples score against them, at len(floor) times from t = 0 to t = T."""

    mixture: GaussianMixture
    schedules: dict[int, NoiseSchedule]
    x: dict[int, Tensor]
    even: Tensor
    epsilon: Tensor
    floor: list[float]

    @property
    def target(self) -> Tensor:
        """p_0 on the grid, [m, m]."""
        return density_on_grid(self.mixture)


@dataclass(frozen=True)
class Moment:
    """One setting: the cloud x_t [B, 2], paths [T−t+1, P, 2] from x_T to x_t, the exact p_t [m, m], ᾱ_t, and the
    cloud's distance from p_t with what exact samples score."""

    t: int
    T: int
    eta: float
    x: Tensor
    paths: Tensor
    density: Tensor
    alpha_bar: float
    distance: float
    floor: float


def increments(fine: Tensor, T: int) -> Tensor:
    """Standard normal noise of T steps [T, …], the sum of that of the finest chain [max(STEPS), …] over each step."""
    per_step = len(fine) // count("T", T)
    if T * per_step != len(fine):
        raise ValueError(f"T must divide {len(fine)}, got {T}")
    return fine.unflatten(0, (T, per_step)).sum(1) / per_step**0.5


@torch.no_grad()
def chain(denoiser: ExactDenoiser, start: Tensor, noise: Tensor, eta: Tensor) -> Tensor:
    """x_T = start [N, 2] down to x_0 under noise [T, N, 2], first row first, and eta [N, 1]: [T+1, N, 2]."""
    schedule = denoiser.schedule
    x = torch.empty(schedule.T + 1, *start.shape)
    x[schedule.T] = start
    for t, z in zip(range(schedule.T, 0, -1), noise, strict=True):
        x_0 = denoiser(x[t], t)
        epsilon = convert(x_0, x[t], schedule.alpha_bar[t], "x_0", "epsilon")
        spread = eta * schedule.posterior_std[t]
        kept = (schedule.noise[t - 1] - spread.square()).clamp_min(0).sqrt()
        x[t - 1] = schedule.alpha_bar[t - 1].sqrt() * x_0 + kept * epsilon + spread * z
    return x


def make_chains(mixture: GaussianMixture, *, n: int = 2000, seed: int = 0) -> Chains:
    """Every T and η, n samples each: a second or two."""
    g = torch.Generator().manual_seed(seed)
    start, fine = torch.randn(n, 2, generator=g), torch.randn(max(STEPS), n, 2, generator=g)
    eta = torch.tensor(ETAS).repeat_interleave(n).unsqueeze(1)
    schedules, copies, x = {T: NoiseSchedule.cosine(T) for T in STEPS}, len(ETAS), {}
    for T, schedule in schedules.items():
        noise = increments(fine, T).repeat(1, copies, 1)
        together = chain(ExactDenoiser(mixture, schedule), start.repeat(copies, 1), noise, eta)
        x[T] = together.unflatten(1, (copies, n)).movedim(1, 0)
    even, epsilon = stratified(mixture, n, generator=g), torch.randn(n, 2, generator=g)
    levels = schedules[max(STEPS)].alpha_bar[:: max(STEPS) // 20]
    floor = [_floor(mixture, level, even, epsilon, generator=g) for level in levels]
    return Chains(mixture, schedules, x, even, epsilon, floor)


def stratified(mixture: GaussianMixture, n: int, *, generator: torch.Generator) -> Tensor:
    """n samples [n, D] in which every component has its exact share, so that they stand closer to the law."""
    edges = (mixture.weights.double().cumsum(0) * n).round().long().tolist()
    shares = [end - begin for begin, end in zip([0, *edges[:-1]], [*edges[:-1], n], strict=True)]
    parts = [
        GaussianMixture(torch.ones(1), mean[None], covariance[None]).sample(share, generator=generator)
        for mean, covariance, share in zip(mixture.means, mixture.covariances, shares, strict=True)
        if share
    ]
    return torch.cat(parts)


def _floor(
    mixture: GaussianMixture, level: Tensor, even: Tensor, epsilon: Tensor, *, generator: torch.Generator
) -> float:
    """Mean distance of independent exact samples of x_t from the stratified ones."""
    noised, reference = mixture.noised(level), _noise(even, epsilon, level)
    return sum(_distance(noised.sample(len(even), generator=generator), reference) for _ in range(4)) / 4


def _noise(x_0: Tensor, epsilon: Tensor, level: Tensor) -> Tensor:
    return level.sqrt() * x_0 + (1 - level).sqrt() * epsilon


def moment(chains: Chains, t: int, T: int, eta: float) -> Moment:
    """What one setting shows. t in 0..T, T one of STEPS, eta one of ETAS."""
    if T not in STEPS or eta not in ETAS:
        raise ValueError(f"T must be one of {STEPS} and eta one of {ETAS}, got {T!r} and {eta!r}")
    schedule = chains.schedules[T]
    schedule.check(t, least=0)
    x = chains.x[T][ETAS.index(eta)]  # [T+1, B, 2]
    level = schedule.alpha_bar[t]
    return Moment(
        t=t,
        T=T,
        eta=eta,
        x=x[t, :SHOWN],
        paths=x[t:, :PATHS].flip(0),
        density=density_on_grid(chains.mixture.noised(level)),
        alpha_bar=level.item(),
        distance=_distance(x[t], _noise(chains.even, chains.epsilon, level)),
        floor=chains.floor[round(t / T * (len(chains.floor) - 1))],
    )


def paths(chains: Chains, *, T: int, eta: float) -> Tensor:
    """A few whole paths: [T+1, P, 2]."""
    return chains.x[T][ETAS.index(eta), :, :PATHS]


def _distance(x: Tensor, y: Tensor) -> float:
    return sliced_wasserstein(x, y, generator=torch.Generator().manual_seed(0), projections=16)


def draw_moment(now: Moment, data: Tensor) -> tuple[Figure, Callable[[Moment], None], list[Artist]]:
    """(figure, function that shows another moment in it, the artists that it moves). data: p_0 on the grid, [m, m]."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 4.7), layout="none")
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.92, wspace=0.04)
    shade = plots.density(left, now.density, extent=EXTENT, title="Samples of $x_t$ on its exact density $p_t$")
    cloud = plots.samples(left, now.x, size=7)
    plots.density(right, data, extent=EXTENT, title="Five paths from noise (grey) towards the data").set_alpha(0.4)
    lines = LineCollection([], colors=plots.TUNED, linewidths=1.2, alpha=0.7)
    right.add_collection(lines)
    starts = plots.samples(right, now.paths[0], color=plots.PRETRAINED, size=16)
    ends = plots.samples(right, now.paths[-1], size=34)
    ends.set_alpha(1.0)

    def show(now: Moment) -> None:
        plots.scale_to(shade, now.density)
        cloud.set_offsets(now.x.numpy())
        lines.set_segments(list(now.paths.movedim(1, 0).numpy()))
        ends.set_offsets(now.paths[-1].numpy())

    show(now)
    return figure, show, [shade, cloud, lines, starts, ends]


def in_words(now: Moment) -> str:
    kind = {0.0: "the ODE: no noise after x<sub>T</sub>", 1.0: "the SDE: fresh noise at every step"}
    return (
        f"<b>t = {now.t} of T = {now.T}</b>: signal left ᾱ<sub>t</sub> = {now.alpha_bar:.3f}. "
        f"η = {now.eta:g}, {kind.get(now.eta, 'between the ODE and the SDE')}.<br>"
        f"Distance of the cloud from the exact p<sub>t</sub>: <b>{now.distance:.2f}</b>; "
        f"exact samples, as many, are {now.floor:.2f} away."
    )


def denoising_widget(chains: Chains, *, t: int = 14, T: int = 50, eta: float = 1.0) -> ui.VBox:
    """Sliders for t, T and η over the cloud, its exact density and its paths."""
    figure, show, moving = draw_moment(moment(chains, t, T, eta), chains.target)
    picture, text = widgets.Picture(figure, moving), widgets.words()
    time = widgets.slider("time t", t, 0, T, 1)
    steps, noise = widgets.notches("steps T", STEPS, T), widgets.notches("noise η", ETAS, eta)

    def keep_share(change: dict) -> None:
        """Another T at the same share of the way."""
        value = round(time.value / change["old"] * change["new"])
        time.max = max(time.max, change["new"])  # never below the value that stands
        time.value, time.max = value, change["new"]

    def respond(t: int, T: int, eta: float) -> None:
        now = moment(chains, min(t, T), T, eta)
        show(now)
        text.value = in_words(now)
        picture.refresh()

    steps.observe(keep_share, names="value")
    return widgets.together([time, steps, noise], respond, picture.widget, text)


@dataclass(frozen=True)
class Images:
    """A chain of images and the guess at its end from every step: x, guess [T+1, B, 1, H, W]."""

    x: Tensor
    guess: Tensor


def make_images(pretrained: DenoisingPolicy, n: int, *, label: Tensor | None = None, seed: int = 0) -> Images:
    """n images from noise, with x̂_0(x_t, t) at every t; guess[0] is x_0 itself. label: [n], or None for any."""
    guess = torch.empty(pretrained.schedule.T + 1, n, *pretrained.shape)

    def mean(x_t: Tensor, t: int) -> Tensor:
        guess[t] = pretrained.denoiser(x_t, t, label)
        return pretrained.schedule.posterior_mean(guess[t], x_t, t)

    path = rollout_with(mean, pretrained, n, generator=torch.Generator().manual_seed(seed))
    guess[0] = path.x_0
    return Images(path.x, guess)


def draw_images(images: Images, t: int, *, columns: int = 8) -> tuple[Figure, Callable[[int], None], list[Artist]]:
    """(figure, function that shows another t in it, the artists that it moves)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.2), layout="none")
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.9, wspace=0.04)
    now = plots.show_wall(left, images.x[t], columns=columns, title="What the model sees: $x_t$")
    end = plots.show_wall(right, images.guess[t], columns=columns, title="What it expects: $E[x_0\\,|\\,x_t]$")

    def show(t: int) -> None:
        now.set_data(plots.wall(images.x[t], columns=columns))
        end.set_data(plots.wall(images.guess[t], columns=columns))

    return figure, show, [now, end]


def images_widget(images: Images, *, t: int = 25, columns: int = 8) -> ui.VBox:
    """A slider over t, and the two walls."""
    figure, show, moving = draw_images(images, t, columns=columns)
    picture = widgets.Picture(figure, moving)
    time = widgets.slider("time t of the digits", t, 0, len(images.x) - 1, 1)

    def respond(t: int) -> None:
        show(t)
        picture.refresh()

    return widgets.together([time], respond, picture.widget)
