"""Fixtures: `lab`, a JupyterLab on the notebooks' widgets, and `open_notebook(name)`, one of them in Chromium.

nbval runs every cell of every notebook elsewhere; here a notebook is its widgets and the cells that they stand on. One
notebook runs whole, as a reader runs it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from tests.notebooks.cells import NOTEBOOKS, beneath, is_widget

from .driver import CHROMIUM_FLAGS, Lab, Notebook, find_chromium, running_lab

VIEWPORT: ViewportSize = {"width": 1500, "height": 1000}
WHOLE = "00_start_here.ipynb"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        missing = "no Chromium found (looked for chromium, chromium-browser, google-chrome)"
        pytest.fail(missing) if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("notebooks")
    for file in NOTEBOOKS:
        notebook = nbformat.read(file, as_version=4)
        if file.name != WHOLE:
            notebook.cells = beneath(notebook, is_widget)
        nbformat.write(notebook, root / file.name)
    with running_lab(root, tmp_path_factory.mktemp("lab")) as running:
        yield running


@contextmanager
def opening(browser: Browser, lab: Lab) -> Iterator[Callable[[str], Notebook]]:
    """A function that opens a notebook by its name; at the end pages and kernels are gone."""
    with browser.new_context(viewport=VIEWPORT) as context:
        try:
            yield lambda name: Notebook(context.new_page(), lab, name)
        finally:
            lab.end_kernels()


@pytest.fixture
def open_notebook(browser: Browser, lab: Lab) -> Iterator[Callable[[str], Notebook]]:
    with opening(browser, lab) as open_one:
        yield open_one


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest, browser: Browser, lab: Lab) -> Iterator[Notebook]:
    """The notebook that a test module names in NOTEBOOK, run once for all of its tests."""
    with opening(browser, lab) as open_one:
        notebook = open_one(request.module.NOTEBOOK)
        notebook.run_all()
        yield notebook
