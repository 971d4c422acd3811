"""What steps can reach as a reader meets it: move T and ᾱ_T, change the reward."""

import pytest

NOTEBOOK = "04_2_what_steps_can_reach.ipynb"


@pytest.mark.parametrize("label", ["steps T", "signal left ᾱ_T"])
def test_a_slider_changes_the_picture_at_once(page, label):
    before = page.image_hash("reach")
    page.slider(label)
    page.press("ArrowLeft")
    page.new_image_hash(before, "reach")
    page.press("Home")
    page.assert_quick(label, "ArrowRight", n=2)
    assert page.errors() == []


def test_another_reward_has_other_gaps(page):
    before = page.image_hash("reach")
    page.select("reward", "step (discontinuous)")
    page.new_image_hash(before, "reach")
    assert page.errors() == []
