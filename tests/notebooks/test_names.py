"""The names of a notebook: each exercise makes its own inputs, and no loop takes a name that the page goes on using."""

import ast
import builtins
import re
from collections.abc import Iterator

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from .cells import NOTEBOOKS, code_cells, is_exercise, names

HEADING = re.compile(r"(?m)^#+ ")


def lasting(source: str) -> set[str]:
    """What a cell imports or defines: names that mean one thing on the whole page."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        match node:
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
    return found


def sections(notebook) -> Iterator[list]:
    """The cells from one heading to the next."""
    cells: list = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and HEADING.search(cell.source):
            yield cells
            cells = []
        cells.append(cell)
    yield cells


def borrowed(notebook) -> Iterator[str]:
    """What an exercise takes from elsewhere on the page, which may mean another thing by then."""
    known = set(dir(builtins)).union(*(lasting(cell.source) for cell in code_cells(notebook)))
    for section in sections(notebook):
        own: set[str] = set()
        for cell in section:
            if cell.cell_type == "code" and cell.source.strip():
                bound, used = names(cell.source)
                if is_exercise(cell) and (lost := used - bound - own - known):
                    yield f"{', '.join(sorted(lost))} in {cell.source[:40]!r}"
                own |= bound


def loop_names(source: str) -> set[str]:
    """The names that the loops of a cell leave behind; those of a function or a comprehension stay inside."""
    found: set[str] = set()
    open_nodes: list[ast.AST] = [ast.parse(source)]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.For):
            found |= {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
        open_nodes += ast.iter_child_nodes(node)
    return found


def overwritten(notebook) -> Iterator[str]:
    """A name that a cell binds, a later loop takes, and a still later cell uses without binding it anew."""
    bound: set[str] = set()
    taken: dict[str, str] = {}
    for cell in code_cells(notebook):
        now, used = names(cell.source)
        loops = loop_names(cell.source)
        for name in sorted((used - now) & taken.keys()):
            yield f"{name}, taken by the loop of {taken[name][:40]!r}, is used in {cell.source[:40]!r}"
        taken = {name: source for name, source in taken.items() if name not in now - loops}
        taken |= {name: cell.source for name in loops & bound}
        bound |= now


RULES = [borrowed, overwritten]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_keeps_its_names(file, rule):
    assert list(rule(nbformat.read(file, as_version=nbformat.NO_CONVERT))) == []


def made(*cells):
    """A notebook of code cells; a cell that begins with # opens a section, one with ... is an exercise."""
    tags = {"tags": ["exercise"]}
    kinds = [new_markdown_cell if c.startswith("# ") else new_code_cell for c in cells]
    return new_notebook(cells=[k(c, metadata=tags if "..." in c else {}) for k, c in zip(kinds, cells, strict=True)])


@pytest.mark.parametrize(
    ("cells", "lost"),
    [
        (("import torch", "def f():\n    return 1", "# Exercise", "x = torch.ones(f())", "y = ...\nprint(x, y)"), ""),
        (("alpha = 1", "# Exercise", "y = ...\nprint(alpha, y)"), "alpha in"),
        (("# Exercise", "alpha = 1", "y = ...\nprint(alpha)", "# Next", "y = ...\nprint(alpha)"), "alpha in"),
        (("alpha = 1", "# Exercise", "alpha = 2\ny = ...\nprint(alpha, y)"), ""),
    ],
)
def test_what_an_exercise_borrows_is_found(cells, lost):
    found = list(borrowed(made(*cells)))
    assert [text.startswith(lost) for text in found] == [True] if lost else found == []


@pytest.mark.parametrize(
    ("cells", "lost"),
    [
        (("alpha = 1", "for alpha in (1, 5):\n    print(alpha)", "print(alpha)"), "alpha, taken"),
        (("alpha = 1", "for alpha in (1, 5):\n    print(alpha)", "alpha = 1\nprint(alpha)"), ""),
        (("alpha = 1", "print([alpha for alpha in (1, 5)])", "print(alpha)"), ""),
        (("alpha = 1", "def f():\n    for alpha in (1, 5):\n        print(alpha)", "print(alpha)"), ""),
        (("for t in (1, 5):\n    print(t)", "for t in (2, 3):\n    print(t)"), ""),
        (("a = 1", "if a:\n    for (a, b) in []:\n        pass", "print(a)"), "a, taken"),
    ],
)
def test_what_a_loop_takes_is_found(cells, lost):
    found = list(overwritten(made(*cells)))
    assert [text.startswith(lost) for text in found] == [True] if lost else found == []
