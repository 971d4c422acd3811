"""The menu over the rewards of the digits: walls before and after from the same noise, and a point at the frontier."""

import functools
import io
from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
from IPython.display import Image
from matplotlib.figure import Figure

from ... import plots
from ...widgets import choice, moving_image, together, words
from .study import REWARDS, SIDE, Result, result, table

FIRST: dict[str, Any] = dict(reward=REWARDS[0])


def show(here: Result) -> Figure:
    """Pairs before and after from the same noise, sorted by the reward before, and the point against the frontier."""
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.9), width_ratios=[1, 1, 1.15], layout="constrained")
    walls = here.walls
    plots.show_wall(axes[0], walls.before, columns=SIDE, title="pretrained")
    plots.show_wall(axes[1], walls.after, columns=SIDE, title="tuned, from the same noise")
    points = {"pretrained": here.before, "tuned": here.after}
    rise, error = here.rise
    title = f"{here.name.replace('_', ' ')}: up by {rise:.2f} ± {error:.2f} std"
    plots.show_standings(axes[2], here.frontier, points, alpha=here.world.alpha, title=title)
    return figure


@functools.cache
def frame(reward: str) -> bytes:
    """The picture of one reward, as a JPEG."""
    figure, buffer = show(result(reward)), io.BytesIO()
    figure.savefig(buffer, format="jpeg", pil_kwargs=dict(quality=90, subsampling=0))
    plt.close(figure)
    return buffer.getvalue()


def still(**settings: Any) -> Image:
    """The picture of one reward, for a page without a kernel; FIRST's where none is given."""

    def at(*, reward: str) -> bytes:
        return frame(reward)

    return Image(at(**(FIRST | settings)), width=1150)


def play() -> ui.VBox:
    """A menu over the rewards: walls, point, and the numbers of variety."""
    figure = show(result(FIRST["reward"]))
    plt.close(figure)
    image, text = moving_image(figure, "tastes"), words()

    def respond(reward: str) -> None:
        image.value, text.value = frame(reward), f"<pre>{table(result(reward))}</pre>"

    return together([choice("reward", REWARDS, FIRST["reward"])], respond, image, text)
