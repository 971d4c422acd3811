"""The still pictures of what steps can reach: every artist against its data."""

import numpy as np
import pytest
import torch

from tutorial_lib import plots
from tutorial_lib.notebooks.s04_2_what_steps_can_reach import figures

from ..plots.artists import points, title
from .s04_pictures import panel, rgb

pytestmark = pytest.mark.usefixtures("house_style")


def pairs(x, y):
    return np.stack([np.asarray(x), np.asarray(y)], 1)


def test_a_split_regret_is_two_bars_end_to_end():
    ax = panel()
    figures.show_split(ax, {"best": (0.1, -0.001, 0.002), "guided": (0.1, 0.03, 0.004)}, title="split")
    drawn = [(bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in ax.patches]
    expected = [(0, 10, 0), (10, -0.1, 0), (0, 10, 1), (10, 3, 1)]
    assert [number for bar in drawn for number in bar] == pytest.approx([number for bar in expected for number in bar])
    for i, bar in enumerate(ax.patches):
        assert bar.get_facecolor()[:3] == rgb(plots.TUNED if i % 2 else plots.TARGET)
    assert [text.get_text() for text in ax.texts] == ["10.0 + −0.10 ± 0.20", "10.0 + 3.00 ± 0.40"]
    assert np.allclose([text.xy for text in ax.texts], [(10, 0), (13, 1)])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["best", "guided"] and ax.yaxis_inverted()
    assert (title(ax), ax.get_xlabel()) == ("split", "regret, %")


@pytest.mark.parametrize(
    ("names", "shades"),
    [
        ("a", figures.SHADES[2:]),
        ("ab", (plots.TARGET, figures.SHADES[2])),
        ("abc", (figures.SHADES[0], plots.TARGET, figures.SHADES[2])),
    ],
)
def test_lines_stand_on_logarithmic_axes(names, shades):
    ax, x = panel(), (5, 10, 40)
    lines = {name: [0.1 + i, 0.2 + i, 0.7 + i] for i, name in enumerate(names)}
    figures.show_lines(ax, x, lines, title="lines", xlabel="T", ylabel="gap")
    for line, (name, values), shade in zip(ax.lines, lines.items(), shades, strict=True):
        assert np.allclose(points(line), pairs(x, values)) and (line.get_label(), line.get_color()) == (name, shade)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [(tick, label.get_text()) for tick, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)] == [
        (5, "5"),
        (10, "10"),
        (40, "40"),
    ]
    assert (title(ax), ax.get_xlabel(), ax.get_ylabel()) == ("lines", "T", "gap")
    legend = ax.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == list(names)


def test_losses_are_percents_of_their_own_step():
    ax, losses = (
        panel(),
        {"near": torch.tensor([0.01, 0.02, 0.04]), "far": torch.tensor([0.3, 0.2, 0.1])},
    )
    figures.show_losses(ax, losses, title="lost")
    for line, (name, lost), shade in zip(ax.lines, losses.items(), figures.SHADES[1:], strict=True):
        assert np.allclose(points(line), pairs((1, 2, 3), 100 * lost))
        assert (line.get_label(), line.get_color()) == (name, shade)
    assert (title(ax), ax.get_ylabel()) == ("lost", "lost at t, % of the gain")
