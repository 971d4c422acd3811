"""The questions of all notebooks: neither the place nor the length of an answer tells that it is the right one."""

import ast
from collections.abc import Iterator

import nbformat

from tutorial_lib import quiz

from .cells import NOTEBOOKS, code_cells

FAIR = 0.5  # the largest share of questions in which the right answer may stand first, or be the longest


def questions() -> Iterator[tuple[str, list[str], str]]:
    """(text, answers in the order shown, the right one) of every `quiz.question` whose words stand in the notebook."""
    for file in NOTEBOOKS:
        for cell in code_cells(nbformat.read(file, as_version=nbformat.NO_CONVERT)):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "quiz.question":
                    text, answers = (ast.literal_eval(argument) for argument in node.args)
                    (right,) = (answer for answer, (is_right, _) in answers.items() if is_right)
                    yield text, quiz.shuffled(answers, text), right


def test_neither_place_nor_length_betrays_the_right_answer():
    found = list(questions())
    assert len(found) >= 2 * len(NOTEBOOKS) - 1
    first = sum(shown[0] == right for _, shown, right in found) / len(found)
    longest = sum(max(shown, key=len) == right for _, shown, right in found) / len(found)
    assert 0 < first <= FAIR and 0 < longest <= FAIR
