"""What a page says in comparison is asserted on that page: all of the list, and no title is missing from it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

import tutorial_lib.notebooks

from .cells import NOTEBOOKS, code_cells
from .statements import STATEMENTS

ROOMS = Path(tutorial_lib.notebooks.__file__).parent
COMPARING = re.compile(
    r"\b(more|less|fewer|most|least|than|only|first|best|worst|better|worse|cheap|dear|alone|never|always|every|both"
    r"|larg\w+|small\w+|near\w+|clos\w+|high\w+|low\w+|furthe\w+|earlie\w+|faste\w+|slowe\w+|below|above|rarer?|evener"
    r"|falls?|rises?|grows?|shrinks?|keeps?|loses?|lost|wins?|beats?|needs?|does|held|gone)\b"
)
TITLES = ("set_title", "suptitle")


def words(text: str) -> str:
    return " ".join(text.split())


def modules(stem: str) -> list[str]:
    return [file.read_text() for file in sorted((ROOMS / f"s{stem}").glob("*.py"))]


def titles(source: str) -> Iterator[str]:
    """The texts that a piece of code gives as titles, without what it fills in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            given = node.args[:1] if called in TITLES else []
            for value in given + [keyword.value for keyword in node.keywords if keyword.arg == "title"]:
                for part in ast.walk(value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_what_is_listed_stands_on_the_page_and_is_asserted_there(file):
    notebook = nbformat.read(file, as_version=nbformat.NO_CONVERT)
    code = [cell.source for cell in code_cells(notebook)]
    page = words("\n".join([cell.source for cell in notebook.cells] + modules(file.stem)))
    for sentence, assertion in STATEMENTS[file.stem]:
        assert words(sentence) in page, f"not on the page: {sentence}"
        assert assertion.startswith("assert "), f"not an assertion: {assertion}"
        assert any(words(assertion) in words(source) for source in code), f"not asserted there: {assertion}"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_no_comparing_title_is_missing_from_the_list(file):
    listed = " | ".join(sentence for sentence, _ in STATEMENTS[file.stem])
    code = [cell.source for cell in code_cells(nbformat.read(file, as_version=nbformat.NO_CONVERT))]
    found = {title for source in code + modules(file.stem) for title in titles(source) if COMPARING.search(title)}
    assert [title for title in sorted(found) if words(title) not in words(listed)] == []


def test_every_page_has_statements():
    assert list(STATEMENTS) == [file.stem for file in NOTEBOOKS] and all(STATEMENTS.values())


def test_titles_are_found_wherever_they_are_given():
    code = "ax.set_title('A grows'); ax.set(title=f'B falls {x:.1f}', xlabel='no'); show(title='C' if y else 'D best')"
    assert list(titles(code)) == ["A grows", "B falls ", ".1f", "C", "D best"]
    assert [bool(COMPARING.search(title)) for title in titles(code)] == [True, True, False, False, True]
