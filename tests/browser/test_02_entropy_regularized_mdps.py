"""The walk along the cliff as a reader meets it: run it, drag α and slip, and look at what changes."""

import pytest

NOTEBOOK = "02_entropy_regularized_mdps.ipynb"


@pytest.mark.parametrize("label", ["α", "slip"])
def test_a_slider_changes_the_walk_at_once(page, label):
    before = page.image_hash("walk")
    page.slider(label)
    page.press("ArrowRight")
    page.new_image_hash(before, "walk")
    page.press("ArrowLeft")
    page.press("Home")
    page.assert_quick(label, "ArrowRight", n=8)
    assert page.errors() == []


def test_a_question_explains_the_answer_that_was_picked_and_no_other(page):
    quiz = page.page.locator(".tutorial-quiz").first
    why = page.page.get_by_text("The weights favour walks whose slips went well")
    quiz.get_by_text("The soft optimal policy, once α is small").click()
    quiz.get_by_text("Not quite.").wait_for(timeout=5000)
    assert not why.first.is_visible(), "the code of a question gives its answer away"
    quiz.get_by_text("None: it also has luckier slips").click()
    quiz.get_by_text("Right.").wait_for(timeout=5000)
    assert why.first.is_visible()
    assert page.errors() == []
