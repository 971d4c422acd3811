"""The notebook on diffusion models in a real browser: it runs, its sliders move its pictures, and quickly enough."""

SHOWN = dict(points=0, digits=1)  # the places of the pictures on the page


def test_it_runs_and_its_sliders_move_the_pictures(open_notebook, tmp_path):
    page = open_notebook("01_1_diffusion_models.ipynb")
    page.run_all(timeout=240)

    points = page.image_hash(SHOWN["points"])
    for slider, key in (
        ("time t", "ArrowLeft"),
        ("steps T", "ArrowRight"),
        ("noise η", "ArrowLeft"),
        ("time t", "Home"),
    ):
        page.slider(slider)
        page.press(key)
        points = page.new_image_hash(points, SHOWN["points"])

    digits = page.image_hash(SHOWN["digits"])
    for key in ("ArrowLeft", "Home", "End"):
        page.slider("time t of the digits")
        page.press(key)
        digits = page.new_image_hash(digits, SHOWN["digits"])

    for slider, key in (("time t", "ArrowRight"), ("time t of the digits", "ArrowLeft")):
        page.assert_quick(slider, key)
    assert page.errors() == []
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000
