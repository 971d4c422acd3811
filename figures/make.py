"""Make the README's pictures again: `make figures`, or one of them: `python figures/make.py tilt`."""

import argparse
from collections.abc import Callable
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
from tutorial_lib.notebooks.s04_theory import view as theory

HERE = Path(__file__).parent
ALPHAS = (10.0, 2.0, 0.5, 0.05)
EXTENT = 5.0


def hero(folder: Path) -> None:
    """hero.png: the frontier of reward against KL, with the exact optimum at four α above it."""
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
    ax.plot(0, curve[-1].reward, "o", color=plots.PRETRAINED, markersize=9, zorder=3)
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
    figure.savefig(folder / "hero.png", dpi=110)

    plt.close(figure)


def tilt(folder: Path, *, denoising: int = 26, sweep: int = 45) -> None:
    """tilt.webp: noise becomes data at α = 10, then α falls to 0.05, the samples glide and the optimum climbs.

    denoising, sweep: frames of either part. Both particle clouds see the same noise.
    """
    scene = theory.scene(theory.FIRST)
    T, high, low = scene.world.schedule.T, *np.log10([ALPHAS[0], ALPHAS[-1]])
    states = [(ALPHAS[0], round(t)) for t in np.linspace(T, 0, denoising)]
    states += [(10**power, 0) for power in np.linspace(high, low, sweep + 1)[1:]]
    figure, show = _tilt_stage(scene)
    canvas, frames = FigureCanvasAgg(figure), []
    for alpha, t in states:
        show(alpha, t)
        canvas.draw()
        frames.append(PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    plt.close(figure)
    pause = [80] * len(states)  # milliseconds
    pause[0], pause[denoising - 1], pause[-1] = 500, 700, 1500
    frames[0].save(folder / "tilt.webp", save_all=True, append_images=frames[1:], duration=pause, loop=0, quality=80)


def _tilt_stage(scene: theory.Scene) -> tuple[Figure, Callable[[float, int], None]]:
    """The figure of the animation, and the function that shows α and t in it."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.2, 3.7), width_ratios=[1, 1, 1.05])
    panels = (
        theory.Panel(left, scene, shade=plots.PRETRAINED, color=plots.PRETRAINED, title="Pretrained"),
        theory.Panel(middle, scene, shade=plots.TARGET, color=plots.TUNED, title="Optimum at α = 10.00"),
    )
    plots.reward_contours(left, scene.tilted.grid.axis, scene.tilted.reward)
    frontier = Frontier(scene.tilted.reward.reshape(-1), scene.tilted.pretrained.reshape(-1))
    curve = frontier.curve(torch.logspace(-1.4, 3, 200))
    plots.frontier(right, [p.kl for p in curve], [p.reward for p in curve], title="The optimum climbs the frontier")
    right.plot(0, curve[-1].reward, "o", color=plots.PRETRAINED, markersize=8, zorder=3)
    (here,) = right.plot([], [], "o", color=plots.TARGET, markersize=10, zorder=3)
    clock = left.text(-theory.SHOWN, -theory.SHOWN, "", va="bottom", color="#444444")

    def show(alpha: float, t: int) -> None:
        theory.draw_flight(scene, panels, theory.flight(scene, alpha), t)
        best = scene.tilted.at(alpha)
        here.set_data([best.kl], [best.reward])
        middle.set_title(f"Optimum at α = {alpha:.2f}")
        clock.set_text(f"t = {t}")

    return figure, show


FIGURES = {"hero": hero, "tilt": tilt}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", choices=FIGURES, help="which one; all of them without it")
    chosen = parser.parse_args().figure
    plt.switch_backend("agg")
    plots.use_style()
    torch.set_num_threads(1)  # so that the last digits do not depend on the number of cores
    for name in [chosen] if chosen else FIGURES:
        FIGURES[name](HERE)
