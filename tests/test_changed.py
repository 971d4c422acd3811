"""`make quick` runs the tests that touch what changed, and no slow ones."""

import subprocess

import pytest

from .changed import CORE, ROOT, SET_UP, changed, chosen, imported, touching

FILES = {
    "tutorial_lib/__init__.py": "",
    "tutorial_lib/grids.py": "class Grid: ...",
    "tutorial_lib/quiz.py": "",
    "tutorial_lib/exact/__init__.py": "from .soft_values import SoftValues as Values\n",
    "tutorial_lib/exact/soft_values.py": "class SoftValues: ...",
    "tutorial_lib/exact/chain.py": "",
    "tutorial_lib/exact/kernels.py": "",
    "tutorial_lib/notebooks/s02_walks/__init__.py": "",
    "tutorial_lib/notebooks/s02_walks/view.py": "",
    "tutorial_lib/notebooks/s02_walks/study.py": "",
    "tests/test_grids.py": "from tutorial_lib.grids import Grid",
    "tests/test_mdp.py": "import tutorial_lib.mdp",
    "tests/oracles.py": "",
    "tests/exact/test_exact.py": "from tutorial_lib.exact import Values",
    "tests/exact/test_kernels.py": "from tutorial_lib import exact\nfrom tutorial_lib.exact import kernels",
    "tests/notebooks/test_s02_view.py": "from tutorial_lib.notebooks.s02_walks import view",
    "tests/claims/test_claim_2_1.py": "from tutorial_lib.exact import Values",
    "tests/browser/test_02_walks.py": "",
    "notebooks/02_walks.ipynb": "{}",
    "README.md": "",
    ".gitignore": "ignored.py\n",
}


@pytest.fixture
def repository(tmp_path):
    """A small library with its tests, committed, in a folder with an awkward name."""
    root = tmp_path / "Übung (α)"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    return root


EXACT = ["tests/exact/test_exact.py", "tests/exact/test_kernels.py"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tutorial_lib/grids.py", ["tests/test_grids.py"]),
        ("tutorial_lib/mdp.py", ["tests/test_mdp.py"]),
        ("tutorial_lib/quiz.py", []),
        ("tutorial_lib/exact/soft_values.py", ["tests/exact/test_exact.py"]),
        ("tutorial_lib/exact/kernels.py", ["tests/exact/test_kernels.py"]),
        ("tutorial_lib/exact/chain.py", EXACT),
        ("tutorial_lib/exact/__init__.py", EXACT),
        ("tutorial_lib/notebooks/s02_walks/view.py", ["tests/notebooks/test_s02_view.py"]),
        ("tutorial_lib/notebooks/s02_walks/study.py", []),
        ("tests/exact/test_exact.py", ["tests/exact/test_exact.py"]),
        ("tests/exact/test_gone.py", []),
        ("tests/oracles.py", []),
        ("tests/claims/test_claim_2_1.py", []),
        ("tests/browser/test_02_walks.py", []),
        ("notebooks/02_walks.ipynb", ["tests/notebooks/test_rules.py"]),
        ("constraints.txt", ["tests/test_environment.py"]),
        ("Makefile", ["tests/test_makefile.py"]),
        ("README.md", []),
    ],
)
def test_a_file_is_touched_by_the_touching_its_room_that_import_it(repository, path, expected):
    assert touching(path, repository) == expected


def test_what_differs_from_the_last_commit_and_what_is_new_has_changed(repository):
    assert changed(repository) == []
    (repository / "tutorial_lib/grids.py").write_text("class Grid:\n    size = 1\n")
    subprocess.run(["git", "add", "tutorial_lib/grids.py"], cwd=repository, check=True)
    (repository / "tutorial_lib/quiz.py").unlink()
    (repository / "tests/exact/test_größe.py").write_text("")
    (repository / "ignored.py").write_text("")
    assert changed(repository) == ["tests/exact/test_größe.py", "tutorial_lib/grids.py", "tutorial_lib/quiz.py"]
    assert chosen(changed(repository), repository) == [*CORE, "tests/exact/test_größe.py"]
    assert chosen([], repository) == list(CORE)


def test_a_folder_without_a_repository_has_the_core(tmp_path):
    assert changed(tmp_path) == []


def test_the_files_named_here_exist():
    named = [*CORE, *SET_UP, *SET_UP.values(), "tests/notebooks/test_rules.py"]
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_room_of_the_library_has_tests_that_import_it():
    rooms = [folder.name for folder in (ROOT / "tutorial_lib").iterdir() if (folder / "__init__.py").exists()]
    for room in rooms:
        tests = (ROOT / "tests" / room).glob("test_*.py")
        assert any(name.partition(".")[0] == room for test in tests for name in imported(test)), room
