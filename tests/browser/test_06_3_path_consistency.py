"""Whose paths? Drag α and the share of foreign paths, and look at what both methods learned."""

import pytest

NOTEBOOK = "06_3_path_consistency.ipynb"


@pytest.mark.parametrize("label", ["α", "share of p_pre"])
def test_a_slider_changes_what_was_learned_at_once(page, label):
    page.slider(label)
    page.press("Home")
    before = page.image_hash("shares")
    page.press("ArrowRight")
    before = page.new_image_hash(before, "shares")
    page.press("ArrowRight")
    page.new_image_hash(before, "shares")
    page.press("Home")
    page.assert_quick(label, "ArrowRight", n=2)
    assert page.errors() == []


@pytest.mark.parametrize("ppo", ["no clip", "mismatch ignored"])
def test_the_menu_shows_another_ppo(page, ppo):
    before = page.image_hash("shares")
    page.select("PPO", ppo)
    page.new_image_hash(before, "shares")
    assert page.errors() == []
