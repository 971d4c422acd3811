"""How a notebook is taken apart, on notebooks made for it: the folded solutions, and what a cell stands on."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from .cells import NOTEBOOKS, WIDGET, beneath, code_cells, is_exercise, is_widget, names, solution

FOLDED = "<details><summary>Hint</summary>\n```python\n1 / 0\n```\n</details>\n<details><summary>Solution</summary>\n\n"
TAGGED = {"tags": ["exercise"]}


def made(*cells):
    return new_notebook(cells=list(cells))


def test_the_solution_is_found_past_the_hint():
    hole = new_code_cell("x = ...", metadata=TAGGED)
    folded = new_markdown_cell(FOLDED + "```python\nx = 2\nprint('Correct', x)\n```\n</details>")
    assert solution(made(new_code_cell("y = 1"), hole, folded), hole) == "x = 2\nprint('Correct', x)\n"


def test_each_of_two_like_exercises_has_its_own_solution():
    holes = [new_code_cell("x = ...", metadata=TAGGED) for _ in range(2)]
    folded = [new_markdown_cell(f"{FOLDED}```python\nx = {i}\n```") for i in range(2)]
    notebook = made(holes[0], folded[0], holes[1], folded[1])
    assert [solution(notebook, hole) for hole in holes] == ["x = 0\n", "x = 1\n"]


@pytest.mark.parametrize(
    "after", [[], [new_markdown_cell("Well done.")], [new_code_cell(f"'''{FOLDED}```python\n```'''")]]
)
def test_an_exercise_without_a_solution_is_refused(after):
    hole = new_code_cell("x = ...", metadata=TAGGED)
    with pytest.raises(ValueError, match=r"no solution follows the exercise: 'x = \.\.\.'"):
        solution(made(hole, *after), hole)


def test_only_what_an_exercise_stands_on_is_kept():
    lines = ("import a, b.c", "x = a.one()", "y = x", "x = 2", "def f(z):\n    return x + z", "b.show(y)")
    cells, hole = [new_code_cell(line) for line in lines], new_code_cell("f(...)", metadata=TAGGED)
    kept = beneath(made(*cells, new_markdown_cell("Well?"), hole), is_exercise)
    assert [cell.source for cell in kept] == [lines[0], lines[1], lines[3], lines[4], "f(...)"]


@pytest.mark.parametrize(
    ("source", "bound", "used"),
    [
        ("import a.b as c, d.e", {"c", "d"}, set()),
        ("from a import b", {"b"}, set()),
        ("x = y", {"x"}, {"y"}),
        ("(x, y), z = w", {"x", "y", "z"}, {"w"}),
        ("x += 1", {"x"}, {"x"}),
        ("for i in n:\n    s[i] = 1", {"i", "s"}, {"i", "n", "s"}),
        ("a.b.c = 1\na.b = 2", {"a"}, {"a"}),
        ("with open(p) as f:\n    pass", {"f"}, {"open", "p"}),
        ("def f(x, *, k=one):\n    y = x + g\n    return [h(y, v) for v in y]", {"f"}, {"one", "g", "h"}),
        ("class A(B):\n    c = d", {"A"}, {"B", "d"}),
        ("if (m := f()) is None:\n    pass", {"m"}, {"f"}),
        ("sorted(xs, key=lambda x: x + k)", set(), {"sorted", "xs", "k"}),
    ],
)
def test_the_names_of_a_cell(source, bound, used):
    assert names(source) == (bound, used)


def test_a_widget_is_a_value_and_a_progress_bar_is_none():
    view = {WIDGET: {"model_id": "1"}, "text/plain": "VBox()"}
    widget = new_code_cell("slider", outputs=[new_output("execute_result", view)])
    bar = new_code_cell("for i in tqdm(...): pass", outputs=[new_output("display_data", view)])
    number = new_code_cell("1", outputs=[new_output("execute_result", {"text/plain": "1"})])
    assert [is_widget(cell) for cell in (widget, bar, number)] == [True, False, False]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_every_notebook_has_a_widget_that_stands_on_part_of_it(file):
    notebook = nbformat.read(file, as_version=4)
    assert 0 < len(beneath(notebook, is_widget)) < len(code_cells(notebook)) / 2
