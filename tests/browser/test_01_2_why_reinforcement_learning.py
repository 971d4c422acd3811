"""Beyond the data as a reader meets it: run it, drag the cut, γ and α, change the reward model."""

import pytest

NOTEBOOK = "01_2_why_reinforcement_learning.ipynb"


@pytest.mark.parametrize("label", ["reward cut", "guidance strength γ", "α"])
def test_a_slider_changes_the_maps_at_once(page, label):
    before = page.image_hash("beyond")
    page.slider(label)
    page.press("ArrowRight")
    page.new_image_hash(before, "beyond")
    page.assert_quick(label, "ArrowLeft", n=8)
    assert page.errors() == []


def test_the_other_reward_model_changes_where_rl_goes(page):
    before = page.image_hash("beyond")
    page.select("reward model", "linear")
    page.new_image_hash(before, "beyond")
    page.slider("α")
    page.press("Home")
    page.page.get_by_text("Truly worse than the data.").first.wait_for(timeout=5000)
    assert page.errors() == []
