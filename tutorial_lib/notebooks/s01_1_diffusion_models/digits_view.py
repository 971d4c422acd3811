"""Digits from noise (§1.1): a wall of what the model sees at a time t, and a wall of what it expects."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
from IPython.display import Image

from ... import plots
from ...widgets import Picture, slider, together
from .digits_study import Answer, Images, answer, images

FIRST: dict[str, Any] = dict(t=25)
COLUMNS = 8


class DigitsView:
    """Two walls: the states x_t, and the guesses E[x_0 | x_t]."""

    def __init__(self, of: Images):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.2), layout="none")
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.9, wspace=0.04)
        self.state = plots.show_wall(left, of.x[0], columns=COLUMNS)
        self.guess = plots.show_wall(right, of.guess[0], columns=COLUMNS, title="What it expects: $E[x_0\\,|\\,x_t]$")
        self.title = left.set_title("")
        self.picture = Picture(figure, [self.state, self.guess, self.title])

    def draw(self, found: Answer) -> None:
        """Move the artists to one time."""
        self.state.set_data(plots.wall(found.x, columns=COLUMNS))
        self.guess.set_data(plots.wall(found.guess, columns=COLUMNS))
        self.title.set_text(f"What the model sees at t = {found.t}")


def still(of: Images | None = None, **settings: Any) -> Image:
    """The widget's picture at a t, for a page without a kernel; FIRST if none is given. `of`: a chain of images, the
    notebook's if none."""
    of = of or images()
    view = DigitsView(of)
    view.draw(answer(of, **(FIRST | settings)))
    return view.picture.still()


def play(of: Images | None = None) -> ui.VBox:
    """The widget: t. `of`: a chain of images, the notebook's if none."""
    of = of or images()
    view = DigitsView(of)

    def respond(t: int) -> None:
        view.draw(answer(of, t=t))
        view.picture.refresh()

    time = slider("time t of the digits", FIRST["t"], 0, len(of.x) - 1, 1)
    return together([time], respond, view.picture.widget)
