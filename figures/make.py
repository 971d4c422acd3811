"""Make the README's pictures again: `make figures`."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import ConnectionPatch

from tutorial_lib import plots, worlds
from tutorial_lib.exact import Frontier, TiltedDensity

HERE = Path(__file__).parent
ALPHAS = (10.0, 2.0, 0.5, 0.05)
EXTENT = 5.0


def hero() -> None:
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
    figure.savefig(HERE / "hero.png", dpi=110)


if __name__ == "__main__":
    plots.use_style()
    hero()
