"""The glue between a slider and a picture.

A widget is three things: a function from settings to arrays, a function from arrays to artists, and this glue. The
figure is drawn once; a change redraws only the artists that move and sends the result as one compressed image.
"""

import html
import io
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ui
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import plots


class Picture:
    """A figure as an image widget that redraws only its `moving` artists. Call `refresh` after changing them."""

    def __init__(self, figure: Figure, moving: Sequence[Artist]):
        self.figure, self.moving = figure, list(moving)
        plt.close(figure)  # or the notebook would show it a second time
        self.canvas = FigureCanvasAgg(figure)
        for artist in self.moving:
            artist.set_animated(True)
        self.widget = moving_image(figure)
        self.canvas.draw()  # what does not move
        self._background = self.canvas.copy_from_bbox(self.figure.bbox)

    def refresh(self) -> None:
        self.widget.value = self.frame()

    def frame(self) -> bytes:
        """The picture as it stands, as a JPEG without visible loss: a third of a PNG's time."""
        return self._encoded("jpeg", quality=90, subsampling=0)

    def still(self) -> Image:
        """The picture as it stands, for a page without a kernel."""
        return Image(self._encoded("png"), width=int(self.figure.bbox.width))

    def _encoded(self, kind: str, **options: Any) -> bytes:
        self.canvas.restore_region(self._background)
        for artist in sorted(self.moving, key=lambda artist: artist.get_zorder()):
            self.figure.draw_artist(artist)
        buffer = io.BytesIO()
        pixels = np.asarray(self.canvas.buffer_rgba())[..., :3]
        matplotlib.image.imsave(buffer, pixels, format=kind, origin="upper", pil_kwargs=options)
        return buffer.getvalue()


def moving_image(figure: Figure, name: str = "") -> ui.Image:
    """An image widget for a figure's frames; `name` is a CSS class to find it by.

    Its size is fixed, or the browser would lay out the whole page again at every frame.
    """
    width, height = (f"{pixels:.0f}px" for pixels in figure.bbox.size)
    layout = ui.Layout(width=width, height=height, max_width="100%", object_fit="contain")
    image = ui.Image(format="jpeg", layout=layout)
    if name:
        image.add_class(name)
    return image


def log_slider(label: str, value: float, low: float, high: float, *, per_decade: int = 20) -> ui.FloatLogSlider:
    """A slider over a positive number on a logarithmic scale."""
    return ui.FloatLogSlider(
        value=value,
        min=float(np.log10(low)),
        max=float(np.log10(high)),
        step=1 / per_decade,
        description=label,
        readout_format=".2f",
        **_wide(),
    )


def slider(label: str, value: float, low: float, high: float, step: float) -> ui.FloatSlider | ui.IntSlider:
    """A slider over numbers; whole ones where the step is."""
    kind = ui.IntSlider if isinstance(step, int) else ui.FloatSlider
    return kind(value=value, min=low, max=high, step=step, description=label, **_wide())


def notches(label: str, options: Sequence[float], value: float) -> ui.SelectionSlider:
    """A slider over a few values."""
    return ui.SelectionSlider(options=list(options), value=value, description=label, **_wide())


def choice(label: str, options: Sequence[str], value: str | None = None) -> ui.Dropdown:
    """A menu."""
    return ui.Dropdown(options=list(options), value=value or options[0], description=label, **_wide())


def _wide() -> dict[str, Any]:
    return dict(style={"description_width": "11em"}, layout=ui.Layout(width="31em"))


def words(text: str = "") -> ui.HTML:
    """A line or two of text beneath a picture."""
    return ui.HTML(text, layout=ui.Layout(min_height="4.5em"))


def together(controls: Sequence[Any], respond: Callable[..., None], *shown: Any) -> ui.VBox:
    """Controls above what they change: `respond` is called with their values, now and at every change.

    Where a change makes it raise, the error stands in red beneath the rest until the next answer, and is raised on.
    """
    half = -(-len(controls) // 2)
    usual = (ui.HBox([ui.VBox(list(controls[:half])), ui.VBox(list(controls[half:]))]), *shown)
    box, alarm = ui.VBox(usual), ui.HTML().add_class("alarm")

    def changed(_: object = None) -> None:
        try:
            respond(*(control.value for control in controls))
        except Exception as problem:
            alarm.value = in_red(problem)
            box.children = (*usual, alarm)
            raise
        box.children = usual

    for control in controls:
        control.observe(changed, names="value")
    changed()
    box.add_class("tutorial-widget")
    return box


def in_red(problem: Exception) -> str:
    """One line of HTML: what went wrong, and which setting the picture shows."""
    told = html.escape(f"{type(problem).__name__}: {problem}".removesuffix(": "))
    return f'<span style="color: {plots.ALARM}"><b>{told}</b>. The picture shows the last setting that worked.</span>'
