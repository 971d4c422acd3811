"""`make` as a newcomer meets it: twice at once, in a folder with spaces and other letters, without a fit Python."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .browser.driver import CONFIG

ROOT = Path(__file__).parents[1]
# In the place of Python: makes an environment that holds nothing but itself, and installs nothing, slowly.
PYTHON = f"""#!/bin/sh
case "$1 $2" in
"-m venv")
    for last; do :; done
    mkdir -p "$last/bin" && cp "$0" "$last/bin/python" && cp "$0" "$last/bin/jupyter" ;;
"-m pip")
    echo "install begins in $PWD" >> told
    sleep 1.5
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


def make(folder, *words):
    """`make`, started: what it says goes to a pipe. The run of the tests under `make test` is none of its business."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    surroundings = {name: value for name, value in surroundings.items() if name != "JUPYTER_CONFIG_PATH"}
    command = ["make", "PYTHON=./my python", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=surroundings, stdout=pipe, stderr=pipe, text=True)


def ended(process):
    """(exit status, what it said)."""
    said, complaints = process.communicate(timeout=60)
    return process.returncode, said + complaints


def told(folder):
    return (folder / "told").read_text().splitlines()


def begun(folder):
    """Wait until an installation has begun."""
    deadline = time.monotonic() + 30
    while not (folder / "told").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_of_two_first_commands_one_installs_and_the_other_waits_and_says_so(folder):
    first = make(folder, "lab")
    begun(folder)
    second = make(folder, "lab")
    (status, said), (other_status, other_said) = ended(first), ended(second)
    assert (status, other_status) == (0, 0), said + other_said
    assert WAITS not in said and "Making .venv" in said
    assert WAITS in other_said and "Making .venv" not in other_said
    assert told(folder)[:2] == [f"install begins in {folder}", "install ends"]
    assert [line.split()[0] for line in told(folder)[2:]] == ["lab", "lab"]


def test_two_that_start_together_install_once(folder):
    results = [ended(process) for process in [make(folder, "lab") for _ in range(3)]]
    assert [status for status, _ in results] == [0, 0, 0]
    assert sum(WAITS in said for _, said in results) == 2
    assert told(folder).count("install ends") == 1


def test_where_the_first_fails_the_second_installs(folder):
    (folder / "fail").touch()
    first = make(folder, "lab")
    begun(folder)
    second = make(folder, "lab")
    assert ended(first)[0] == 2
    status, said = ended(second)
    assert status == 0 and WAITS in said and "Making .venv" in said
    assert [line.split()[1] for line in told(folder)] == ["begins", "ends", "begins", "ends", "with"]


def test_a_killed_one_lets_go_of_the_lock(folder):
    first = make(folder, "lab")
    begun(folder)
    first.kill()
    first.communicate(timeout=60)
    assert ended(make(folder, "lab"))[0] == 0
    assert told(folder)[-1].startswith("lab with ")


def test_the_environment_is_made_once_and_again_when_the_pins_change(folder):
    for expected in (1, 1):
        assert ended(make(folder, "lab"))[0] == 0
        assert told(folder).count("install ends") == expected
    os.utime(folder / "constraints.txt", (time.time() + 5, time.time() + 5))
    assert ended(make(folder, "lab"))[0] == 0
    assert told(folder).count("install ends") == 2


def test_the_lab_is_quiet_and_keeps_to_this_machine(folder):
    assert ended(make(folder, "lab", "ARGS=--no-browser --port=8899"))[0] == 0
    line = told(folder)[-1]
    assert line.startswith("lab with .jupyter: lab --ip=127.0.0.1 ") and line.endswith(" --no-browser --port=8899")
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in line
    assert ROOT / ".jupyter" == CONFIG, "the browser tests run another configuration than `make lab`"


def test_a_python_that_is_missing_is_named(folder):
    status, said = ended(make(folder, "lab", "PYTHON=./no python"))
    assert status == 2 and "PYTHON=./no python does not run here; name a Python of 3.11 or newer" in said
    assert not (folder / ".venv").exists()


def test_a_python_that_is_too_old_is_named_with_its_version(folder):
    (folder / "old python").write_text('#!/bin/sh\ncase "$2" in *">="*) echo False ;; *) echo 3.9 ;; esac\n')
    (folder / "old python").chmod(0o755)
    status, said = ended(make(folder, "lab", "PYTHON=./old python"))
    assert status == 2 and "PYTHON=./old python is Python 3.9, and 3.11 or newer is needed" in said
    assert not (folder / ".venv").exists()


def test_help_names_every_command(folder):
    status, said = ended(make(folder))
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert status == 0 and phony
    listed = re.findall(r"^  make (\w+) ", said, re.MULTILINE)
    assert sorted([*listed, "interpreter"]) == sorted(phony[1].split())
