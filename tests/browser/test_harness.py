"""The harness itself, on a notebook made for it: what a test of a real notebook relies on, and that it can fail."""

import pytest

DRAWING = """
import io
import ipywidgets as widgets
from matplotlib.figure import Figure

figure = Figure(figsize=(2, 2))
(line,) = figure.subplots().plot([0, 1], [0, 1], color="blue")

def png():
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
"""
WIDGET = """
slider = widgets.IntSlider(description="α", min=0, max=40)
colour = widgets.Dropdown(description="colour", options=["blue", "red"])
style = widgets.ToggleButtons(description="style", options=["solid", "dotted"])
picture = widgets.Image(value=png())
picture.add_class("the-line")

def draw(_):
    line.set(ydata=[0, 1 + slider.value], color=colour.value, linestyle=style.value)
    picture.value = png()
    if slider.value == 40:
        raise ValueError("the end of the slider")

for control in (slider, colour, style):
    control.observe(draw, names="value")
box = widgets.VBox([slider, colour, style, picture])
box.add_class("tutorial-widget")
box
"""


@pytest.fixture
def notebook(lab, open_notebook):
    def make(*sources):
        lab.write("made_for_a_test.ipynb", *sources)
        return open_notebook("made_for_a_test.ipynb")

    return make


def test_a_widget_is_run_dragged_and_measured(notebook, tmp_path):
    page = notebook(DRAWING, WIDGET)
    page.run_all()

    start = page.image_hash()
    assert page.image_hash("the-line") == start
    page.slider("α")
    page.press("ArrowRight")
    moved = page.new_image_hash(start)
    page.press("ArrowLeft")
    assert page.new_image_hash(moved) == start, "the same setting must show the same picture"

    page.select("colour", "red")
    red = page.new_image_hash(start)
    page.select("style", "dotted")
    page.new_image_hash(red)

    assert page.latency("α", "ArrowRight", n=10) > 0
    assert page.errors() == []

    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_an_error_in_a_callback_is_seen(notebook):
    page = notebook(DRAWING, WIDGET)
    page.run_all()
    start = page.image_hash()
    page.slider("α")
    page.press("End")
    page.new_image_hash(start)
    page.page.wait_for_function("() => window.seenErrors.length > 0", timeout=10_000)
    assert page.errors() == ["ValueError: the end of the slider"]


def test_a_slider_that_moves_no_picture_is_seen(notebook):
    page = notebook(DRAWING, WIDGET)
    page.run_all()
    with pytest.raises(AssertionError, match="brought no new picture"):
        page.latency("α", "ArrowLeft", n=1, timeout=1)  # it stands at its lower end already
    with pytest.raises(AssertionError, match="no widget-slider with the description 'β'"):
        page.slider("β")


def test_a_slow_picture_is_seen(notebook):
    page = notebook(
        DRAWING + "import time", WIDGET.replace("    picture.value", "    time.sleep(0.6)\n    picture.value")
    )
    page.run_all()
    with pytest.raises(AssertionError, match=r"'α' took \d+ ms, more than 500"):
        page.assert_quick("α", "ArrowRight", n=3)


def test_an_error_in_a_cell_is_seen(notebook):
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        notebook("1 / 0").run_all()


def test_a_dead_kernel_is_seen(notebook):
    with pytest.raises(AssertionError, match=r"did not run: .*never"):
        notebook("import os; os._exit(1)", "never = 1").run_all(timeout=20)
