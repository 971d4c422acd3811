"""A pytest plugin: where `--durations=N` lists the N slowest tests, this lists the N slowest files as well."""

from collections import defaultdict

import pytest
from _pytest.terminal import TerminalReporter


def seconds_by_file(reports: list[pytest.TestReport]) -> list[tuple[str, float]]:
    """(file, seconds of its tests, their set-up and tear-down included), slowest first."""
    seconds: dict[str, float] = defaultdict(float)
    for report in reports:
        seconds[report.nodeid.partition("::")[0]] += report.duration
    return sorted(seconds.items(), key=lambda found: -found[1])


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if not (shown := config.getoption("durations")):
        return
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    seconds = seconds_by_file([report for report in reports if isinstance(report, pytest.TestReport)])
    terminalreporter.section(
        f"slowest {shown} files of {len(seconds)}, in all {sum(taken for _, taken in seconds):.0f} s"
    )
    for file, taken in seconds[:shown]:
        terminalreporter.line(f"{taken:7.1f} s  {file}")
