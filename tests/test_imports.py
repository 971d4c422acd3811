"""`import tutorial_lib` loads what it needs and no more: plotting and data frames wait until someone asks for them."""

import subprocess
import sys

import pytest

LATE = ("pandas", "seaborn", "sklearn", "ipywidgets", "matplotlib.pyplot", "torchvision")


def loaded_by(statement: str) -> set[str]:
    """Which of the late modules a fresh interpreter holds after the statement."""
    program = f"{statement}\nimport sys\nprint(*(name for name in {LATE!r} if name in sys.modules))"
    return set(subprocess.check_output([sys.executable, "-c", program], text=True).split())


def test_importing_the_library_loads_nothing_early():
    assert loaded_by("import tutorial_lib") == set()


@pytest.mark.parametrize("name", ["ipywidgets", "sklearn"])
def test_the_check_sees_what_is_loaded(name):
    assert name in loaded_by(f"import {name}")
