"""Fixtures: `lab`, a JupyterLab on a copy of notebooks/, and `open_notebook(name)`, one of them in Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from .driver import CHROMIUM_FLAGS, Lab, Notebook, find_chromium, running_lab

VIEWPORT: ViewportSize = {"width": 1500, "height": 1000}
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


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
    if NOTEBOOKS.exists():
        shutil.copytree(NOTEBOOKS, root, dirs_exist_ok=True)
    with running_lab(root, tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def open_notebook(browser: Browser, lab: Lab) -> Iterator[Callable[[str], Notebook]]:
    context = browser.new_context(viewport=VIEWPORT)
    yield lambda name: Notebook(context.new_page(), lab, name)
    context.close()


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest, browser: Browser, lab: Lab) -> Iterator[Notebook]:
    """The notebook that a test module names in NOTEBOOK, run once for all of its tests."""
    context = browser.new_context(viewport=VIEWPORT)
    notebook = Notebook(context.new_page(), lab, request.module.NOTEBOOK)
    notebook.run_all()
    yield notebook
    context.close()
