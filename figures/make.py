"""Make the README's pictures again: `make figures`, or one of them: `python figures/make.py tilt`."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from tutorial_lib import plots, worlds
from tutorial_lib.exact import Frontier, TiltedDensity
from tutorial_lib.notebooks.s04_1_theory import particles_study, particles_view, study

HERE = Path(__file__).parent
ALPHAS = (10.0, 2.0, 0.5, 0.05)
EXTENT = 5.0
DENOISING, SWEEP = 26, 45  # frames of either part of the animation


def hero() -> Figure:
    """The frontier of reward against KL, with the exact optimum at four α above it."""
    ring = worlds.ring()
    tilted = TiltedDensity(ring.pretrained, ring.reward, extent=EXTENT, grid=201)
    frontier = Frontier(tilted.reward.reshape(-1), tilted.pretrained.reshape(-1))
    curve = frontier.curve(torch.logspace(-1.4, 3, 200))

    names = ["pretrained", *(f"α = {alpha:g}" for alpha in ALPHAS)]
    mosaic: list[Any] = [names, ["frontier"] * len(names)]
    figure, panels = plt.subplot_mosaic(mosaic, figsize=(11, 6.2), height_ratios=[1, 1.5])
    figure.suptitle("What α trades: less and less reward for every further nat of KL", fontsize=15)
    ax = panels.pop("frontier")
    plots.frontier(ax, [p.kl for p in curve], [p.reward for p in curve])
    ax.plot(0, _unchanged(tilted), "o", color=plots.PRETRAINED, markersize=9, zorder=3)
    plots.density(panels["pretrained"], tilted.pretrained, extent=EXTENT)
    plots.reward_contours(panels["pretrained"], tilted.grid.axis, tilted.reward)
    for name, alpha in zip(names[1:], ALPHAS, strict=True):
        here = tilted.at(alpha)
        plots.density(panels[name], here.mass, extent=EXTENT, color=plots.TARGET)
        ax.plot(here.kl, here.reward, "o", color=plots.TARGET, markersize=9, zorder=3)
        ends = (0, -3.4), (here.kl, here.reward), panels[name].transData, ax.transData
        figure.add_artist(ConnectionPatch(*ends, color="#bbbbbb", linewidth=1))
    for name, panel in panels.items():
        panel.set(xlim=(-3.4, 3.4), ylim=(-3.4, 3.4))
        panel.set_title(name, loc="center")
    return figure


def _unchanged(tilted: TiltedDensity) -> float:
    """The pretrained model's expected reward."""
    return float((tilted.pretrained * tilted.reward).sum())


def save_hero(folder: Path) -> None:
    """hero.png"""
    figure = hero()
    figure.savefig(folder / "hero.png", dpi=110)
    plt.close(figure)


def tilt_states() -> list[tuple[float, int]]:
    """(α, t) frame by frame: noise becomes data at α = 10, then α falls to 0.05."""
    high, low = np.log10([ALPHAS[0], ALPHAS[-1]])
    states = [(ALPHAS[0], round(t)) for t in np.linspace(study.T, 0, DENOISING)]
    return states + [(10**power, 0) for power in np.linspace(high, low, SWEEP + 1)[1:]]


def tilt_frames(states: Iterable[tuple[float, int]]) -> Iterator[np.ndarray]:
    """Pixels [height, width, 3] of each (α, t): the samples glide, under one noise, and the optimum climbs."""
    figure, show = _tilt_stage(study.scene())
    canvas = FigureCanvasAgg(figure)
    for alpha, t in states:
        show(alpha, t)
        canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)


def tilt_pauses() -> list[int]:
    """How long each frame stands, in milliseconds: the noise, the data and the last optimum longer than the others."""
    pauses = [80] * (DENOISING + SWEEP)
    pauses[0], pauses[DENOISING - 1], pauses[-1] = 500, 700, 1500
    return pauses


def save_tilt(folder: Path) -> None:
    """tilt.webp"""
    first, *others = map(PIL.Image.fromarray, tilt_frames(tilt_states()))
    options: dict[str, Any] = dict(duration=tilt_pauses(), loop=0, quality=80)
    first.save(folder / "tilt.webp", save_all=True, append_images=others, **options)


def _tilt_stage(scene: study.Scene) -> tuple[Figure, Callable[[float, int], None]]:
    """The figure of the animation, and the function that shows α and t in it."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.2, 3.7), width_ratios=[1, 1, 1.05])
    panels = particles_view.two_panels(left, middle, scene.tilted.grid.extent, ("Pretrained", "Optimum"))
    plots.reward_contours(left, scene.tilted.grid.axis, scene.tilted.reward)
    frontier = Frontier(scene.tilted.reward.reshape(-1), scene.tilted.pretrained.reshape(-1))
    curve = frontier.curve(torch.logspace(-1.4, 3, 200))
    plots.frontier(right, [p.kl for p in curve], [p.reward for p in curve], title="The optimum climbs the frontier")
    right.plot(0, _unchanged(scene.tilted), "o", color=plots.PRETRAINED, markersize=8, zorder=3)
    (here,) = right.plot([], [], "o", color=plots.TARGET, markersize=10, zorder=3)
    clock = left.text(-study.SHOWN, -study.SHOWN, "", va="bottom", color="#444444")

    def show(alpha: float, t: int) -> None:
        particles_view.draw(panels, particles_study.answer(scene, alpha=alpha, t=t))
        best = scene.tilted.at(alpha)
        here.set_data([best.kl], [best.reward])
        middle.set_title(f"Optimum at α = {alpha:.2f}")
        clock.set_text(f"t = {t}")

    return figure, show


FIGURES = {"hero": save_hero, "tilt": save_tilt}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", choices=FIGURES, help="which one; all of them without it")
    chosen = parser.parse_args().figure
    plt.switch_backend("agg")
    plots.use_style()
    torch.set_num_threads(1)  # so that the last digits do not depend on the number of cores
    for name in [chosen] if chosen else FIGURES:
        FIGURES[name](HERE)
