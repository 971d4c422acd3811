"""What every notebook keeps to: run in order, ending in verdicts, short in its cells, naming no folders of ours."""

import re
from collections.abc import Iterator

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from .cells import NOTEBOOKS, code_cells, is_exercise, names, said, solution

VERDICT = "# NBVAL_CHECK_OUTPUT"
CELL_LINES, FILE_BYTES, VERDICTS, EXERCISES = 30, 1_000_000, range(2, 7), range(2, 4)
# A place on one machine, in a text that a reader sees: /home/ada/…, /anywhere/at/all.py, C:\Users\…
MACHINE_PATH = re.compile(
    r"(?<![\w.:/])/((home|root|Users|tmp|mnt|private|opt|usr|var|srv)/|[\w./-]+\.(py|ipynb|safetensors)\b)|\b[A-Z]:\\"
)


def format_offences(notebook) -> Iterator[str]:
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as problem:
        yield f"not a valid notebook: {problem}"
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernelspec is not named python3"
    if "widgets" in notebook.metadata:
        yield "widget state is stored in the metadata"


def execution_offences(notebook) -> Iterator[str]:
    cells = code_cells(notebook)
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        yield f"not executed in order from a fresh kernel: the counts are {counts}"
    for cell in cells:
        if any(output.output_type == "error" for output in cell.outputs):
            yield f"an error is stored in: {first_line(cell)}"
        if any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"a progress bar or a warning is stored in: {first_line(cell)}"


def verdict_offences(notebook) -> Iterator[str]:
    verdicts = [cell for cell in code_cells(notebook) if VERDICT in cell.source]
    if len(verdicts) not in VERDICTS:
        yield f"{len(verdicts)} verdict cells, expected {VERDICTS[0]} to {VERDICTS[-1]}"
    for cell in verdicts:
        if "assert" not in cell.source:
            yield f"a verdict asserts nothing: {first_line(cell)}"
        if not any(output.output_type in ("stream", "execute_result", "display_data") for output in cell.outputs):
            yield f"a verdict has no stored output: {first_line(cell)}"


def length_offences(notebook) -> Iterator[str]:
    for cell in notebook.cells:
        if (lines := len(cell.source.splitlines())) > CELL_LINES:
            yield f"a cell has {lines} lines, more than {CELL_LINES}: {first_line(cell)}"


def shown_texts(cell) -> Iterator[str]:
    """Every text in a cell's outputs; pictures are not text."""
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield from output.get("traceback", [])
        for kind, value in output.get("data", {}).items():
            if not kind.startswith("image/"):
                yield re.sub(r"data:[\w/+-]+;base64,[\w+/=\s]*", "", str(value))


def path_offences(notebook) -> Iterator[str]:
    for cell in code_cells(notebook):
        for text in shown_texts(cell):
            if match := MACHINE_PATH.search(text):
                yield f"a path of one machine is shown: {text[match.start() :][:60]!r}"


def exercise_offences(notebook) -> Iterator[str]:
    """From each heading with the word Exercise to the next of them, something is folded: a hint or the solution."""
    folded: dict[str, bool] = {}
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"(?m)^(?=#)", cell.source):
                if re.match(r"#+ .*\bExercise\b", part):
                    heading = part.splitlines()[0]
                    folded[heading] = False
                if heading and "<details" in part:
                    folded[heading] = True
    for heading, has_details in folded.items():
        if not has_details:
            yield f"an exercise without <details>: {heading}"


def hole_offences(notebook) -> Iterator[str]:
    """An exercise is a hole that is told so; its folded solution follows, and stands where the hole stood."""
    holes = [cell for cell in notebook.cells if is_exercise(cell)]
    if len(holes) not in EXERCISES:
        yield f"{len(holes)} exercises, expected {EXERCISES[0]} to {EXERCISES[-1]}"
    for hole in holes:
        if "..." not in hole.source or ".judge(" not in hole.source:
            yield f"an exercise without a hole and a judge: {first_line(hole)}"
        if not said(hole.outputs).startswith("Not filled in yet"):
            yield f"the hole is not told that it is one: {first_line(hole)}"
        try:
            bound, used = names(solution(notebook, hole))
        except ValueError as problem:
            yield str(problem)
        else:
            if lost := names(hole.source)[0] & used - bound:
                yield f"the solution needs {', '.join(sorted(lost))} of the hole that it replaces: {first_line(hole)}"


def question_offences(notebook) -> Iterator[str]:
    """The code of a question holds its answers, and is folded away."""
    for cell in code_cells(notebook):
        if "quiz.question(" in cell.source and not cell.metadata.get("jupyter", {}).get("source_hidden"):
            yield f"a question shows its answers in its code: {first_line(cell)}"


def first_line(cell) -> str:
    return repr(next((line for line in cell.source.splitlines() if line != VERDICT), "")[:60])


RULES = [
    format_offences,
    execution_offences,
    verdict_offences,
    length_offences,
    path_offences,
    exercise_offences,
    hole_offences,
    question_offences,
]


def test_the_notebooks_are_found():
    assert "00_start_here" in {file.stem for file in NOTEBOOKS}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_keeps_the_rule(file, rule):
    assert list(rule(nbformat.read(file, as_version=nbformat.NO_CONVERT))) == []


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_small(file):
    assert file.stat().st_size <= FILE_BYTES


def exercise(number):
    """A heading, a hole, and its solution."""
    hole = new_code_cell(
        "n = 1\nx = ...\nquiz.judge(x, n)", metadata={"tags": ["exercise"]}, execution_count=number + 2
    )
    hole.outputs = [new_output("stream", text="Not filled in yet: replace the ...\n")]
    folded = "<details><summary>Solution</summary>\n\n```python\nn = 1\nx = n\nquiz.judge(x, n)\n```\n</details>"
    return new_markdown_cell(f"## Exercise {number}\nFill the hole."), hole, new_markdown_cell(folded)


def good_notebook():
    """Two verdicts, two exercises, an empty cell at the end: nothing to object to."""
    verdict = f"{VERDICT}\nassert True\nprint('holds')"
    cells = [
        new_markdown_cell("# A question"),
        new_code_cell(verdict, execution_count=1, outputs=[new_output("stream", text="holds\n")]),
        new_code_cell(verdict, execution_count=2, outputs=[new_output("stream", text="holds\n")]),
        *exercise(1),
        *exercise(2),
        new_code_cell(""),
    ]
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rules_let_a_good_notebook_pass(rule):
    assert list(rule(good_notebook())) == []


def spoil(notebook, name):
    """The good notebook with one thing wrong."""
    first, second, _, hole, folded = notebook.cells[1:6]
    if name == "no kernelspec":
        del notebook.metadata["kernelspec"]
    elif name == "widget state":
        notebook.metadata["widgets"] = {}
    elif name == "invalid":
        first["surprise"] = 1
    elif name == "never executed":
        second.execution_count = None
    elif name == "out of order":
        first.execution_count, second.execution_count = 2, 1
    elif name == "stored error":
        first.outputs.append(new_output("error", ename="ValueError", evalue="", traceback=[]))
    elif name == "stored progress":
        first.outputs.append(new_output("stream", name="stderr", text="  0%|          | 0/9"))
    elif name == "one verdict":
        second.source = "print('holds')"
    elif name == "no assertion":
        second.source = f"{VERDICT}\nprint('holds')"
    elif name == "no output":
        second.outputs = []
    elif name == "long cell":
        first.source += "\nx = 1" * CELL_LINES
    elif name == "path in text":
        first.outputs[0].text = "saved in /home/ada/tutorial"
    elif name == "path in warning":
        first.outputs[0].text = "<a>/anywhere/at/all.py:12: UserWarning"
    elif name == "path in html":
        html = {"text/html": "<b>C:\\Users</b> <img src='data:image/png;base64,ab/tmp/c='>"}
        first.outputs.append(new_output("display_data", data=html))
    elif name == "no details":
        notebook.cells.append(new_markdown_cell("## Exercise 3\nFill this one."))
    elif name == "one exercise":
        hole.metadata["tags"] = []
    elif name == "nothing to fill in":
        hole.source = hole.source.replace("...", "2")
    elif name == "no judge":
        hole.source = "n = 1\nx = ..."
    elif name == "not told":
        hole.outputs = []
    elif name == "no solution":
        folded.source = "<details>Think.</details>"
    elif name == "open question":
        second.source += "\nquiz.question('?', {})"
    elif name == "not whole":
        folded.source = folded.source.replace("n = 1\n", "")
    return notebook


@pytest.mark.parametrize(
    ("name", "rule", "message"),
    [
        ("no kernelspec", format_offences, "kernelspec"),
        ("widget state", format_offences, "widget state"),
        ("invalid", format_offences, "not a valid notebook"),
        ("never executed", execution_offences, "[1, None, 3, 4]"),
        ("out of order", execution_offences, "[2, 1, 3, 4]"),
        ("stored error", execution_offences, "error is stored"),
        ("stored progress", execution_offences, "progress bar or a warning"),
        ("one verdict", verdict_offences, "1 verdict cells"),
        ("no assertion", verdict_offences, "asserts nothing"),
        ("no output", verdict_offences, "no stored output"),
        ("long cell", length_offences, "33 lines"),
        ("path in text", path_offences, "/home/ada"),
        ("path in warning", path_offences, "/anywhere/at/all.py"),
        ("path in html", path_offences, "C:"),
        ("no details", exercise_offences, "Exercise 3"),
        ("one exercise", hole_offences, "1 exercises"),
        ("nothing to fill in", hole_offences, "without a hole"),
        ("no judge", hole_offences, "without a hole and a judge"),
        ("not told", hole_offences, "not told"),
        ("no solution", hole_offences, "no solution follows"),
        ("open question", question_offences, "shows its answers"),
        ("not whole", hole_offences, "needs n of the hole"),
    ],
)
def test_the_rules_find_what_is_wrong(name, rule, message):
    (offence,) = rule(spoil(good_notebook(), name))
    assert message in offence


def test_a_picture_and_a_relative_path_are_no_places():
    notebook = good_notebook()
    picture = {
        "image/png": "iVBOR+/tmp/abc",
        "text/html": "<img src='data:image/png;base64,+/tmp/abc'> figures/make.py",
    }
    notebook.cells[1].outputs.append(new_output("display_data", data=picture))
    assert list(path_offences(notebook)) == []
