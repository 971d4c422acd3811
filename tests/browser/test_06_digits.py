"""The images page as a reader meets it: choose a reward, move the guidance strength, and look at what changes."""

import pytest

NOTEBOOK = "06_digits.ipynb"


@pytest.mark.parametrize("reward", ["symmetry", "compressed_size", "log_probability", "few_labels"])
def test_another_reward_shows_another_policy(page, reward):
    before = page.image_hash("tastes")
    page.select("reward", reward)
    page.new_image_hash(before, "tastes")
    assert page.errors() == []


def test_the_guidance_strength_moves_the_walls(page):
    before = page.image_hash("guidance")
    page.slider("guidance strength γ")
    page.press("ArrowRight")
    page.new_image_hash(before, "guidance")
    print(f"\nγ: {page.latency('guidance strength γ', 'ArrowLeft', n=4):.0f} ms median from key press to new picture")
    assert page.errors() == []
