"""The tilt as a reader meets it: drag α and t over the marginals, play the particles."""

import pytest

NOTEBOOK = "04_1_theory.ipynb"


@pytest.mark.parametrize("label", ["α", "time t"])
def test_a_slider_changes_the_marginals_at_once(page, label):
    before = page.image_hash("marginals")
    page.slider(label)
    page.press("ArrowRight")
    page.new_image_hash(before, "marginals")
    page.press("Home")
    page.assert_quick(label, "ArrowRight", n=8)
    assert page.errors() == []


def test_another_reward_has_other_marginals(page):
    before = page.image_hash("marginals")
    page.select("reward", "disc (discontinuous)")
    page.new_image_hash(before, "marginals")
    assert page.errors() == []


def test_the_particles_move_when_played(page):
    before = page.image_hash("particles")
    page.page.locator(
        ".tutorial-widget .jupyter-widget-play button, .tutorial-widget .widget-play button"
    ).first.click()
    page.new_image_hash(before, "particles")
    assert page.errors() == []
