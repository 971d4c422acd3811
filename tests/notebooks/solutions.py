"""A pytest plugin beside nbval: behind each exercise of a notebook runs its folded solution, in the same kernel.

nbval collects a notebook's code cells and runs each once. Here an exercise's cell is followed by one more, which fails
unless the judge calls the solution correct; of the hole itself the stored output ("Not filled in yet") is checked.
"""

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbval.plugin import IPyNbCell  # type: ignore[import-untyped]

from .cells import is_exercise, said, solution


class SolutionCell(IPyNbCell):
    """The solution of the exercise that it is collected with."""

    cell: NotebookNode

    def runtest(self) -> None:
        self.cell = new_code_cell(solution(self.parent.nb, self.cell))
        super().runtest()
        printed = said(self.test_outputs)
        if "Correct" not in printed or "Not yet" in printed:
            self.raise_cell_error(f"The judge does not call the solution correct, but says: {printed!r}")


def with_solution(item: pytest.Item) -> list[pytest.Item]:
    if not isinstance(item, IPyNbCell) or not is_exercise(item.cell):
        return [item]
    item.options["check"] = True
    unchecked = item.options | {"check": False}
    name = f"{item.name}, solved"
    solved = SolutionCell.from_parent(item.parent, name=name, cell_num=item.cell_num, cell=item.cell, options=unchecked)
    return [item, solved]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [each for item in items for each in with_solution(item)]
