"""Plugins for every run of pytest here, of tests/ as of notebooks/."""

pytest_plugins = ["tests.notebooks.solutions", "tests.shared", "tests.slowest"]
