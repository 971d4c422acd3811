"""The summary of the slowest files, from reports made for it."""

import pytest

from .slowest import seconds_by_file


def report(nodeid, when, duration):
    return pytest.TestReport(nodeid, (nodeid, 0, ""), {}, "passed", None, when, duration=duration)


def test_a_files_seconds_are_its_set_ups_calls_and_tear_downs():
    reports = [report("a.py::f", when, 1.0) for when in ("setup", "call", "teardown")]
    reports += [report("b.ipynb::Cell 0", "call", 2.5), report("b.ipynb::Cell 1", "call", 2.0)]
    assert seconds_by_file(reports) == [("b.ipynb", 4.5), ("a.py", 3.0)]
