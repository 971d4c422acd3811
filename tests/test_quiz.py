"""The judge says what is wrong and never what is right; options do not betray the answer; a guess is remembered."""

import itertools
import math

import pytest
import torch

from tutorial_lib import quiz

TABLE = torch.tensor([[0.5, 0.1, 0.05], [0.2, 0.1, 0.05]])  # sums to one


def said(capsys, *args, **options):
    quiz.judge(*args, **options)
    return capsys.readouterr().out.strip()


def test_a_hole_is_told_that_it_is_one(capsys):
    assert said(capsys, ..., 2.0) == quiz.HOLE


@pytest.mark.parametrize("answer", [TABLE, TABLE.double(), TABLE * 1.005, TABLE.tolist()])
def test_what_is_right_within_the_tolerance_is_called_correct(answer, capsys):
    assert said(capsys, answer, TABLE).startswith("Correct")


def test_a_near_miss_is_told_in_digits_that_show_it(capsys):
    told = said(capsys, 1.38629, math.log(4), tolerance=1e-7)
    assert told.startswith("Not yet") and "off by 0.00031 % of its size (1e-05 % counts as right)" in told


def test_a_tensor_is_told_how_many_entries_and_where(capsys):
    wrong = TABLE.clone()
    wrong[1, 0], wrong[1, 2] = 0.9, 0.7
    told = said(capsys, wrong, TABLE, what="table")
    assert "2 of 6 entries of the table are wrong, the first at [1, 0]" in told and "140 %" in told  # 0.7 / 0.5


def test_a_mask_is_counted_and_has_no_size(capsys):
    mask = torch.tensor([True, False, True, True])
    told = said(capsys, torch.tensor([True, True, True, True]), mask)
    assert "1 of 4 entries" in told and "[1]" in told and "size" not in told
    assert "every other place" in said(capsys, ~mask, mask)


@pytest.mark.parametrize(("answer", "where"), [(torch.tensor([1.0, math.nan]), "[1]"), (math.inf, "not finite")])
def test_what_is_not_finite_is_told_so(answer, where, capsys):
    told = said(capsys, answer, torch.ones_like(torch.as_tensor(answer)))
    assert told.startswith("Not yet") and "not finite" in told and where in told and "nan %" not in told


@pytest.mark.parametrize(
    ("slip", "answer"),
    [
        ("minus", -TABLE),
        ("twice", 2 * TABLE),
        ("half", TABLE / 2),
        ("logarithm", TABLE.log()),
        ("exponential", TABLE.exp()),
        ("first axis reversed", TABLE.flip(0)),
        ("last axis reversed", TABLE.flip(1)),
        ("before it is normalised", 7 * TABLE),
        ("constant that is added", TABLE - 3),
    ],
)
def test_everybodys_slips_are_recognised(slip, answer, capsys):
    told = said(capsys, answer, TABLE)
    assert told.startswith("Not yet") and "It looks like" in told and slip in told


def test_a_factor_and_a_transposed_table_are_recognised(capsys):
    square = torch.arange(9.0).reshape(3, 3)
    assert "constant factor" in said(capsys, 7 * square, square) and "transposed" in said(capsys, square.T, square)


@pytest.mark.parametrize("truth", [2.7, torch.tensor([1.3, 0.4, 2.0])])
def test_a_few_numbers_are_not_mended_by_chance(truth, capsys):
    answer = torch.as_tensor(truth) * torch.tensor(1.37) + 0.11
    assert "It looks like" not in said(capsys, answer, truth)


def test_a_slip_that_the_page_names_comes_first(capsys):
    told = said(capsys, 2.0, 1.0, slips={"the value without its ½": 2.0, "another": 3.0})
    assert "It looks like the value without its ½." in told and "twice" not in told


def test_a_wrong_shape_and_a_wrong_type_are_told(capsys):
    assert "shape [2, 3], got [3, 2]" in said(capsys, TABLE.T, TABLE)
    assert "got str" in said(capsys, "two", 2.0) and "got NoneType" in said(capsys, None, 2.0)


@pytest.mark.parametrize("answer", [0.123, torch.tensor(0.123), 7.0, math.nan, "two"])
def test_the_answer_is_never_given_away(answer, capsys):
    assert "0.98765" not in said(capsys, answer, 0.98765) and "0.988" not in said(capsys, answer, 0.98765)


def test_options_are_shuffled_and_the_same_every_time():
    answers = {word: (word == "a", "why") for word in "abcd"}
    orders = [quiz.question(f"Question {n}?", answers).children[1].options for n in range(60)]
    assert orders == [quiz.question(f"Question {n}?", answers).children[1].options for n in range(60)]
    first = [order[0] for order in orders].count("a")
    assert 5 <= first <= 27 and all(sorted(order) == list("abcd") for order in orders)


def test_a_question_explains_what_was_picked_and_has_one_right_answer():
    box = quiz.question("?", {"yes": (True, "since so"), "no": (False, "for not")})
    for picked, begins in (("yes", "<b>Right.</b> since so"), ("no", "<b>Not quite.</b> for not")):
        box.children[1].value = picked
        assert box.children[2].value == begins
    for wrong in ({"a": (False, "")}, {"a": (True, ""), "b": (True, "")}):
        with pytest.raises(ValueError, match="exactly one"):
            quiz.question("?", wrong)


@pytest.mark.parametrize(
    ("guess", "begins"), [(None, "You made no guess"), ("up", "As you said"), ("down", "You said")]
)
def test_a_guess_is_kept_and_answered(guess, begins, capsys):
    prediction = quiz.predict("Which way?", "up", "down")
    prediction.options.value = guess
    assert capsys.readouterr().out == ""
    prediction.reveal("up", "It rises.")
    told = capsys.readouterr().out
    assert told.startswith(begins) and told.endswith("up. It rises.\n")


def test_a_prediction_needs_answers_that_differ_and_a_right_one_among_them():
    for answers in itertools.product([("up",), ("up", "up"), ()]):
        with pytest.raises(ValueError, match="two or more different"):
            quiz.predict("Which way?", *answers[0])
    with pytest.raises(ValueError, match="one of the answers"):
        quiz.predict("Which way?", "up", "down").reveal("left", "")


def mean(x):
    total = x.sum()  # right: every entry counts.
    share = total * len(x)  # planted: A mean divides by the number.
    return share


def test_a_planted_bug_is_shown_without_its_remarks():
    shown = " 1  def mean(x):\n 2      total = x.sum()\n 3      share = total * len(x)\n 4      return share"
    assert repr(quiz.bug(mean)) == shown


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (..., quiz.HOLE),
        (3, "Correct: line 3. A mean divides by the number."),
        (2, "Not yet: line 2 is as it should be. every entry counts."),
        (4, "Not yet: line 4 is as it should be."),
        (5, "Not yet: expected the number of a line, 1 to 4, got 5."),
        ("three", "Not yet: expected the number of a line, 1 to 4, got 'three'."),
    ],
)
def test_the_line_of_a_bug_is_judged(line, told, capsys):
    quiz.bug(mean).judge(line)
    assert capsys.readouterr().out.strip() == told


def test_a_bug_is_planted_once():
    with pytest.raises(ValueError, match="one line of said marked '# planted: why', got 0"):
        quiz.bug(said)
