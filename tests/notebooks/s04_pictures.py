"""What the tests of §3's and §4's pictures share: widgets by kind, sentences with numbers, panels, ink on paper."""

import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb


def every(box, kind):
    """All widgets of one kind inside a box."""
    found = [box] if isinstance(box, kind) else []
    return found + [w for child in getattr(box, "children", ()) for w in every(child, kind)]


def numbers(sentence, text):
    """The numbers that stand in a text at each # of a sentence, which it must say otherwise word by word."""
    found = re.fullmatch(re.escape(sentence).replace(r"\#", r"(\S+?)"), text)
    assert found, text
    return [float(group.replace("−", "-")) for group in found.groups()]


def printed(density, color, strength=1.0):
    """The colour of paper under that much ink: pixel [j, i] shows the cell (axis[i], axis[j])."""
    dark = strength * (density / density.max()).numpy().T[..., None]
    return 255 * (1 - dark + dark * np.array(to_rgb(color)))


def panel() -> Any:
    return plt.figure().subplots()


def rgb(color):
    """A colour to compare with, as red, green and blue."""
    return pytest.approx(to_rgb(color), abs=0.01)
