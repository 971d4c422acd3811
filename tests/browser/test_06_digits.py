"""The images page as a reader meets it: choose a reward, move γ and the class, and look at what changes."""

import pytest

NOTEBOOK = "06_digits.ipynb"


@pytest.mark.parametrize("reward", ["symmetry", "compressed_size", "log_probability", "few_labels"])
def test_another_reward_shows_another_policy(page, reward):
    before = page.image_hash("tastes")
    page.select("reward", reward)
    page.new_image_hash(before, "tastes")
    assert page.errors() == []


# Where γ = 0 every class looks alike, and 9 is the last class.
@pytest.mark.parametrize(("label", "key"), [("guidance strength γ", "ArrowRight"), ("class y", "ArrowLeft")])
def test_a_slider_changes_the_walls_at_once(page, label, key):
    before = page.image_hash("guidance")
    page.slider(label)
    page.press(key)
    page.new_image_hash(before, "guidance")
    page.assert_quick(label, key, n=4, most=2500)  # 50 digits are sampled anew: 0.7 s on an idle machine
    assert page.errors() == []
