"""How much of the theorem's gain a sampler can have (§4): the picture, the words and the widget."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
import torch
from IPython.display import Image

from ... import plots
from ...widgets import Picture, choice, moving_image, notches, together, words
from .study import ALPHA, EXTENT, FIRST, LEVELS, POINTS, REWARDS, STEPS, Answer, answer

TITLES = (
    "Start: $\\mathcal{N}(0, 1)$ (grey), $p^*_T$ (orange)",
    "End: target (shade), exact (dots), Gaussian",
    "Of $α\\,\\log Z - J_{pre}$",
)
TOPS = (0.8, 3.6)  # of the densities of x_T and x_0
PARTS = {"Gaussian steps reach": plots.TUNED, "family gap": plots.TARGET, "start gap": plots.PRETRAINED}


def in_words(answer: Answer) -> str:
    """The four objectives, and what each of the two losses is."""
    before, gaussian, fixed, tilted = answer.objectives
    reached, family, start = (100 * share for share in answer.shares)
    return plots.minus(
        f"α = {ALPHA}. J<sub>pre</sub> {before:.3f}, J<sub>G</sub>* {gaussian:.3f}, J* {fixed:.3f}, α log Z "
        f"{tilted:.3f}.<br>Of α log Z − J<sub>pre</sub> <b>Gaussian steps reach {reached:.1f} %</b>; they miss "
        f"{family:.1f} % that other steps could have, and the fixed start misses {start:.1f} %, which is "
        f"{answer.start_nats:.3f} nats."
    )


class ReachView:
    """Three panels under the settings: two laws of x_T, four laws of x_0 (grey: p_pre), and the gain in three parts."""

    def __init__(self) -> None:
        figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.1), width_ratios=[1, 1.4, 0.9], layout="none")
        figure.subplots_adjust(left=0.02, right=0.985, bottom=0.15, top=0.8, wspace=0.14)
        self.settings = figure.text(0.005, 0.99, "", va="top")
        self.axis, flat = torch.linspace(-EXTENT, EXTENT, POINTS), torch.zeros(POINTS)
        for ax, title, label, top in zip(axes, TITLES, ("$x_T$", "$x_0$"), TOPS, strict=False):
            ax.set(title=title, xlabel=label, xlim=(-EXTENT, EXTENT), ylim=(0, top), yticks=[])
        self.starts = [axes[0].plot(self.axis, flat, color=c)[0] for c in (plots.PRETRAINED, plots.TARGET)]
        looks: tuple[dict[str, Any], ...] = (
            dict(color=plots.PRETRAINED, linewidth=1),
            dict(color="black", linestyle=":", linewidth=2),
            dict(color=plots.TUNED),
        )
        self.ends = [axes[1].plot(self.axis, flat, **look)[0] for look in looks]
        self.target = axes[1].fill_between(self.axis, flat, color=plots.TARGET, alpha=0.4, linewidth=0)
        self.bars = [axes[2].barh(row, 0, height=0.4, color=color)[0] for row, color in enumerate(PARTS.values())]
        self.numbers = [axes[2].text(0, row, "", va="center") for row in range(len(PARTS))]
        axes[2].set(title=TITLES[2], xlim=(0, 125), xticks=[0, 50, 100], xlabel="%", yticks=[])
        for row, name in enumerate(PARTS):
            axes[2].text(0, row - 0.24, name, va="bottom", fontsize=9)
        axes[2].set_ylim(2.4, -0.65)
        moving = [self.target, *self.starts, *self.ends, *self.bars, *self.numbers]
        self.picture = Picture(figure, [self.settings, *moving])

    def draw(self, answer: Answer) -> None:
        """Move the artists to one (T, ᾱ_T, reward)."""
        self.settings.set_text(f"T = {answer.T};  ᾱ_T = {answer.level:g};  reward: {answer.reward}")
        before, target, *others = answer.ends
        for line, density in zip(self.starts + self.ends, (*answer.starts, before, *others), strict=True):
            line.set_ydata(density)
        self.target.set_data(self.axis, target, 0)
        for bar, number, share in zip(self.bars, self.numbers, answer.shares, strict=True):
            bar.set_width(100 * share)
            number.set(x=100 * share + 2, text=f"{100 * share:.1f}")


def still(*, T: int = 10, level: float = 0.1, reward: str = FIRST) -> Image:
    """The widget's picture at one of STEPS, of LEVELS and of REWARDS, for a page without a kernel."""
    view = ReachView()
    view.draw(answer(T=T, level=level, reward=reward))
    return view.picture.still()


def play() -> ui.VBox:
    """The widget: T, ᾱ_T and the reward."""
    view, text = ReachView(), words()
    image = moving_image(view.picture.figure, "reach")

    def respond(T: int, level: float, reward: str) -> None:
        found = answer(T=T, level=level, reward=reward)
        view.draw(found)
        image.value, text.value = view.picture.frame(), in_words(found)

    controls = [
        notches("steps T", STEPS, 10),
        notches("signal left ᾱ_T", LEVELS, 0.1),
        choice("reward", tuple(REWARDS)),
    ]
    return together(controls, respond, image, text)
