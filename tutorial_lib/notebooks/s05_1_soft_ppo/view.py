"""The widget of 05_1_soft_ppo: iteration, α, clip and batch, over runs that are trained already."""

import functools
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image

from ... import plots
from ...widgets import Picture, moving_image, notches, slider, together, words
from . import study
from .figures import CLIPPED
from .study import ALPHAS, BATCHES, CLIPS, EVERY, ITERATIONS, Answer, Scene

FIRST: dict[str, Any] = dict(iteration=9, alpha=0.5, clip=0.1, batch=64)


def in_words(answer: Answer, iteration: int, batch: int) -> str:
    """Where the run stands, and what it has paid for."""
    run, i = answer.run, answer.frame
    return plots.minus(
        f"<b>After {iteration} iterations</b>, {iteration * batch:,} queries of the reward: "
        f"J = {float(run.objective[i]):.2f} where J* = {answer.goal.optimum:.2f}, "
        f"<b>regret {answer.regret:.1%}</b>.<br>"
        f"Path KL {float(run.kl[i]):.2f} nats, at its largest {float(run.kl[: i + 1].max()):.1f} so far; "
        f"{float(run.clipped[i]):.0%} of the ratios were outside 1 ± clip."
    )


class TrainingView:
    """Four panels: samples on the exact target; regret, path KL and the share of clipped ratios against iterations."""

    TOP = 8.0  # nats of KL that fit in
    REGRETS = 5e-3, 3.0  # that fit in

    def __init__(self, scene: Scene, title: str = ""):
        """title: above the panels, for a picture without its controls."""
        first = next(iter(scene.goals.values())).target
        height, top = (3.5, 0.8) if title else (3.1, 0.9)
        figure, axes = plt.subplots(1, 4, figsize=(11.5, height), width_ratios=[1.15, 1, 1, 1], layout="none")
        figure.subplots_adjust(left=0.01, right=0.985, bottom=0.17, top=top, wspace=0.32)
        figure.suptitle(title)
        self.target = plots.density(axes[0], first, extent=scene.extent, color=plots.TARGET)
        self.points = plots.samples(axes[0], torch.zeros(1, 2), size=5)
        plots.bare(axes[0], 3.4, "Samples on the exact target")
        self.iterations = np.arange(0, ITERATIONS + 1, EVERY)
        axes[1].set(ylim=self.REGRETS, yscale="log", title="Regret, pretrained: 100 %")
        axes[1].set_yticks([0.01, 0.1, 1], ["1 %", "10 %", "100 %"])
        axes[2].set(ylim=(-0.02 * self.TOP, self.TOP), title="Path KL (nats)")
        axes[3].set(ylim=(-0.02, 1), yticks=[0, 0.5, 1], yticklabels=["0 %", "50 %", "100 %"], title="Ratios clipped")
        self.lines, self.dots = [], []
        for ax, color in zip(axes[1:], (plots.TUNED, plots.PRETRAINED, CLIPPED), strict=True):
            ax.set(xlim=(-0.5, ITERATIONS + 0.5), xlabel="iteration")
            self.lines += ax.plot([], [], color=color)
            self.dots += ax.plot([], [], "o", color=color, markersize=8, clip_on=False)
        self.picture = Picture(figure, [self.target, self.points, *self.lines, *self.dots])

    def draw(self, answer: Answer) -> None:
        """Move the artists to one moment of one run. What is off a panel waits at its edge."""
        run, i = answer.run, answer.frame
        plots.scale_to(self.target, answer.goal.target)
        self.points.set_offsets(run.x_0[i].numpy())
        columns = (answer.regrets.clamp(*self.REGRETS), run.kl.clamp_max(self.TOP), run.clipped)
        for line, dot, values in zip(self.lines, self.dots, columns, strict=True):
            line.set_data(self.iterations, values)
            dot.set_data([self.iterations[i]], [float(values[i])])


@functools.lru_cache(maxsize=1)
def training_view() -> TrainingView:
    return TrainingView(study.scene())


def still(
    *,
    iteration: int = FIRST["iteration"],
    alpha: float = FIRST["alpha"],
    clip: float = FIRST["clip"],
    batch: int = FIRST["batch"],
) -> Image:
    """The widget's picture at these settings, for a page without a kernel."""
    found = study.answer(study.scene(), iteration=iteration, alpha=alpha, clip=clip, batch=batch)
    title = f"Iteration {iteration}, α = {alpha:g}, clip ε = {clip:g}, batch {batch}"
    view = TrainingView(study.scene(), title)
    view.draw(found)
    return view.picture.still()


def play() -> ui.VBox:
    """The widget: iteration, α, clip and batch."""
    view = training_view()
    image, text = moving_image(view.picture.figure, "training"), words()

    def respond(iteration: int, alpha: float, clip: float, batch: int) -> None:
        found = study.answer(study.scene(), iteration=iteration, alpha=alpha, clip=clip, batch=batch)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(found, iteration, batch)

    controls = [
        slider("iteration", FIRST["iteration"], 0, ITERATIONS, EVERY),
        notches("α", ALPHAS, FIRST["alpha"]),
        notches("clip ε", CLIPS, FIRST["clip"]),
        notches("batch (paths)", BATCHES, FIRST["batch"]),
    ]
    return together(controls, respond, image, text)
