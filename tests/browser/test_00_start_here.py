"""The first notebook as a reader meets it: run it, drag α and γ, choose a method, and look at what changes."""

import pytest

NOTEBOOK = "00_start_here.ipynb"

SLIDERS = [("α", "plane"), ("guidance strength γ", "plane"), ("α on digits", "digits")]


@pytest.mark.parametrize("label, picture", SLIDERS)
def test_a_slider_changes_its_picture_at_once(page, label, picture):
    before = page.image_hash(picture)
    page.slider(label)
    page.press("ArrowRight")
    page.new_image_hash(before, picture)
    page.assert_quick(label, "ArrowLeft", n=15)
    assert page.errors() == []


@pytest.mark.parametrize(
    ("label", "option"),
    [("method", "value-weighted, Tweedie's v"), ("method", "soft PPO, trained"), ("reward", "disc"), ("world", "grid")],
)
def test_a_menu_changes_the_plane(page, label, option):
    before = page.image_hash("plane")
    page.select(label, option)
    page.new_image_hash(before, "plane")
    assert page.errors() == []


def test_a_trained_policy_follows_alpha_at_once(page):
    before = page.image_hash("plane")
    page.select("world", "ring")  # where trained policies are shipped; the test before this one left it
    before = page.new_image_hash(before, "plane")
    page.select("method", "path consistency, trained")
    page.new_image_hash(before, "plane")
    page.assert_quick("α", "ArrowRight", n=15)
    assert page.errors() == []


def test_a_reward_changes_the_digits(page):
    before = page.image_hash("digits")
    page.select("reward of the digits", "symmetry")
    page.new_image_hash(before, "digits")
    assert page.errors() == []
