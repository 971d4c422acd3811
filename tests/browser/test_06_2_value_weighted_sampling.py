"""The samplers as a reader meets them: run the page, move γ, α and the particles, choose another sampler."""

import pytest

NOTEBOOK = "06_2_value_weighted_sampling.ipynb"


def test_the_strength_moves_the_samples_at_once(page):
    before = page.image_hash("samplers")
    page.slider("guidance strength γ")
    page.press("ArrowLeft")
    page.new_image_hash(before, "samplers")
    page.assert_quick("guidance strength γ", "ArrowLeft", n=8)
    assert page.errors() == []


@pytest.mark.parametrize("sampler", ["sequential Monte Carlo", "SVDD"])
def test_another_sampler_answers_to_its_particles(page, sampler):
    before = page.image_hash("samplers")
    page.select("sampler", sampler)
    chosen = page.new_image_hash(before, "samplers")
    page.slider("particles")
    page.press("ArrowLeft")
    page.new_image_hash(chosen, "samplers")
    assert page.errors() == []


def test_the_estimator_and_alpha_change_the_picture(page):
    before = page.image_hash("samplers")
    page.select("estimator of v", "soft Q")
    other = page.new_image_hash(before, "samplers")
    page.slider("α")
    page.press("ArrowRight")
    page.new_image_hash(other, "samplers")
    assert page.errors() == []
