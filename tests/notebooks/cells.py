"""A notebook taken apart: its exercises with their folded solutions, its widgets, and the cells that each stands on."""

import ast
import re
import symtable
from collections.abc import Callable, Iterator
from pathlib import Path

from nbformat import NotebookNode

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SOLUTION = re.compile(r"<summary>[^<]*Solution[^<]*</summary>.*?```python\n(.*?)```", re.DOTALL)
WIDGET = "application/vnd.jupyter.widget-view+json"


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def is_exercise(cell: NotebookNode) -> bool:
    return "exercise" in cell.metadata.get("tags", [])


def is_widget(cell: NotebookNode) -> bool:
    """Whether the value of the cell is a widget; a progress bar is shown, but is no value."""
    return any(output.output_type == "execute_result" and WIDGET in output.data for output in cell.outputs)


def solution(notebook: NotebookNode, exercise: NotebookNode) -> str:
    """The code folded under the word Solution in the markdown cell that follows an exercise."""
    place = next(place for place, cell in enumerate(notebook.cells) if cell is exercise)
    following = "".join(cell.source for cell in notebook.cells[place + 1 : place + 2] if cell.cell_type == "markdown")
    if (found := SOLUTION.search(following)) is None:
        raise ValueError(f"no solution follows the exercise: {exercise.source[:60]!r}")
    return found[1]


def said(outputs: list[NotebookNode]) -> str:
    """What a cell printed."""
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def names(source: str) -> tuple[set[str], set[str]]:
    """The names of the notebook that a cell's code binds or changes, and those that it uses."""
    top, *inner = scopes(symtable.symtable(source, "cell", "exec"))
    bound = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    used |= {symbol.get_name() for scope in inner for symbol in scope.get_symbols() if symbol.is_global()}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()):
                bound.add(name)
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
                bound.add(name)
            case ast.AugAssign(target=ast.Name(id=name)):
                used.add(name)
    return bound, used


def scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from scopes(child)


def beneath(notebook: NotebookNode, chosen: Callable[[NotebookNode], bool]) -> list[NotebookNode]:
    """The chosen code cells and those that they stand on: which bind a name that a later one of them uses."""
    needed: set[str] = set()
    kept = []
    for cell in reversed(code_cells(notebook)):
        bound, used = names(cell.source)
        if chosen(cell) or bound & needed:
            needed |= used
            kept.append(cell)
    return kept[::-1]
