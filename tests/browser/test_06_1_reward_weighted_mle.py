"""The weights on samples as a reader meets them: run the page, drag α, change n, move the peak."""

NOTEBOOK = "06_1_reward_weighted_mle.ipynb"


def test_alpha_changes_the_weights_at_once(page):
    before = page.image_hash("weights")
    page.slider("α")
    page.press("ArrowRight")
    page.new_image_hash(before, "weights")
    page.assert_quick("α", "ArrowLeft", n=8)
    assert page.errors() == []


def test_the_number_of_samples_and_the_reward_change_them_too(page):
    before = page.image_hash("weights")
    page.slider("samples n")
    page.press("ArrowRight")
    fewer = page.new_image_hash(before, "weights")
    page.select("reward", "a peak on the ring")
    page.new_image_hash(fewer, "weights")
    assert page.errors() == []
