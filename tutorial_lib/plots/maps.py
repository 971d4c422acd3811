"""Pictures from arrays: one colour a role, equal aspect, no axes on density maps.

Grids are [n, n] with values[i, j] at (axis[i], axis[j]); points are [B, 2].
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.quiver import Quiver
from matplotlib.ticker import LogLocator, NullFormatter
from scipy.spatial import KDTree
from torch import Tensor

PRETRAINED, TARGET, TUNED, REWARD, ALARM = "#6b7280", "#e07b00", "#1f6fd6", "#2e8b57", "#b0413e"
OTHERS = ("#7a4fa3", "#1aa3a3", "#8a6d00", "#d36fa5")  # for series that have none of these roles
STYLE = Path(__file__).parents[1] / "style.mplstyle"


def use_style() -> None:
    """The house style, for every figure that follows."""
    plt.style.use(STYLE)


def small_pictures() -> None:
    """In a notebook: store figures as PNG in 256 colours, a third of the size, with no difference to the eye."""
    from IPython.core.getipython import get_ipython  # where there is no notebook there is no need for it

    plt.switch_backend(plt.get_backend())  # the notebook's backend sets its own format when it loads: let it go first
    if (shell := get_ipython()) is not None and shell.display_formatter is not None:
        shell.display_formatter.formatters["image/png"].for_type(Figure, small_png)


def small_png(figure: Figure) -> bytes:
    """Most of the 256 colours go to the common shades (median cut), the others to rare colours, such as a line's."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=figure.dpi, bbox_inches="tight")
    picture, methods = PIL.Image.open(full).convert("RGB"), PIL.Image.Quantize
    cuts = [picture.quantize(n, method) for n, method in ((192, methods.MEDIANCUT), (64, methods.MAXCOVERAGE))]
    palette = np.concatenate([np.array(cut.getpalette()) for cut in cuts]).astype(np.uint8)
    codes, index = np.unique(np.asarray(picture) @ np.array([1 << 16, 1 << 8, 1]), return_inverse=True)
    _, nearest = KDTree(palette.reshape(-1, 3)).query(codes[:, None] >> np.array([16, 8, 0]) & 255)
    quantized = PIL.Image.fromarray(nearest[index].reshape(picture.size[::-1]).astype(np.uint8))
    quantized.putpalette(palette.tobytes())
    quantized.save(small, format="png", optimize=True)
    return small.getvalue()


def shades(color: str) -> LinearSegmentedColormap:
    """White to `color`: the colour map of a density in that role."""
    return LinearSegmentedColormap.from_list(color, ["white", color, "black"], N=256).resampled(256)


def bare(ax: Axes, extent: float, title: str = "") -> Axes:
    """A square map of [−extent, extent]² without ticks."""
    ax.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal", xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    return ax


def density(ax: Axes, values: Tensor, *, extent: float, color: str = PRETRAINED, title: str = "") -> AxesImage:
    """A density [n, n] as shades of its role's colour. The darkest shade is kept for twice the peak."""
    square = (-extent, extent, -extent, extent)
    image = ax.imshow(_picture(values), origin="lower", cmap=shades(color), extent=square, zorder=0)
    scale_to(image, values)
    bare(ax, extent, title)
    return image


def scale_to(image: AxesImage, values: Tensor) -> None:
    """Show other values in an image that `density` made, in shades relative to their peak."""
    image.set_data(_picture(values))
    image.set_clim(0, 2 * float(values.max()))


def _picture(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().T


def samples(ax: Axes, x: Tensor, *, color: str = TUNED, size: float = 3, label: str = "") -> PathCollection:
    """Points [B, 2]."""
    x = x.detach().cpu()
    return ax.scatter(x[:, 0], x[:, 1], s=size, color=color, alpha=0.45, linewidths=0, zorder=3, label=label)


def arrows(
    ax: Axes, x: Tensor, vectors: Tensor, *, unit: float, color: str, width: float = 0.006, head: bool = True
) -> Quiver:
    """Vectors [B, 2] at points [B, 2]; one of length `unit` is drawn as long as 1 on the axes. Without heads: bars."""
    at, along = x.detach().cpu().numpy(), vectors.detach().cpu().numpy()
    shape = dict(headwidth=4, headlength=4, headaxislength=4) if head else dict(headlength=0, headaxislength=0)
    look: dict[str, Any] = dict(angles="xy", scale_units="xy", scale=unit, color=color, width=width, zorder=4, **shape)
    return ax.quiver(*at.T, *along.T, **look)


def reward_contours(ax: Axes, axis: Tensor, reward: Tensor, *, levels: int = 7) -> None:
    """Contours of a reward [n, n], green, thicker where it is higher; a step has one contour."""
    if len(reward.unique()) <= 3:
        heights, widths = np.array([float(reward.min() + reward.max()) / 2]), np.array([2.0])
    else:  # even in area, so that a long tail does not take all the contours
        heights = np.unique(np.quantile(_picture(reward), np.linspace(0.3, 0.99, levels)))
        widths = np.linspace(0.6, 2.2, len(heights))
    options: dict[str, Any] = dict(levels=heights, colors=REWARD, linewidths=widths, linestyles="solid", alpha=0.8)
    ax.contour(axis.cpu(), axis.cpu(), _picture(reward), **options)


def frontier(ax: Axes, kl: Sequence[float], reward: Sequence[float], *, title: str = "", exact: bool = True) -> None:
    """The best reward for each KL, drawn as the edge of what is possible."""
    ax.plot(kl, reward, color=TARGET, zorder=2, linestyle="-" if exact else "--")
    top = max(reward) + 0.08 * (max(reward) - min(reward))
    ax.fill_between(kl, reward, top, color=TARGET, alpha=0.08, linewidth=0)
    ax.set(xlabel="KL from the pretrained model (nats)", ylabel="expected reward", title=title)
    ax.margins(x=0.02)


def percents(ax: Axes, *steps: float) -> None:
    """Label a logarithmic y axis of shares in percent, at `steps` times each power of ten (1, 2 and 5 if none)."""
    ax.yaxis.set_major_locator(LogLocator(subs=steps or (1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:,.4g} %")
    ax.yaxis.set_minor_formatter(NullFormatter())


def minus(text: str) -> str:
    """A text with its hyphens as minus signs: "-1.2" → "−1.2"."""
    return text.replace("-", "−")
