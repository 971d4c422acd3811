"""`make` as a newcomer meets it: twice at once, in a folder with spaces and other letters, without a fit Python."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .browser.driver import CONFIG

ROOT = Path(__file__).parents[1]
# In the place of Python: makes an environment that holds nothing but itself, and installs nothing, until it may end.
PYTHON = f"""#!/bin/sh
case "$1 $2" in
"-m venv")
    for last; do :; done
    mkdir -p "$last/bin" && cp "$0" "$last/bin/python" && cp "$0" "$last/bin/jupyter" ;;
"-m pip")
    echo "install begins in $PWD" >> told
    while [ -e hold ]; do sleep 0.02; done
    echo "install ends" >> told
    if [ -e fail ]; then rm fail; exit 1; fi ;;
"lab "*)
    echo "lab with $JUPYTER_CONFIG_PATH: $*" >> told ;;
*)
    exec "{sys.executable}" "$@" ;;
esac
"""
WAITS = "Another command makes .venv in this folder; waiting for it."


@pytest.fixture
def folder(tmp_path):
    """A fresh clone in a folder with an awkward name, as far as setting up needs it."""
    there = tmp_path / "Übung für Zoë (α & γ)"
    there.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", ".ci", ".jupyter"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, there / name)
    (there / "my python").write_text(PYTHON)
    (there / "my python").chmod(0o755)
    return there


class Make:
    """A `make` that was started. The run of the tests under another `make` is none of its business."""

    def __init__(self, folder, *words):
        self.log = folder / f"said-{secrets.token_hex(4)}"
        private = ("MAKE", "MFLAGS", "JUPYTER_CONFIG_PATH")
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith(private)}
        with self.log.open("w") as output:
            command = ["make", "PYTHON=./my python", *words]
            self.process = subprocess.Popen(command, cwd=folder, env=surroundings, stdout=output, stderr=output)

    def said(self):
        return self.log.read_text()

    def ended(self):
        """Its exit status."""
        return self.process.wait(timeout=60)


def told(folder):
    return (folder / "told").read_text().splitlines() if (folder / "told").exists() else []


def wait_until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begun(folder, *words):
    """A `make` that holds the lock, in the middle of its installation, which ends when the file `hold` goes."""
    (folder / "hold").touch()
    first = Make(folder, *words)
    wait_until(lambda: told(folder))
    return first


def waiting(folder, *words):
    """A `make` that waits for the first, and has said so."""
    second = Make(folder, *words)
    wait_until(lambda: WAITS in second.said())
    return second


def test_of_two_first_commands_one_installs_and_the_other_waits_and_says_so(folder):
    first, second = begun(folder, "lab"), waiting(folder, "lab")
    assert told(folder) == [f"install begins in {folder}"]
    (folder / "hold").unlink()
    assert (first.ended(), second.ended()) == (0, 0), first.said() + second.said()
    assert WAITS not in first.said() and "Making .venv" in first.said()
    assert "Making .venv" not in second.said()
    assert told(folder)[1] == "install ends"
    assert [line.split()[0] for line in told(folder)[2:]] == ["lab", "lab"]


def test_several_that_start_together_install_once(folder):
    started = [Make(folder, "lab") for _ in range(4)]
    assert [make.ended() for make in started] == [0, 0, 0, 0]
    assert told(folder).count("install ends") == 1
    assert sum(line.startswith("lab") for line in told(folder)) == 4


def test_where_the_first_fails_the_second_installs(folder):
    (folder / "fail").touch()
    first, second = begun(folder, "lab"), waiting(folder, "lab")
    (folder / "hold").unlink()
    assert (first.ended(), second.ended()) == (2, 0)
    assert "Making .venv" in second.said()
    assert [line.split()[1] for line in told(folder)] == ["begins", "ends", "begins", "ends", "with"]


def test_the_installation_of_a_killed_make_is_waited_for_too(folder):
    first = begun(folder, "lab")
    first.process.kill()
    first.ended()
    second = waiting(folder, "lab")
    (folder / "hold").unlink()
    assert second.ended() == 0
    assert told(folder)[-1].startswith("lab with ")


def test_the_environment_is_made_once_and_again_when_the_pins_change(folder):
    for _ in range(2):
        assert Make(folder, "lab").ended() == 0
        assert told(folder).count("install ends") == 1
    os.utime(folder / "constraints.txt", (time.time() + 5, time.time() + 5))
    assert Make(folder, "lab").ended() == 0
    assert told(folder).count("install ends") == 2


def test_the_lab_is_quiet_and_keeps_to_this_machine(folder):
    assert Make(folder, "lab", "ARGS=--no-browser --port=8899").ended() == 0
    line = told(folder)[-1]
    assert line.startswith("lab with .jupyter: lab --ip=127.0.0.1 ") and line.endswith(" --no-browser --port=8899")
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in line
    assert ROOT / ".jupyter" == CONFIG, "the browser tests run another configuration than `make lab`"


def test_a_python_that_is_missing_is_named(folder):
    run = Make(folder, "lab", "PYTHON=./no python")
    assert run.ended() == 2 and "PYTHON=./no python does not run here; name a Python of 3.11 or newer" in run.said()
    assert not (folder / ".venv").exists()


def test_a_python_that_is_too_old_is_named_with_its_version(folder):
    (folder / "old python").write_text('#!/bin/sh\ncase "$2" in *">="*) echo False ;; *) echo 3.9 ;; esac\n')
    (folder / "old python").chmod(0o755)
    run = Make(folder, "lab", "PYTHON=./old python")
    assert run.ended() == 2 and "PYTHON=./old python is Python 3.9, and 3.11 or newer is needed" in run.said()
    assert not (folder / ".venv").exists()


def test_help_names_every_command(folder):
    run = Make(folder)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert run.ended() == 0 and phony
    listed = re.findall(r"^  make (\w+) ", run.said(), re.MULTILINE)
    assert sorted([*listed, "interpreter"]) == sorted(phony[1].split())
