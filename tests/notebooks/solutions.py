"""A pytest plugin beside nbval: behind each exercise of a notebook, in the same kernel, run its answers.

nbval collects a notebook's code cells and runs each once. Here an exercise's cell is followed by the natural wrong
answers to it, of which the judge must refuse each with the right words, and by its folded solution, which it must call
correct; of the hole itself the stored output ("Not filled in yet") is checked.
"""

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbval.plugin import IPyNbCell  # type: ignore[import-untyped]

from .cells import code_cells, is_exercise, said, solution
from .wrong import attempts


class SolutionCell(IPyNbCell):
    """The solution of the exercise that it is collected with."""

    cell: NotebookNode

    def runtest(self) -> None:
        self.cell = new_code_cell(solution(self.parent.nb, self.cell))
        super().runtest()
        printed = said(self.test_outputs)
        if "Correct" not in printed or "Not yet" in printed:
            self.raise_cell_error(f"The judge does not call the solution correct, but says: {printed!r}")


class WrongCell(IPyNbCell):
    """A wrong answer to the exercise that it is collected with, and a piece of what the judge must say of it."""

    cell: NotebookNode
    attempt: tuple[str, str]

    def runtest(self) -> None:
        code, words = self.attempt
        self.cell = new_code_cell(code)
        super().runtest()
        printed = said(self.test_outputs)
        if "Correct" in printed or "Not yet" not in printed or words not in printed:
            self.raise_cell_error(f"The judge should refuse this with {words!r}, but says: {printed!r}\n{code}")


def with_answers(item: pytest.Item) -> list[pytest.Item]:
    if not isinstance(item, IPyNbCell) or not is_exercise(item.cell):
        return [item]
    item.options["check"] = True
    like = dict(cell_num=item.cell_num, cell=item.cell, options=item.options | {"check": False})
    exercises = [cell for cell in code_cells(item.parent.nb) if is_exercise(cell)]
    found = attempts(item.path.stem).get(exercises.index(item.cell) + 1, [])
    wrong = [
        WrongCell.from_parent(item.parent, name=f"{item.name}, wrong {n}", **like) for n in range(1, len(found) + 1)
    ]
    for cell, attempt in zip(wrong, found, strict=True):
        cell.attempt = attempt
    return [item, *wrong, SolutionCell.from_parent(item.parent, name=f"{item.name}, solved", **like)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [each for item in items for each in with_answers(item)]
