"""Soft PPO's training as a reader meets it: run it, drag the iteration, choose another clip."""

import pytest

NOTEBOOK = "05_1_soft_ppo.ipynb"


@pytest.mark.parametrize("label", ["iteration", "α", "clip ε", "batch (paths)"])
def test_a_slider_changes_the_training_at_once(page, label):
    page.slider(label)
    page.press("Home")
    page.page.wait_for_timeout(500)
    before = page.image_hash("training")
    page.press("ArrowRight")
    page.new_image_hash(before, "training")
    assert page.errors() == []


def test_the_particles_follow_the_iteration_without_delay(page):
    page.slider("iteration")
    page.press("Home")
    page.assert_quick("iteration", "ArrowRight", n=5)
    assert page.errors() == []


def test_a_question_explains_the_answer_that_was_picked(page):
    quiz = page.page.locator(".tutorial-quiz").first
    quiz.get_by_text("Make the clip larger").click()
    quiz.get_by_text("Not quite.").wait_for(timeout=5000)
    quiz.get_by_text("Look at where log p_old comes from").click()
    quiz.get_by_text("Right.").wait_for(timeout=5000)
    assert page.errors() == []
