"""The episode as a reader meets it: run it, step through it, turn α, follow another particle."""

import pytest

NOTEBOOK = "03_denoising_as_an_mdp.ipynb"


@pytest.mark.parametrize("label", ["step", "α", "particle"])
def test_a_slider_changes_the_episode_at_once(page, label):
    before = page.image_hash("episode")
    page.slider(label)
    page.press("ArrowRight")
    page.new_image_hash(before, "episode")
    page.press("Home")
    page.assert_quick(label, "ArrowRight", n=6)
    assert page.errors() == []


def test_the_last_step_brings_the_reward(page):
    page.slider("step")
    page.press("Home")
    page.page.get_by_text("no reward yet").wait_for(timeout=5000)
    page.press("End")
    page.page.get_by_text("no reward yet").wait_for(state="hidden", timeout=5000)
    assert page.errors() == []
