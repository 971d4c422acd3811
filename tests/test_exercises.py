"""Every exercise of every notebook: its folded solution, put in the hole's place, is what the judge calls correct."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SOLUTION = re.compile(r"<summary>[^<]*Solution[^<]*</summary>.*?```python\n(.*?)```", re.DOTALL)


def is_exercise(cell) -> bool:
    return "exercise" in cell.metadata.get("tags", [])


def solve(notebook) -> list:
    """Put each exercise's solution in its place; the cells of the exercises. The solution stands in the markdown cell
    that follows."""
    solved = []
    for place, cell in enumerate(notebook.cells):
        if not is_exercise(cell):
            continue
        following = notebook.cells[place + 1] if place + 1 < len(notebook.cells) else None
        found = following and following.cell_type == "markdown" and SOLUTION.search(following.source)
        if not found:
            raise ValueError(f"no solution follows the exercise: {cell.source[:60]!r}")
        cell.source = found[1]
        solved.append(cell)
    return solved


def names(cell) -> tuple[set[str], set[str]]:
    """What a cell's code binds, and what it uses."""
    bound, used = set(), set()
    for node in ast.walk(ast.parse(cell.source)):
        match node:
            case ast.Import(names=found) | ast.ImportFrom(names=found):
                bound |= {(alias.asname or alias.name).partition(".")[0] for alias in found}
            case ast.FunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
            case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()):
                bound.add(name)
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
                bound.add(name)
            case ast.Name(id=name):
                used.add(name)
    return bound, used


def beneath(notebook, exercises) -> list:
    """The exercises and the code cells that they stand on: those which bind a name that a later one of them uses."""
    wanted: set[str] = set()
    kept = []
    for cell in reversed([cell for cell in notebook.cells if cell.cell_type == "code"]):
        bound, used = names(cell)
        if cell in exercises or bound & wanted:
            wanted |= used
            kept.append(cell)
    return kept[::-1]


def said(cell) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")


def run(notebook, folder: Path) -> None:
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_an_exercise_has_a_hole_that_is_told_so(file):
    exercises = [cell for cell in nbformat.read(file, as_version=4).cells if is_exercise(cell)]
    assert 2 <= len(exercises) <= 3
    for cell in exercises:
        assert "..." in cell.source and "quiz.judge(" in cell.source
        assert said(cell).startswith("Not filled in yet")


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_every_solution_is_judged_correct(file):
    notebook = nbformat.read(file, as_version=4)
    exercises = solve(notebook)
    notebook.cells = beneath(notebook, exercises)
    run(notebook, FOLDER)
    for cell in exercises:
        assert "Correct" in said(cell), said(cell)


FOLDED = (
    "<details><summary>Hint</summary>\n```python\n1 / 0\n```\n</details>\n<details><summary>Solution</summary>\n\n{}"
)


def made(*cells):
    return new_notebook(cells=list(cells))


def test_the_solution_is_found_past_the_hint(tmp_path):
    hole = new_code_cell("x = ...", metadata={"tags": ["exercise"]})
    block = "```python\nx = 2\nprint('Correct', x)\n```\n</details>"
    notebook = made(new_code_cell("y = 1"), hole, new_markdown_cell(FOLDED.format(block)))
    assert solve(notebook) == [hole]
    run(notebook, tmp_path)
    assert said(hole) == "Correct 2\n"


def test_only_what_an_exercise_stands_on_is_run():
    lines = ("import a, b.c", "x = a.one()", "y = x", "x = 2", "def f(z):\n    return x + z", "b.show(y)")
    cells, hole = [new_code_cell(line) for line in lines], new_code_cell("f(...)", metadata={"tags": ["exercise"]})
    kept = beneath(made(*cells, new_markdown_cell("Well?"), hole), [hole])
    assert [cell.source for cell in kept] == [lines[0], lines[1], lines[3], lines[4], "f(...)"]


@pytest.mark.parametrize("after", [[], [new_markdown_cell("Well done.")], [new_code_cell("# Solution")]])
def test_an_exercise_without_a_solution_is_refused(after):
    with pytest.raises(ValueError, match=r"no solution follows the exercise: 'x = \.\.\.'"):
        solve(made(new_code_cell("x = ...", metadata={"tags": ["exercise"]}), *after))
