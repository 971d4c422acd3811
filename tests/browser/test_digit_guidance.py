"""Guidance strength on digits in the browser: both sliders move both walls, at once."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from .conftest import VIEWPORT
from .driver import Notebook
from .test_harness import KERNEL

SOURCE = "from tutorial_lib.views import digit_guidance\n\ndigit_guidance.explore()"


@pytest.fixture(scope="module")
def page(browser, lab):
    notebook = new_notebook(cells=[new_code_cell(SOURCE)], metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, lab.root / "guidance.ipynb")
    context = browser.new_context(viewport=VIEWPORT)
    opened = Notebook(context.new_page(), lab, "guidance.ipynb")
    opened.run_all()
    yield opened
    context.close()


@pytest.mark.parametrize("label", ["guidance strength γ", "class y"])
def test_a_slider_changes_the_walls(page, label):
    before = page.image_hash("guidance")
    key = "ArrowRight" if "γ" in label else "ArrowLeft"  # where γ = 0 every class looks alike, and 9 is the last
    print(f"\n{label}: {page.latency(label, key, n=4):.0f} ms median from key press to new picture")
    assert page.image_hash("guidance") != before
    assert page.errors() == []
