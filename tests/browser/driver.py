"""JupyterLab in a real Chromium: a server of its own, and a notebook that a test can run, drag and look at.

Widgets are found the way a reader finds them, by the words beside them; pictures are the `<img>` inside a box that
carries the class `tutorial-widget`.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import Request, urlopen

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Locator, Page

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CONFIG = Path(__file__).parents[2] / ".jupyter"  # what `make lab` gives a reader
PICTURES = ".tutorial-widget img"
AT_ONCE = 500  # milliseconds; the aim is 60 on an idle machine, and a busy one must not fail for it


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Lab:
    """A running JupyterLab: `root` is the folder it shows, `address(path)` the page of one notebook in it."""

    def __init__(self, root: Path, port: int, token: str) -> None:
        self.root, self.port, self.token = root, port, token

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?reset&token={self.token}"

    def write(self, name: str, *sources: str) -> None:
        """A notebook of these code cells, with the counts of an earlier run."""
        cells = [new_code_cell(source.strip(), execution_count=7) for source in sources]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), self.root / name)

    def end_kernels(self) -> None:
        with urlopen(self.address("api/sessions"), timeout=30) as sessions:
            for session in json.load(sessions):
                urlopen(Request(self.address(f"api/sessions/{session['id']}"), method="DELETE"), timeout=30).close()


@contextmanager
def running_lab(root: Path, state: Path, extra: Mapping[str, str] | None = None) -> Iterator[Lab]:
    """JupyterLab on `root` as a reader has it, with every file it keeps for itself under `state`, and with `extra`
    variables in its environment. It finds a free port by itself, so that several can start at once."""
    folders = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    command += ["--LabApp.expose_app_in_browser=True", "--allow-root"]
    environment = os.environ | {name: str(state / folder) for name, folder in folders.items()}
    environment |= {"JUPYTER_CONFIG_PATH": str(CONFIG), **(extra or {})}
    log = state / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield wait_until_up(root, token, server, state)
        finally:
            stop(server)


def stop(server: subprocess.Popen) -> None:
    """End a server: by request, or by force where it hangs, as one may whose kernel's page closes meanwhile."""
    server.terminate()
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def wait_until_up(root: Path, token: str, server: subprocess.Popen, state: Path, timeout: float = 60) -> Lab:
    """The lab, once it answers at the port that it wrote down."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and server.poll() is None:
        try:
            told = json.loads((state / "runtime" / f"jpserver-{server.pid}.json").read_text())
            lab = Lab(root, told["port"], token)
            urlopen(lab.address("api/status"), timeout=5).close()
            return lab
        except (FileNotFoundError, ValueError, URLError):  # not there, half written, not listening yet
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start in {timeout:.0f} s:\n{(state / 'lab.log').read_text()[-3000:]}")


OPEN = """async name => {
  const panel = window.jupyterapp.shell.currentWidget;
  if (panel?.context?.path !== name) return false;
  await panel.context.ready;
  await panel.sessionContext.ready;
  return Boolean(panel.sessionContext.session?.kernel);
}"""
# Errors of cells stay in the notebook; errors of widget callbacks pass by on the kernel's output channel alone.
RUN = """() => {
  const {commands, shell} = window.jupyterapp;
  window.seenErrors = [];
  shell.currentWidget.sessionContext.iopubMessage.connect((_, message) => {
    if (message.header.msg_type === 'error')
      window.seenErrors.push(`${message.content.ename}: ${message.content.evalue}`);
  });
  window.allRan = false;
  commands.execute('notebook:clear-all-cell-outputs')
    .then(() => commands.execute('notebook:run-all-cells'))
    .finally(() => { window.allRan = true; });
}"""
IDLE = "() => window.allRan && window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
NOT_RUN = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .map(cell => cell.model)
  .filter(model => model.type === 'code' && model.sharedModel.source.trim() && !model.executionCount)
  .map(model => model.sharedModel.source.slice(0, 200))"""
ERRORS = """() => {
  const broken = [...document.querySelectorAll('.jupyter-widgets-error-widget')].map(node => node.textContent);
  return [...window.seenErrors, ...broken];
}"""
PICTURE = """async image => {
  const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
}"""
# The clock starts at the key press itself and stops when a picture of the slider's widget has been decoded anew.
ARM = """handle => {
  const pictures = handle.closest('.tutorial-widget').querySelectorAll('img');
  let start;
  document.addEventListener('keydown', () => { start = performance.now(); }, {capture: true, once: true});
  window.nextPicture = new Promise(resolve => {
    const observer = new MutationObserver(async changes => {
      observer.disconnect();
      await changes[0].target.decode().catch(() => {});
      resolve(performance.now() - start);
    });
    pictures.forEach(image => observer.observe(image, {attributes: true, attributeFilter: ['src']}));
  });
}"""
# Two answers: a slider holds its newest value back until the one before it is answered, and then sends it.
SETTLE = """async () => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  await kernel.requestKernelInfo();
  await kernel.requestKernelInfo();
}"""
NEXT_PICTURE = """limit => Promise.race([
  window.nextPicture, new Promise(resolve => setTimeout(resolve, limit, null))
])"""


class Notebook:
    """One open notebook. Times are in seconds, latencies in milliseconds."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page = page
        page.goto(lab.address(f"lab/tree/{name}"))
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget", timeout=60_000)
        page.wait_for_function(OPEN, arg=name, timeout=60_000)

    def run_all(self, timeout: float = 240) -> None:
        """Run every cell from a clean slate; a cell that did not run, or ended in an error, is an AssertionError."""
        self.page.evaluate(RUN)
        self.page.wait_for_function(IDLE, timeout=timeout * 1000)
        assert not (errors := self.errors()), f"errors: {errors}"
        assert not (left_out := self.page.evaluate(NOT_RUN)), f"cells that did not run: {left_out}"

    def errors(self) -> list[str]:
        """Every error since `run_all`: of cells, of widget callbacks, and of widgets that could not be shown."""
        return self.page.evaluate(ERRORS)

    def picture(self, which: int | str = 0) -> Locator:
        """A widget's picture, by its place on the page or by a CSS class of the Image."""
        return self.page.locator(PICTURES).nth(which) if isinstance(which, int) else self.page.locator(f"img.{which}")

    def image_hash(self, which: int | str = 0) -> str:
        """The sha256 of the PNG that a picture shows."""
        return hashlib.sha256(base64.b64decode(self.picture(which).evaluate(PICTURE))).hexdigest()

    def new_image_hash(self, old: str, which: int | str = 0, timeout: float = 10) -> str:
        """Wait until the picture differs from `old`, and return its hash."""
        deadline = time.monotonic() + timeout
        while (new := self.image_hash(which)) == old:
            assert time.monotonic() < deadline, f"picture {which!r} did not change in {timeout} s"
            self.page.wait_for_timeout(20)
        return new

    def control(self, label: str, *kinds: str) -> Locator:
        """The ipywidget of one of these kinds (CSS classes) with this description."""
        selector = ", ".join(f".tutorial-widget .{kind}" for kind in kinds)
        found = self.page.locator(selector).filter(has=self.page.get_by_text(label, exact=True))
        assert found.count(), f"no {' or '.join(kinds)} with the description {label!r}"
        return found.first

    def slider(self, label: str) -> Locator:
        """Focus the handle of the slider with this description, ready for `press`."""
        handle = self.control(label, "widget-slider").locator(".noUi-handle")
        handle.focus()
        return handle

    def press(self, key: str) -> None:
        """Press a key ("ArrowRight", "ArrowLeft", "Home", "End", …) on what has the focus, and wait for the answer."""
        self.page.keyboard.press(key)
        self.page.evaluate(SETTLE)

    def latency(self, slider: str, key: str, n: int = 15, timeout: float = 10) -> float:
        """Median milliseconds from a key press on a slider to a new picture, over n presses."""
        handle = self.slider(slider)
        times = []
        for press in range(n):
            handle.evaluate(ARM)
            self.page.keyboard.press(key)
            taken = self.page.evaluate(NEXT_PICTURE, timeout * 1000)
            assert taken is not None, f"press {press + 1} of {key} on {slider!r} brought no new picture in {timeout} s"
            times.append(taken)
            self.page.evaluate(SETTLE)  # or this press's last picture stops the next clock
        return median(times)

    def assert_quick(self, slider: str, key: str, n: int = 15, most: float = AT_ONCE) -> None:
        """The median latency of n presses is below `most` milliseconds; it is printed."""
        milliseconds = self.latency(slider, key, n)
        print(f"\n{slider}: {milliseconds:.0f} ms median from key press to new picture")
        assert milliseconds < most, f"{slider!r} took {milliseconds:.0f} ms, more than {most}"

    def select(self, label: str, option: str) -> None:
        """Choose an option of a dropdown or of a row of toggle buttons."""
        control = self.control(label, "widget-dropdown", "widget-toggle-buttons")
        if (menu := control.locator("select")).count():
            menu.select_option(label=option)
        else:
            control.get_by_role("button", name=option, exact=True).click()
        self.page.evaluate(SETTLE)

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=path)
