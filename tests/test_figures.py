"""The README's pictures: as committed, and as `figures/make.py` draws them again. And those that notebooks store."""

import io
import itertools
import pickle
import runpy
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib.colors import to_rgb

from tutorial_lib import plots, worlds
from tutorial_lib.exact.chain import law_of_x_0
from tutorial_lib.grids import Grid

FIGURES = Path(__file__).parents[1] / "figures"
FILES = {"hero": "hero.png", "tilt": "tilt.webp"}
MAKE = SimpleNamespace(**runpy.run_path(str(FIGURES / "make.py")))
STALE = 60  # of 255, in the mean over 5 × 5 pixels: compression stays below 25, a curve or a word that moves passes 100


pytestmark = pytest.mark.usefixtures("house_style")


def frames(path: Path) -> list[np.ndarray]:
    with PIL.Image.open(path) as image:
        found = []
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            found.append(np.asarray(image.convert("RGB")).astype(int))
    return found


def test_every_figure_is_there_and_no_other():
    assert set(MAKE.FIGURES) == set(FILES)
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


def apart(drawn: np.ndarray, committed: np.ndarray) -> float:
    """The largest difference of two pictures, in the mean over 5 × 5 pixels; 255 if their sizes differ."""
    if drawn.shape != committed.shape:
        return 255.0
    away = torch.as_tensor(drawn.astype(float) - committed.astype(float)).permute(2, 0, 1)
    return float(torch.nn.functional.avg_pool2d(away, 5, stride=2).abs().max())


def pixels(figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return np.asarray(PIL.Image.open(file).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def exact():
    """Ring's p_pre and reward on a grid of its own making, and (reward, KL) of p_pre exp(r/α)/Z at any α."""
    ring, grid = worlds.ring(), Grid(5.0, 201)
    p, r = law_of_x_0(ring.pretrained, grid), ring.reward(grid.points).double().reshape(201, 201)

    def at(alpha):
        mass = (p.log() + r / alpha).reshape(-1).softmax(0).reshape(201, 201)
        return mass, float((mass * r).sum()), float(torch.special.xlogy(mass, mass / p.clamp_min(1e-300)).sum())

    return SimpleNamespace(pretrained=p, reward=r, at=at)


@pytest.fixture(scope="module")
def drawn_once():
    with plt.style.context(plots.STYLE):
        return pickle.dumps(MAKE.hero())


@pytest.fixture
def hero(drawn_once):
    """The hero as it is drawn today, to do with as one likes."""
    return pickle.loads(drawn_once)


def test_the_committed_hero_is_what_is_drawn_today(hero):
    (committed,) = frames(FIGURES / "hero.png")
    assert apart(pixels(hero), committed) < STALE


@pytest.mark.parametrize("change", ["curve", "dot", "word", "density", "thread"])
def test_a_stale_hero_is_noticed(hero, change):
    """What the committed picture would have to miss: each is further off than the threshold."""
    *panels, frontier = hero.axes
    if change == "curve":
        frontier.lines[0].set_ydata(np.asarray(frontier.lines[0].get_ydata()) * 1.03)
    elif change == "dot":
        frontier.lines[2].set_xdata([float(np.asarray(frontier.lines[2].get_xdata())[0]) + 0.02])
    elif change == "word":
        panels[2].set_title("α = 3", loc="center")
    elif change == "density":
        image = panels[2].images[0]
        image.set_data(np.asarray(image.get_array()).T)
    else:
        hero.artists[0].set_visible(False)
    assert apart(pixels(hero), frames(FIGURES / "hero.png")[0]) > STALE


def test_the_hero_shows_the_exact_answers(hero, exact):
    *panels, frontier = hero.axes
    assert [panel.get_title() for panel in panels] == ["pretrained", "α = 10", "α = 2", "α = 0.5", "α = 0.05"]
    for panel, alpha in zip(panels, (None, *MAKE.ALPHAS), strict=True):
        mass = exact.pretrained if alpha is None else exact.at(alpha)[0]
        (image,) = panel.images
        shown = np.asarray(image.get_array())
        assert np.abs(shown - mass.numpy().T).max() < 1e-4 * shown.max()
        color = plots.PRETRAINED if alpha is None else plots.TARGET
        assert image.cmap(0.5)[:3] == pytest.approx(to_rgb(color), abs=0.01)
    curve, free, *dots = frontier.lines
    points = np.asarray(curve.get_xydata())
    for kl, reward in points[::20]:
        alpha = by_kl(exact, kl)
        assert reward == pytest.approx(exact.at(alpha)[1], abs=1e-3)
    unchanged = float((exact.pretrained * exact.reward).sum())
    assert np.asarray(free.get_xydata())[0] == pytest.approx([0, unchanged], abs=1e-3)
    assert free.get_color() == plots.PRETRAINED
    for dot, alpha in zip(dots, MAKE.ALPHAS, strict=True):
        _, reward, kl = exact.at(alpha)
        assert np.asarray(dot.get_xydata())[0] == pytest.approx([kl, reward], abs=1e-3)
        assert dot.get_color() == plots.TARGET


def by_kl(exact, kl: float) -> float:
    """The α whose optimum has that KL, by bisection on its logarithm."""
    low, high = -2.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if exact.at(10**middle)[2] > kl else (low, middle)
    return 10**low


SOME = (0, 12, 25, 26, 48, 70)  # frames of the animation: noise, half-way, data; and α at its start, half-way and end


@pytest.fixture(scope="module")
def again():
    """Some frames of the animation, drawn today."""
    with plt.style.context(plots.STYLE):
        states = MAKE.tilt_states()
        return dict(zip(SOME, MAKE.tilt_frames([states[i] for i in SOME]), strict=True))


@pytest.mark.parametrize("i", SOME)
def test_the_committed_animation_is_what_is_drawn_today(again, i):
    """And a frame beside it is noticed as another."""
    committed = frames(FIGURES / "tilt.webp")
    assert apart(again[i], committed[i]) < STALE
    assert apart(again[i], committed[i - 1 if i else 1]) > STALE


def test_the_animation_goes_from_noise_to_data_and_then_down_in_alpha():
    states = MAKE.tilt_states()
    assert len(states) == len(frames(FIGURES / "tilt.webp")) == 71
    assert [t for _, t in states[:26]] == sorted((t for _, t in states[:26]), reverse=True)
    assert (states[0], states[25]) == ((10.0, 50), (10.0, 0)) and all(t == 0 for _, t in states[25:])
    alphas = [alpha for alpha, _ in states[25:]]
    assert alphas == sorted(alphas, reverse=True) and alphas[-1] == pytest.approx(0.05)
    with PIL.Image.open(FIGURES / "tilt.webp") as image:
        shown = []
        for i in range(len(states)):
            image.seek(i)
            image.load()
            shown.append(image.info["duration"])
    assert shown == MAKE.tilt_pauses()


def test_a_small_picture_keeps_the_shades_and_a_rare_colour():
    figure, ax = plt.subplots(figsize=(4, 4))
    side = np.linspace(-1, 1, 400)
    ax.imshow(np.exp(-4 * (side**2 + side[:, None] ** 2)), cmap=plots.shades(plots.TARGET), extent=(-1, 1, -1, 1))
    ax.plot([0.8, 0.9], [-0.8, -0.8], color=plots.ALARM, linewidth=4)
    ax.axis("off")
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=figure.dpi, bbox_inches="tight")
    small = plots.small_png(figure)
    plt.close(figure)
    before, after = (np.asarray(PIL.Image.open(file).convert("RGB")).astype(int) for file in (full, io.BytesIO(small)))
    line = (before == np.round(255 * np.array(to_rgb(plots.ALARM)))).all(2)
    assert line.sum() > 20 and np.abs(after - before)[line].max() <= 8
    assert np.abs(after - before).max() <= 24 and np.abs(after - before).mean() < 1
    assert len(small) < 0.6 * len(full.getvalue())
