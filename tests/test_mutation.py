"""The list of seeded faults still fits the library, and the script tells a caught fault from one that is not."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # for good: the processes that it forks look there, too
mutation = importlib.import_module("mutation")
LISTED = mutation.mutations()


@pytest.mark.parametrize("fault", LISTED, ids=lambda fault: fault.name)
def test_a_fault_still_applies_and_is_python(fault):
    wrong = fault.applied((ROOT / fault.file).read_text(encoding="utf-8"))
    ast.parse(wrong)
    assert fault.tests and all((ROOT / test).exists() for test in fault.tests)


def test_there_are_enough_faults_of_both_parts_and_each_has_its_own_name():
    parts = [fault.part for fault in LISTED]
    assert parts.count("mathematics") >= 40 and parts.count("views") >= 20 and set(parts) == set(mutation.AIMS)
    assert len({fault.name for fault in LISTED}) == len(LISTED)
    assert all(("notebooks" in fault.file) == (fault.part == "views") for fault in LISTED)


@pytest.mark.parametrize(("source", "times"), [("x = 1\n", 0), ("a - b\na - b\n", 2)])
def test_a_fault_that_does_not_fit_is_named(source, times):
    fault = mutation.Mutation("views", "a swap", "tutorial_lib/x.py", "a - b", "b - a", [])
    with pytest.raises(ValueError, match=f"'a swap': expected 'a - b' once in .*x.py, found it {times} times"):
        fault.applied(source)


def test_it_tells_what_is_caught_from_what_is_not_and_mends_the_copy(tmp_path, monkeypatch):
    """A library of one line, a test that sees a wrong sign and one that sees nothing."""
    root = tmp_path / "root"
    for name, text in {
        "tutorial_lib/__init__.py": "",
        "tutorial_lib/sums.py": "def less(a, b):\n    return a - b\n",
        "tests/test_sees.py": "from tutorial_lib.sums import less\n\n\ndef test():\n    assert less(3, 1) == 2\n",
        "tests/test_blind.py": "from tutorial_lib.sums import less\n\n\ndef test():\n    assert less(1, 1) != 7\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(mutation, "ROOT", root)
    sign = ("mathematics", "the sign", "tutorial_lib/sums.py", "a - b", "a + b")
    seen, unseen = (mutation.Mutation(*sign, [f"tests/test_{name}.py"]) for name in ("sees", "blind"))
    with mutation.copies(1) as free:
        codes = [mutation.judged(fault, free) for fault in (seen, unseen)]
        assert mutation.healthy(seen.tests, free), "the fault is taken out again"
    assert codes == [mutation.FAILED, mutation.PASSED]
    assert (root / "tutorial_lib/sums.py").read_text() == "def less(a, b):\n    return a - b\n"
    told = mutation.report([seen, unseen], codes)
    assert told.splitlines() == [
        "mathematics: 1 of 2 caught, 50% (aim ≥ 95%)",
        "  survived: the sign (tutorial_lib/sums.py)",
    ]
