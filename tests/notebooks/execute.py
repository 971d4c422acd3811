"""Execute notebooks in place, as they are committed: from a fresh kernel, without widget state, times or progress bars.

make notebooks              all of them, one after another
make notebooks ONLY=04      those whose name has this in it
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from tqdm import tqdm

from .cells import NOTEBOOKS, code_cells

SECONDS = 600  # for one cell


def without_standard_error(notebook: NotebookNode) -> None:
    """Drop what cells wrote to standard error; a line that is no progress bar, such as a warning, is told here."""
    for cell in code_cells(notebook):
        written = "".join(output.text for output in cell.outputs if output.get("name") == "stderr")
        for line in written.split("\n"):
            if line.strip() and "\r" not in line:
                tqdm.write(line, file=sys.stderr)
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def execute(file: Path) -> None:
    notebook = nbformat.read(file, as_version=nbformat.NO_CONVERT)
    place = {"metadata": {"path": str(file.parent)}}
    options = dict(timeout=SECONDS, store_widget_state=False, record_timing=False, resources=place)
    NotebookClient(notebook, **options).execute()
    without_standard_error(notebook)
    nbformat.write(notebook, file)


def main(word: str = "") -> None:
    bar = tqdm([file for file in NOTEBOOKS if word in file.stem])
    for file in bar:
        bar.set_description(file.stem)
        execute(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
