"""Collects what the tests of the claims measured, shows it at the end and, if asked, writes CLAIMS.md."""

from collections import defaultdict

import matplotlib.pyplot as plt
import pytest

from tutorial_lib import plots

from .claims import ledger


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-claims", action="store_true", help="write CLAIMS.md from what this run measured")


class Collector:
    """The process that reports; under xdist the workers' records arrive here with their reports."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.reports: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed and any(name == "claim" for name, _ in report.user_properties):
            self.reports.append(report)

    def records(self) -> dict[str, list[dict]]:
        found: dict[str, list[dict]] = defaultdict(list)
        for report in sorted(self.reports, key=lambda report: report.location):
            values = [value for name, value in report.user_properties if name == "claim"]
            found[report.location[0]].extend(values)  # type: ignore[arg-type]
        return found

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self.config.getoption("--write-claims") and exitstatus == 0:
            try:
                ledger.LEDGER.write_text(ledger.table(ledger.claims(), self.records()))
            except ValueError as problem:
                pytest.exit(str(problem), returncode=1)

    def pytest_terminal_summary(self, terminalreporter) -> None:
        if records := self.records():
            terminalreporter.section("claims")
        for file, values in records.items():
            for value in values:
                number = ledger.read_claim(ledger.ROOT / file).number
                measured = f"{value['label']}: {value['measured']}".removeprefix(": ")
                terminalreporter.line(f"{number:5} {measured}, threshold {value['threshold']}, floor {value['floor']}")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(config))


@pytest.fixture
def house_style():
    """Figures as a notebook draws them."""
    with plt.style.context(plots.STYLE):
        yield
    plt.close("all")
