"""Natural wrong answers to the exercises, one module a notebook, under the notebook's name with an s before it.

WRONG = {exercise's number, in the page's order: [(code, what the judge must say), …]}

The code stands where the hole stood, as a reader would write it. Each is refused, and told what it looks like.
"""

import importlib
import importlib.util

Attempts = dict[int, list[tuple[str, str]]]


def attempts(stem: str) -> Attempts:
    """The wrong answers to the exercises of a notebook, by its file's name; none where no module has them."""
    module = f"{__name__}.s{stem}"
    return importlib.import_module(module).WRONG if importlib.util.find_spec(module) else {}
