"""What a reader moves in the notebook on diffusion models (§1.1): a chain from noise to data, step by step."""

from typing import Any

import ipywidgets as ui
import matplotlib.pyplot as plt
from IPython.display import Image
from matplotlib.collections import LineCollection

from ... import plots
from ...widgets import Picture, notches, slider, together, words
from .figures import PATHS as COLORS
from .study import ETAS, EXTENT, STEPS, Answer, Chains, answer, chains

FIRST: dict[str, Any] = dict(t=14, T=50, eta=1.0)


class ChainView:
    """Two panels: the cloud x_t on its exact density, and five paths from noise to x_t on that of the data, a colour
    each."""

    def __init__(self, of: Chains):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 4.7), layout="none")
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.92, wspace=0.04)
        self.density = plots.density(left, of.target, extent=EXTENT)
        self.cloud = plots.samples(left, of.x[max(STEPS)][0, 0], size=7)
        plots.density(right, of.target, extent=EXTENT).set_alpha(0.4)
        self.lines = LineCollection([], colors=COLORS, linewidths=1.2, alpha=0.7)
        right.add_collection(self.lines)
        starts = of.paths(T=max(STEPS), eta=1.0)[-1]  # the same at every setting
        self.starts = plots.samples(right, starts, color=plots.PRETRAINED, size=16)
        self.ends = plots.samples(right, starts, size=34)
        self.ends.set(facecolor=list(COLORS), alpha=1.0)
        self.titles = left.set_title(""), right.set_title("")
        points = [self.cloud, self.lines, self.starts, self.ends]
        self.picture = Picture(figure, [self.density, *points, *self.titles])

    def draw(self, found: Answer) -> None:
        """Move the artists to one setting."""
        plots.scale_to(self.density, found.density)
        self.cloud.set_offsets(found.x.numpy())
        self.lines.set_segments(list(found.paths.movedim(1, 0).numpy()))
        self.ends.set_offsets(found.paths[-1].numpy())
        self.titles[0].set_text(f"Samples and density at t = {found.t} of T = {found.T}")
        self.titles[1].set_text(f"Five paths from noise (grey), η = {found.eta:g}")


def in_words(found: Answer) -> str:
    """Time, signal left, kind of chain, and how far the cloud is from the exact density."""
    kind = {0.0: "the ODE: no noise after x<sub>T</sub>", 1.0: "the SDE: fresh noise at every step"}
    return (
        f"<b>t = {found.t} of T = {found.T}</b>: signal left ᾱ<sub>t</sub> = {found.alpha_bar:.3f}. "
        f"η = {found.eta:g}, {kind.get(found.eta, 'between the ODE and the SDE')}.<br>"
        f"Distance of the cloud from the exact p<sub>t</sub>: <b>{found.distance:.2f}</b>; "
        f"exact samples, as many, are {found.floor:.2f} away."
    )


def still(of: Chains | None = None, **settings: Any) -> Image:
    """The widget's picture at a t, a T and an eta, for a page without a kernel; FIRST where none are given. `of`: the
    chains, Ring's if none."""
    of = of or chains()
    view = ChainView(of)
    view.draw(answer(of, **(FIRST | settings)))
    return view.picture.still()


def play(of: Chains | None = None) -> ui.VBox:
    """The widget: t, T and η. `of`: the chains, Ring's if none."""
    of = of or chains()
    view, text = ChainView(of), words()
    time = slider("time t", FIRST["t"], 0, FIRST["T"], 1)
    steps, noise = notches("steps T", STEPS, FIRST["T"]), notches("noise η", ETAS, FIRST["eta"])

    def keep_share(change: dict) -> None:
        """Another T at the same share of the way."""
        value = round(time.value / change["old"] * change["new"])
        time.max = max(time.max, change["new"])  # never below the value that stands
        time.value, time.max = value, change["new"]

    def respond(t: int, T: int, eta: float) -> None:
        found = answer(of, t=min(t, T), T=T, eta=eta)
        view.draw(found)
        text.value = in_words(found)
        view.picture.refresh()

    steps.observe(keep_share, names="value")
    return together([time, steps, noise], respond, view.picture.widget, text)
