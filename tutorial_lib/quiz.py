"""Questions for a reader: a guess before a figure, a self-check after it, a judge for an exercise, a planted bug.

    guess = quiz.predict("Which way does KL go as α falls?", "up", "down", "nowhere")   # before the figure
    guess.reveal("up", "because …")                                                     # below it
    quiz.question("…", {"an answer": (True, "why it is right"), "another": (False, "why not")})
    quiz.judge(answer, truth, slips={"the first guess of most": value})
    bug = quiz.bug(loop)                                     # shows its lines with their numbers
    bug.judge(7)

A judge compares with the exact answer and says how far off the reader is, how often, and which common slip it looks
like. It never says what the answer is. An untouched hole (`...`) is told so.
"""

import inspect
import random
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as ui
import torch
from torch import Tensor

HOLE = "Not filled in yet: replace the ... above and run the cell again."


def judge(
    answer: Any,
    truth: Any,
    *,
    tolerance: float = 0.01,
    what: str = "answer",
    slips: Mapping[str, Any] | None = None,
) -> None:
    """Print whether `answer` is `truth`, and if not how it differs. Both are a number or a tensor of one shape.

    tolerance: of the largest difference, as a share of the truth's largest size. slips: wrong answers that are to be
    recognised, by what they are, such as {"the value at α = 1": …}. `...` counts as not yet tried.
    """
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
    elif agree(came, expected, tolerance):
        print(f"Correct: the {what} is right to {percent(distance(came, expected))} of its size.")
    else:
        looks = "".join(f" It looks like {slip}." for slip in recognised(came, expected, tolerance, slips or {})[:1])
        print(f"Not yet: {differs(came, expected, tolerance, what)}.{looks}")


def distance(came: Tensor, expected: Tensor) -> float:
    """The largest difference over the truth's largest size."""
    return ((came - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()


def agree(came: Tensor, expected: Tensor, tolerance: float) -> bool:
    return distance(came, expected) <= tolerance  # False where a NaN is


def percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def differs(came: Tensor, expected: Tensor, tolerance: float, what: str) -> str:
    """How an answer differs: not finite, by how much, and for tensors in how many entries and where first."""
    if not came.isfinite().all():
        return f"the {what} is not finite{_first(~came.isfinite())}"
    wrong = (came - expected).abs() > tolerance * expected.abs().max().clamp_min(1e-12)
    far = f"{percent(distance(came, expected))} of its size ({percent(tolerance)} counts as right)"
    if came.ndim == 0:
        return f"the {what} is off by {far}"
    share = f"{int(wrong.sum())} of {wrong.numel()} entries of the {what} are wrong{_first(wrong)}"
    two_valued = bool(((expected == 0) | (expected == 1)).all())
    return share if two_valued else f"{share}, by up to {far}"


def _first(wrong: Tensor) -> str:
    return f", the first at {wrong.nonzero()[0].tolist()}" if wrong.ndim else ""


def recognised(came: Tensor, expected: Tensor, tolerance: float, slips: Mapping[str, Any]) -> list[str]:
    """The slips that an answer looks like: first those that the page names, then everybody's."""
    named = {name: torch.as_tensor(value, dtype=torch.float64).detach() for name, value in slips.items()}
    found = [name for name, value in named.items() if value.shape == came.shape and agree(came, value, tolerance)]
    for name, mend in COMMON.items():
        mended = mend(came, expected)
        if mended.shape == expected.shape and agree(mended, expected, tolerance):
            found.append(name)
    return found


FEW = 3  # entries, of which one can be mended by chance


def _normalised(came: Tensor, expected: Tensor) -> Tensor:
    total = expected.sum()
    return came / came.sum() if came.numel() > FEW and abs(total - 1) < 1e-6 else came


def _raised(came: Tensor, expected: Tensor) -> Tensor:
    return came + (expected - came).mean() if came.numel() > FEW else came


def _factor(came: Tensor, expected: Tensor) -> Tensor:
    return came * ((came * expected).sum() / came.square().sum()) if came.numel() > FEW else came


# Everybody's slips: what it looks like, and how the answer would be mended if that were all.
COMMON: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "minus the right one": lambda came, _: -came,
    "exactly twice the right one": lambda came, _: came / 2,
    "exactly half of the right one": lambda came, _: came * 2,
    "the square of the right one": lambda came, _: came.abs().sqrt(),
    "the square root of the right one": lambda came, _: came.square(),
    "one over the right one": lambda came, _: 1 / came,
    "the logarithm of the right one": lambda came, _: came.exp(),
    "the exponential of the right one": lambda came, _: came.log(),
    "the right one with its first axis reversed": lambda came, _: came.flip(0) if came.ndim else came,
    "the right one with its last axis reversed": lambda came, _: came.flip(-1) if came.ndim else came,
    "the right one transposed": lambda came, _: came.mT if came.ndim == 2 else came,
    "the right one in every other place (true for false)": lambda came, _: 1 - came,
    "the right one before it is normalised": _normalised,
    "the right one up to a constant that is added": _raised,
    "the right one up to a constant factor": _factor,
}


def shuffled(answers: Any, text: str) -> list[str]:
    """The answers in an order that the text alone decides."""
    return random.Random(text).sample(sorted(answers), len(answers))


def question(text: str, answers: Mapping[str, tuple[bool, str]]) -> ui.VBox:
    """A multiple-choice question: answer → (is it right?, why). The reason appears when an answer is picked."""
    if sum(right for right, _ in answers.values()) != 1:
        raise ValueError("expected exactly one right answer")
    options = ui.RadioButtons(options=shuffled(answers, text), value=None, layout=ui.Layout(width="auto"))
    verdict = ui.HTML(layout=ui.Layout(min_height="2.5em"))

    def picked(change: Any) -> None:
        right, why = answers[change["new"]]
        verdict.value = f"<b>{'Right' if right else 'Not quite'}.</b> {why}"

    options.observe(picked, names="value")
    box = ui.VBox([ui.HTML(f"<b>{text}</b>"), options, verdict])
    box.add_class("tutorial-quiz")
    return box


class Prediction(ui.VBox):
    """A guess that the reader commits to before a figure is drawn, and that is answered below the figure."""

    def __init__(self, text: str, answers: tuple[str, ...]):
        self.answers = answers
        self.options = ui.RadioButtons(options=list(answers), value=None, layout=ui.Layout(width="auto"))
        super().__init__([ui.HTML(f"<b>Predict:</b> {text}"), self.options])
        self.add_class("tutorial-prediction")

    def reveal(self, right: str, why: str) -> None:
        """Print whether the guess was `right`, one of the answers, and why it is."""
        if right not in self.answers:
            raise ValueError(f"expected one of the answers {list(self.answers)}, got {right!r}")
        guess = self.options.value
        said = "You made no guess" if guess is None else "As you said" if guess == right else f"You said “{guess}”"
        print(f"{said}: {right}. {why}")


def predict(text: str, *answers: str) -> Prediction:
    """A question to be answered before a figure is drawn; `reveal` it in the cell below the figure."""
    if len(set(answers)) < 2 or len(set(answers)) < len(answers):
        raise ValueError(f"expected two or more different answers, got {list(answers)}")
    return Prediction(text, answers)


REMARK = re.compile(r"\s*# (planted|right): (.*)$")


class Bug:
    """A function that runs and is wrong in one line, shown with its lines numbered; `judge` a line's number."""

    def __init__(self, function: Callable[..., Any]):
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
        found = {number: match for number, line in enumerate(lines, 1) if (match := REMARK.search(line))}
        planted = [number for number, match in found.items() if match[1] == "planted"]
        if len(planted) != 1:
            raise ValueError(f"expected one line of {function.__name__} marked '# planted: why', got {len(planted)}")
        self.line, self.why = planted[0], {number: match[2] for number, match in found.items()}
        self.lines = [REMARK.sub("", line) for line in lines]

    def __repr__(self) -> str:
        return "\n".join(f"{number:>2}  {line}".rstrip() for number, line in enumerate(self.lines, 1))

    def judge(self, line: Any) -> None:
        """Print whether `line` is the number of the wrong line, and why it is or is not. `...`: not yet tried."""
        if line is ...:
            print(HOLE)
        elif line not in range(1, len(self.lines) + 1):
            print(f"Not yet: expected the number of a line, 1 to {len(self.lines)}, got {line!r}.")
        elif line == self.line:
            print(f"Correct: line {line}. {self.why[line]}")
        else:
            print(f"Not yet: line {line} is as it should be. {self.why.get(line, '')}".rstrip())


def bug(function: Callable[..., Any]) -> Bug:
    """A planted bug: `function` has one line that ends in `# planted: why it is wrong`, and may have `# right: why`."""
    return Bug(function)
