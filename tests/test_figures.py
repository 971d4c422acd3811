"""The README's pictures: as committed, and as `figures/make.py` draws them again. And those that notebooks store."""

import io
import itertools
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest

from tutorial_lib import plots

FIGURES = Path(__file__).parents[1] / "figures"
FILES = {"hero": "hero.png", "tilt": "tilt.webp"}
MAKE = runpy.run_path(str(FIGURES / "make.py"))["FIGURES"]


def frames(path: Path) -> list[np.ndarray]:
    with PIL.Image.open(path) as image:
        found = []
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            found.append(np.asarray(image.convert("RGB")).astype(int))
    return found


def test_every_figure_is_there_and_no_other():
    assert set(MAKE) == set(FILES)
    assert {path.name for path in FIGURES.iterdir() if path.is_file()} == {"make.py", *FILES.values()}


@pytest.mark.parametrize("file", FILES.values())
def test_a_figure_is_light_and_not_blank(file):
    assert (FIGURES / file).stat().st_size <= 2e6
    assert frames(FIGURES / file)[0].std() > 10


def test_the_animation_moves_from_frame_to_frame_and_loops():
    shown = frames(FIGURES / "tilt.webp")
    assert len(shown) > 20
    assert all(abs(a - b).max() > 50 for a, b in itertools.pairwise(shown))
    with PIL.Image.open(FIGURES / "tilt.webp") as image:
        assert image.info["loop"] == 0


def test_the_figures_are_drawn_again_byte_for_byte(tmp_path):
    options = {"hero": {}, "tilt": dict(denoising=3, sweep=3)}
    for name, file in FILES.items():
        drawn = []
        for folder in (tmp_path / "first", tmp_path / "second"):
            folder.mkdir(exist_ok=True)
            with plt.style.context(plots.STYLE):
                MAKE[name](folder, **options[name])
            drawn.append((folder / file).read_bytes())
        assert drawn[0] == drawn[1]
    assert len(frames(tmp_path / "first" / "tilt.webp")) == 6


def test_a_small_picture_keeps_the_shades_and_a_rare_colour():
    figure, ax = plt.subplots(figsize=(4, 4))
    side = np.linspace(-1, 1, 400)
    ax.imshow(np.exp(-4 * (side**2 + side[:, None] ** 2)), cmap=plots.shades(plots.TARGET), extent=(-1, 1, -1, 1))
    ax.plot([0.8, 0.9], [-0.8, -0.8], color="#b0413e", linewidth=4)
    ax.axis("off")
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=figure.dpi, bbox_inches="tight")
    small = plots.small_png(figure)
    plt.close(figure)
    before, after = (np.asarray(PIL.Image.open(file).convert("RGB")).astype(int) for file in (full, io.BytesIO(small)))
    line = (before == (0xB0, 0x41, 0x3E)).all(2)
    assert line.sum() > 20 and np.abs(after - before)[line].max() <= 8
    assert np.abs(after - before).max() <= 24 and np.abs(after - before).mean() < 1
    assert len(small) < 0.6 * len(full.getvalue())
