"""The samplers' widget (§6.2): what the estimator believes, the samples on the exact target, and their rewards."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from torch import Tensor

from ... import plots
from ...widgets import Picture, choice, moving_image, notches, slider, together, words
from .figures import SHOWN
from .study import (
    BELIEVED_AT,
    CHOSEN,
    CLOUD,
    COUNTS,
    ESTIMATORS,
    EXACT,
    PARTICLES,
    SAMPLERS,
    STEERED,
    TWEEDIE,
    Answer,
    Scene,
    answer,
)

FIRST: dict[str, Any] = dict(alpha=0.5, strength=1.0, sampler=STEERED, estimator=TWEEDIE, count=16)
STRONGEST = 3.0


def in_words(answer: Answer, sampler: str, count: int) -> str:
    """Reward against the best, the distance to the target, what this sampler alone can say, and who is not seen."""
    if len(answer.x_0) < 2:
        return f"All but {len(answer.x_0)} of {PARTICLES} particles were thrown out of the plane: nothing to measure."
    error = float(answer.rewards.std()) / len(answer.rewards) ** 0.5
    first = (
        f"<b>E[r] = {float(answer.rewards.mean()):.2f} ± {error:.2f}</b>, the target has {answer.target.reward:.2f}. "
        f"Energy distance to exact draws <b>{answer.distance:.3f}</b> (±0.01 is noise)."
    )
    regret = f"{answer.regret:.0%} ± {answer.regret_se:.0%}"
    if sampler == STEERED:
        second = f"KL {answer.kl:.2f} nats along the paths; <b>regret {regret}</b>."
    elif sampler == CLOUD:
        second = (
            f"{PARTICLES // count} cloud(s) of {count}: <b>regret ≤ {regret}</b>, effective share at its lowest "
            f"{answer.effective:.0%}, {answer.ancestors:.0%} of the x<sub>T</sub> still have descendants. γ does not "
            f"act."
        )
    else:
        second = f"Best of {count} at every step, in a soft sense; nothing corrects a wrong v. γ does not act."
    return plots.minus(" ".join([f"{first}<br>{second}", *(f"<b>{told}.</b>" for told in unseen(answer))]))


def unseen(answer: Answer) -> list[str]:
    """Which of the particles the picture does not show."""
    told, outside = [], int((answer.x_0.abs() > SHOWN).any(1).sum())
    if answer.thrown:
        told.append(f"{answer.thrown} of {PARTICLES} particles thrown out of the plane, and in no number")
    if outside:
        told.append(f"{outside} of {PARTICLES} particles beyond the edge of the map")
    return told


def in_short(alpha: float, strength: float, sampler: str, estimator: str, count: int) -> str:
    """The settings in one line; those that do not act on the sampler are left out."""
    acts = {STEERED: f"γ = {strength:g}", CLOUD: f"{count} to a cloud", CHOSEN: f"{count} candidates"}
    return f"{sampler};  {estimator};  α = {alpha:g};  {acts[sampler]}"


class SamplersView:
    """Three panels under the settings: v̂ at one t, samples on the exact target, and the law of the rewards."""

    def __init__(self, scene: Scene):
        figure, axes = plt.subplots(1, 3, figsize=(11, 4.0), width_ratios=[1, 1, 1.1])
        self.settings = figure.suptitle(" ", fontsize=11, x=0.01, ha="left")
        self._belief_panel(axes[0], scene)
        extent = scene.tilted.grid.extent
        self.target = plots.density(axes[1], scene.tilted.pretrained, extent=extent, color=plots.TARGET)
        plots.bare(axes[1], SHOWN, "Samples on the exact target")
        self.points = plots.samples(axes[1], torch.zeros(1, 2), size=6)
        self._reward_panel(axes[2], scene)
        self.picture = Picture(figure, [self.settings, self.belief, self.target, self.points, self.best, self.below])

    def _belief_panel(self, ax: Axes, scene: Scene) -> None:
        """Only differences of v̂ steer or choose, so its highest value on the map is the zero of the colours."""
        extent, self.inside = scene.tilted.grid.extent, scene.tilted.grid.axis.abs() <= SHOWN
        middle = scene.beliefs[EXACT, scene.alphas[len(scene.alphas) // 2]]
        shade = Normalize(float(np.quantile(self._below_highest(middle), 0.3)), 0.0)
        where = (-extent, extent, -extent, extent)
        self.belief = ax.imshow(np.zeros((2, 2)), cmap="viridis", norm=shade, extent=where, zorder=0)
        plots.bare(ax, SHOWN, f"The estimator's $\\hat v_{{{BELIEVED_AT}}}$, below its highest")
        bar = ax.figure.colorbar(ScalarMappable(shade, "viridis"), cax=ax.inset_axes((1.02, 0.05, 0.03, 0.9)))
        bar.outline.set_visible(False)

    def _below_highest(self, belief: Tensor) -> np.ndarray:
        return (belief - belief[self.inside][:, self.inside].max()).numpy().T

    def _reward_panel(self, ax: Axes, scene: Scene) -> None:
        ax.plot(scene.levels, scene.below, color=plots.PRETRAINED, linewidth=1.5, label="pretrained")
        (self.best,) = ax.plot(scene.levels, scene.below, color=plots.TARGET, linewidth=3, label="exact target")
        (self.below,) = ax.plot(scene.levels, scene.below, color=plots.TUNED, linewidth=2, label="samples")
        ax.set(ylim=(0, 1.02), xlabel="reward r", title="Share of samples with reward ≤ r")
        ax.legend(loc="center left")

    def draw(self, found: Answer, **settings: Any) -> None:
        """Move the artists to the answer for these settings."""
        self.settings.set_text(";  ".join([in_short(**settings), *unseen(found)]))
        self.belief.set_data(self._below_highest(found.belief))
        plots.scale_to(self.target, found.target.mass)
        self.points.set_offsets(found.x_0.numpy())
        self.best.set_ydata(found.best)
        self.below.set_ydata(found.below)


def still(scene: Scene, **settings: Any) -> Image:
    """One state of the widget, FIRST unless told otherwise, for a page without a kernel."""
    if unknown := settings.keys() - FIRST.keys():
        raise ValueError(f"unknown setting {', '.join(sorted(unknown))}; known: {', '.join(FIRST)}")
    chosen = {**FIRST, **settings}
    view = SamplersView(scene)
    view.draw(answer(scene, **chosen), **chosen)
    return view.picture.still()


def play(scene: Scene) -> ui.VBox:
    """The widget: α, γ, the sampler, its estimator and its particles."""
    view = SamplersView(scene)
    image, text = moving_image(view.picture.figure, "samplers"), words()

    def respond(alpha: float, strength: float, count: int, sampler: str, estimator: str) -> None:
        chosen: dict[str, Any] = dict(sampler=sampler, estimator=estimator, count=count)
        found = answer(scene, alpha, strength, **chosen)
        view.draw(found, alpha=alpha, strength=strength, **chosen)
        image.value, text.value = view.picture.frame(), in_words(found, sampler, count)

    controls = [
        notches("α", scene.alphas, FIRST["alpha"]),
        slider("guidance strength γ", FIRST["strength"], 0.0, STRONGEST, 0.1),
        notches("particles", COUNTS, FIRST["count"]),
        choice("sampler", SAMPLERS, STEERED),
        choice("estimator of v", ESTIMATORS, TWEEDIE),
    ]
    return together(controls, respond, image, text)
