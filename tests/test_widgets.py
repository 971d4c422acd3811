"""The glue: pictures that redraw what moves, and controls that answer, or say in red why they cannot."""

import io

import ipywidgets as ui
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tutorial_lib import plots, widgets


def pixels(content, kind):
    """[height, width, 3] of an encoded image, in [0, 1]."""
    image = matplotlib.image.imread(io.BytesIO(content), format=kind).astype(float)[..., :3]
    return image / 255 if image.max() > 1 else image


@pytest.fixture
def square():
    """A red square that moves on a white figure with a blue line that does not, and its picture."""
    figure = plt.figure(figsize=(2, 1), dpi=100, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 2), ylim=(0, 1))
    axes.axis("off")
    axes.plot([0, 2], [0.1, 0.1], color="blue", linewidth=6)
    (moving,) = axes.plot([0.5], [0.6], "s", color="red", markersize=20)
    return moving, widgets.Picture(figure, [moving])


RED, BLUE, WHITE = (1, 0, 0), (0, 0, 1), (1, 1, 1)


def test_a_picture_shows_what_moved_over_what_stands(square):
    moving, picture = square
    for x in (0.5, 1.5, 0.5):
        moving.set_data([x], [0.6])
        picture.refresh()
        shown = pixels(picture.widget.value, "jpeg")
        assert shown.shape == (100, 200, 3)
        np.testing.assert_allclose(shown[40, int(100 * x)], RED, atol=0.03)
        np.testing.assert_allclose(shown[40, int(200 - 100 * x)], WHITE, atol=0.03)
        np.testing.assert_allclose(shown[90, 100], BLUE, atol=0.03)


def test_a_still_is_the_picture_without_loss(square):
    moving, picture = square
    moving.set_data([1.5], [0.6])
    still = picture.still()
    assert still.width == 200
    assert (pixels(still.data, "png")[40, 150] == RED).all() and (pixels(still.data, "png")[40, 50] == WHITE).all()
    assert not plt.fignum_exists(picture.figure.number), "the notebook would show the figure a second time"


def test_an_image_has_the_size_of_its_figure_and_a_name_to_find_it_by():
    image = widgets.moving_image(plt.Figure(figsize=(4, 3), dpi=100), "plane")
    assert (image.layout.width, image.layout.height, image.format) == ("400px", "300px", "jpeg")
    assert image._dom_classes == ("plane",)
    assert widgets.moving_image(plt.Figure())._dom_classes == ()


def test_controls_have_the_range_that_they_were_asked_for():
    alpha = widgets.log_slider("α", 0.5, 0.05, 10)
    assert (alpha.description, alpha.value) == ("α", 0.5)
    assert 10**alpha.min == pytest.approx(0.05) and 10**alpha.max == pytest.approx(10)
    assert alpha.step == pytest.approx(1 / 20)
    whole, real = widgets.slider("t", 3, 0, 50, 1), widgets.slider("γ", 1.0, 0.0, 3.0, 0.05)
    assert isinstance(whole, ui.IntSlider) and (whole.value, whole.min, whole.max, whole.step) == (3, 0, 50, 1)
    assert isinstance(real, ui.FloatSlider) and (real.value, real.min, real.max, real.step) == (1.0, 0.0, 3.0, 0.05)
    few = widgets.notches("T", (5, 10, 50), 10)
    assert (few.options, few.value) == ((5, 10, 50), 10)
    assert widgets.choice("world", ("ring", "grid")).value == "ring"
    assert widgets.choice("world", ("ring", "grid"), "grid").value == "grid"


def test_controls_stand_in_two_columns_above_what_they_change():
    controls = [widgets.slider(name, 0, 0, 9, 1) for name in "abc"]
    image, text = ui.Image(), widgets.words()
    box = widgets.together(controls, lambda *values: None, image, text)
    columns, *shown = box.children
    assert [list(column.children) for column in columns.children] == [controls[:2], controls[2:]]
    assert shown == [image, text]
    assert "tutorial-widget" in box._dom_classes


def test_it_answers_at_once_and_at_every_change_with_the_controls_in_their_order():
    first, second, seen = widgets.slider("a", 1, 0, 9, 1), widgets.choice("b", ("x", "y")), []
    widgets.together([first, second], lambda *values: seen.append(values))
    first.value, second.value = 5, "y"
    assert seen == [(1, "x"), (5, "x"), (5, "y")]


@pytest.fixture
def fragile():
    """A widget that divides by its slider, and its slider."""
    control, text = widgets.slider("a", 1, -9, 9, 1), widgets.words()

    def respond(value):
        if value < 0:
            raise ValueError(f"expected a <b>number</b> ≥ 0 & whole, got {value}")
        text.value = str(1 // value)

    return widgets.together([control], respond, text), control


def test_an_error_stands_in_red_beneath_the_rest_and_is_raised_on(fragile):
    box, control = fragile
    usual = box.children
    with pytest.raises(ZeroDivisionError):
        control.value = 0
    *rest, alarm = box.children
    assert tuple(rest) == usual and isinstance(alarm, ui.HTML)
    assert f"color: {plots.ALARM}" in alarm.value
    assert "<b>ZeroDivisionError: integer division or modulo by zero</b>" in alarm.value
    assert "The picture shows the last setting that worked." in alarm.value
    assert usual[1].value == "1"


def test_an_error_shows_its_own_words_escaped_and_the_newest_only(fragile):
    box, control = fragile
    for value, told in ((0, "ZeroDivisionError"), (-3, "≥ 0 &amp; whole, got -3"), (-4, "got -4")):
        with pytest.raises((ZeroDivisionError, ValueError)):
            control.value = value
        assert len(box.children) == 3
        assert told in box.children[-1].value
    assert "&lt;b&gt;number&lt;/b&gt;" in box.children[-1].value
    assert "got -3" not in box.children[-1].value


def test_the_next_answer_takes_the_error_away(fragile):
    box, control = fragile
    usual = box.children
    with pytest.raises(ZeroDivisionError):
        control.value = 0
    control.value = 2
    assert box.children == usual and usual[1].value == "0"


def test_an_error_without_words_is_told_by_its_type():
    assert "<b>KeyError</b>." in widgets.in_red(KeyError())


def test_an_error_at_the_first_answer_is_the_cells():
    with pytest.raises(ZeroDivisionError):
        widgets.together([widgets.slider("a", 0, 0, 9, 1)], lambda value: 1 // value)
