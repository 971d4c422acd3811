"""The trained policies as a reader meets them: run the notebook, move α and K."""

import pytest

NOTEBOOK = "05_2_reward_backpropagation.ipynb"


@pytest.mark.parametrize(("label", "key"), [("α", "ArrowRight"), ("K", "ArrowLeft")])
def test_a_slider_changes_the_policy(page, label, key):
    before = page.image_hash("tuned")
    page.slider(label)
    page.press(key)
    page.new_image_hash(before, "tuned")
    assert page.errors() == []


def test_truncation_shows_the_bill_that_is_not_seen(page):
    page.slider("K")
    page.press("Home")
    page.page.get_by_text("no gradient reached").wait_for(timeout=5000)
    assert page.errors() == []
