"""What an artist shows, as arrays: for tests that compare a picture with an answer."""

from typing import Any

import numpy as np


def points(line: Any) -> np.ndarray:
    """A line's or a scatter's points: [n, 2]."""
    return np.asarray(line.get_offsets() if hasattr(line, "get_offsets") else line.get_xydata(), dtype=float)


def pixels(image: Any) -> np.ndarray:
    """An image's numbers, first row first: [rows, columns]."""
    return np.asarray(image.get_array(), dtype=float)


def errorbars(container: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """(the points [n, 2], the length of each of their bars along x and y [n, 2], for each way that they have bars)."""
    lengths = [np.ptp(np.array(lines.get_segments()), axis=1) for lines in container.lines[2]]
    return points(container.lines[0]), lengths


def words(texts: Any) -> list[str]:
    """What texts or tick labels say, in order."""
    return [text.get_text() for text in texts]


def title(ax: Any) -> str:
    """A panel's title, wherever the style puts it."""
    return "".join(ax.get_title(loc=place) for place in ("left", "center", "right"))
