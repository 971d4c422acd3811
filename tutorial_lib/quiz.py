"""Self-checks: a question with its answers explained, and a judge for an exercise's hole.

A judge compares with the exact answer and says how far off the reader is. An untouched hole (`...`) is told so.
"""

from collections.abc import Mapping
from typing import Any

import ipywidgets as ui
import torch

HOLE = "Not filled in yet: replace the ... above and run the cell again."


def judge(answer: Any, truth: Any, *, tolerance: float = 0.01, what: str = "answer") -> None:
    """Print how far `answer` is from `truth`, as the largest difference over the truth's largest size, and whether that
    is within `tolerance`. Both are a number or a tensor of one shape. `...` counts as not yet tried."""
    if answer is ...:
        print(HOLE)
        return
    expected = torch.as_tensor(truth, dtype=torch.float64).detach()
    try:
        came = torch.as_tensor(answer, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError):
        print(f"Not yet: the {what} should be a number or a tensor, got {type(answer).__name__}.")
        return
    if came.shape != expected.shape:
        print(f"Not yet: the {what} should have shape {list(expected.shape)}, got {list(came.shape)}.")
        return
    off = ((came - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()
    right = off <= tolerance
    print(f"{'Correct' if right else 'Not yet'}: the {what} is off by {off:.2%} (within {tolerance:.2%} counts).")


def question(text: str, answers: Mapping[str, tuple[bool, str]]) -> ui.VBox:
    """A multiple-choice question: answer → (is it right?, why). The reason appears when an answer is picked."""
    if sum(right for right, _ in answers.values()) != 1:
        raise ValueError("expected exactly one right answer")
    options = ui.RadioButtons(options=list(answers), value=None, layout=ui.Layout(width="auto"))
    verdict = ui.HTML(layout=ui.Layout(min_height="2.5em"))

    def picked(change: Any) -> None:
        right, why = answers[change["new"]]
        verdict.value = f"<b>{'Right' if right else 'Not quite'}.</b> {why}"

    options.observe(picked, names="value")
    box = ui.VBox([ui.HTML(f"<b>{text}</b>"), options, verdict])
    box.add_class("tutorial-quiz")
    return box
