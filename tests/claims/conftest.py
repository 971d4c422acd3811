"""The `claim` fixture: a test of a claim tells the ledger what it measured."""

import pytest


class Recorder:
    def __init__(self, record_property) -> None:
        self.record_property = record_property

    def record(
        self, *, measured: str, threshold: str, floor: str = "none", seed: int | None = None, label: str = ""
    ) -> None:
        """One measurement, rounded and with its unit. `label` tells several of one claim apart."""
        if seed is not None:
            measured += f" (seed {seed})"
        self.record_property("claim", {"measured": measured, "threshold": threshold, "floor": floor, "label": label})


@pytest.fixture
def claim(record_property) -> Recorder:
    return Recorder(record_property)
