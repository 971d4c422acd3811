"""The plugin, on a notebook made for it that is right in some cells and wrong in others: each wrong one fails.

The natural wrong answers to the exercises of every notebook are counted here too; they run beside the notebooks.
"""

import subprocess
import sys
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tutorial_lib import quiz

from .cells import FOLDER, NOTEBOOKS, code_cells, is_exercise
from .wrong import attempts


def cell(source, printed, *tags):
    outputs = [new_output("stream", text=f"{printed}\n")] if printed else []
    return new_code_cell(source, execution_count=1, metadata={"tags": list(tags)}, outputs=outputs)


def verdict(number, printed):
    return [cell(f"# NBVAL_CHECK_OUTPUT\nprint({number})", printed)]


def exercise(solved, printed=quiz.HOLE):
    folded = f"<details><summary>Solution</summary>\n\n```python\n{solved}\n```\n</details>" if solved else "Well?"
    return [cell("x = ...\nquiz.judge(x, 2)", printed, "exercise"), new_markdown_cell(folded)]


CELLS = {
    "import": [cell("from tutorial_lib import quiz", "")],
    "verdict": verdict(1, 1),
    "changed verdict": verdict(2, 1),
    "error": [cell("1 / 0", "")],
    "printed anew": [cell("print(2)", "1")],
    "right": exercise("x = 2\nquiz.judge(x, 2)"),
    "sees the solution": [cell("assert x == 2", "")],
    "wrong": exercise("x = 3\nquiz.judge(x, 2)"),
    "right, then wrong": exercise("x = 2\nquiz.judge(x, 2)\nquiz.judge(x, 3)"),
    "not filled in": exercise("x = ...\nquiz.judge(x, 2)"),
    "not judged": exercise("x = 2"),
    "broken": exercise("quiz.judge(2, 2)\n1 / 0"),
    "without a solution": exercise(""),
    "hole that says another thing": exercise("x = 2\nquiz.judge(x, 2)", printed="Correct"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """(the cell's name in CELLS, "", "wrong 1" and so on or "solved") → why it failed, or "" where it passed."""
    folder = tmp_path_factory.mktemp("made")
    cells = [part for parts in CELLS.values() for part in parts]
    nbformat.write(new_notebook(cells=cells), folder / "00_made.ipynb")
    (folder / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "-c", folder / "pytest.ini", "-p", "tests.notebooks.solutions"]
    command += ["--nbval-lax", "--nbval-current-env", f"--junitxml={folder}/report.xml", folder / "00_made.ipynb"]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    found = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        number, _, solved = case.attrib["name"].removeprefix("Cell ").partition(", ")
        found[list(CELLS)[int(number)], solved] = "".join(failure.text or "" for failure in case.iter("failure"))
    return found


def test_every_cell_runs_once_and_each_exercise_is_answered_too(results):
    exercises = [name for name, parts in CELLS.items() if len(parts) == 2]
    ways = {name: ["", "solved"] if name in exercises else [""] for name in CELLS}
    for number in attempts("00_made"):
        ways[exercises[number - 1]][1:1] = ["wrong 1", "wrong 2"]
    assert list(results) == [(name, way) for name in CELLS for way in ways[name]]


@pytest.mark.parametrize(
    "cell",
    [
        ("verdict", ""),
        ("printed anew", ""),
        ("right", ""),
        ("right", "wrong 1"),
        ("right", "wrong 2"),
        ("right", "solved"),
        ("sees the solution", ""),
        ("wrong", ""),
        ("hole that says another thing", "solved"),
    ],
)
def test_what_is_right_passes(results, cell):
    assert results[cell] == ""


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (("changed verdict", ""), "Cell outputs differ"),
        (("error", ""), "ZeroDivisionError"),
        (("hole that says another thing", ""), "Cell outputs differ"),
        (("wrong", "solved"), "says: 'Not yet: the answer is off by 50 % of its size"),
        (("wrong", "wrong 1"), "should refuse this with 'exactly twice', but says: 'Correct"),
        (("wrong", "wrong 2"), "should refuse this with 'exactly twice', but says: 'Not yet"),
        (("right, then wrong", "solved"), "does not call the solution correct"),
        (("not filled in", "solved"), "says: 'Not filled in yet"),
        (("not judged", "solved"), "says: ''"),
        (("broken", "solved"), "ZeroDivisionError"),
        (("without a solution", "solved"), "no solution follows the exercise"),
    ],
)
def test_what_is_wrong_fails(results, cell, message):
    assert message in results[cell]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_each_exercise_has_natural_wrong_answers(file):
    exercises = [cell for cell in code_cells(nbformat.read(file, nbformat.NO_CONVERT)) if is_exercise(cell)]
    found = attempts(file.stem)
    assert list(found) == list(range(1, len(exercises) + 1))
    assert all(len({code for code, _ in tried}) >= 3 and all(words for _, words in tried) for tried in found.values())
