"""Nothing leaves this machine: neither the page, nor the server, nor a kernel asks anybody for anything at start."""

import json
import shutil
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from .driver import Notebook, running_lab

# Python runs this at the start of the server and of every kernel. What would go out is written down, and refused.
WATCH = """
import os, sys

WHERE = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}
HERE = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None)

def watch(event, arguments):
    if event in WHERE:
        place = arguments[WHERE[event]]
        host = place[0] if isinstance(place, tuple) else place
        host = host.decode() if isinstance(host, bytes) else host
        if host not in HERE and not str(host).startswith("/"):
            with open(os.environ["WATCH_LOG"], "a") as log:
                log.write(f"{host}\\n")
            raise OSError(f"{host} is out of bounds")

sys.addaudithook(watch)
"""
REACH = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80))
except OSError as refusal:
    print(refusal)
"""
# A reader who once said yes to everything, in a JupyterLab of another project.
YES = {
    "apputils-extension/notification": {"fetchNews": "true", "checkForUpdates": True},
    "extensionmanager-extension/plugin": {"enabled": True, "disclaimed": True},
}
NOTICES = ".Toastify__toast"


class Watched:
    """A lab in which everything is seen that its pages, its server and its kernels ask of others."""

    def __init__(self, lab, state, browser):
        self.lab, self.settings, self.log, self.browser = lab, state / "settings", state / "watch.log", browser
        self.requests = []

    @contextmanager
    def opened(self, settings, *cells):
        """A notebook of these cells, run, as a reader with these settings finds it; what was seen before is void."""
        self.requests.clear()
        self.log.write_text("")
        shutil.rmtree(self.settings, ignore_errors=True)
        for name, values in settings.items():
            file = self.settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(values))
        self.lab.write("small.ipynb", *cells)
        with self.browser.new_context() as context:
            page = context.new_page()
            page.on("request", lambda request: self.requests.append(request.url))
            page.on("websocket", lambda socket: self.requests.append(socket.url))
            Notebook(page, self.lab, "small.ipynb").run_all()
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(500)
            yield page

    def paths(self):
        """Of everything that the page asked for."""
        return {urlsplit(address).path.rstrip("/") for address in self.requests}

    def hosts_asked(self):
        """Other machines, by the page and by the processes."""
        hosts = {urlsplit(address).hostname for address in self.requests if not address.startswith(("data:", "blob:"))}
        return hosts - {"127.0.0.1"}, set(self.log.read_text().splitlines())


@pytest.fixture(scope="module")
def watched(browser, tmp_path_factory):
    """A function that starts a lab with variables of its own."""
    with ExitStack() as stack:

        def start(**extra):
            root, state = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("state")
            (state / "watch").mkdir()
            (state / "watch" / "sitecustomize.py").write_text(WATCH)
            extra |= {"PYTHONPATH": str(state / "watch"), "WATCH_LOG": str(state / "watch.log")}
            return Watched(stack.enter_context(running_lab(root, state, extra)), state, browser)

        yield start


@pytest.fixture(scope="module")
def as_shipped(watched):
    return watched()


@pytest.fixture(scope="module")
def without_configuration(watched):
    return watched(JUPYTER_CONFIG_PATH="")


@pytest.mark.parametrize("settings", [{}, YES], ids=["a newcomer", "a reader who said yes"])
def test_nothing_is_asked_of_anybody_and_no_notice_pops_up(as_shipped, settings):
    with as_shipped.opened(settings, "import ipywidgets; ipywidgets.IntSlider()") as page:
        assert page.locator(NOTICES).all_text_contents() == []
        assert as_shipped.hosts_asked() == (set(), set())
        assert {"/lab/api/news", "/lab/api/update"}.isdisjoint(as_shipped.paths())
        assert "/lab/api/settings" in as_shipped.paths(), "the page's requests were not seen"


def test_a_page_and_a_kernel_that_reach_out_are_seen(as_shipped):
    with as_shipped.opened({}, REACH) as page:
        page.evaluate("() => fetch('http://192.0.2.2/', {signal: AbortSignal.timeout(100)}).catch(() => 0)")
        assert as_shipped.hosts_asked() == ({"192.0.2.2"}, {"192.0.2.1"})


def test_without_the_configuration_the_same_lab_would_ask(without_configuration):
    with without_configuration.opened(YES, "1"):
        assert {"/lab/api/news", "/lab/api/update"} <= without_configuration.paths()
        assert {"pypi.org", "jupyterlab.github.io"} <= without_configuration.hosts_asked()[1]


def test_without_the_configuration_a_newcomer_is_asked_about_news(without_configuration):
    with without_configuration.opened({}, "1") as page:
        page.locator(NOTICES).filter(has_text="Jupyter news").wait_for(timeout=10_000)
