"""For the whole suite: where skipping is not allowed, a skip fails the run."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["service_kit.testing.plugin"]

REQUIRE_ALL = "ANCHOR_REQUIRE_ALL"


def _unwanted_skips(session: pytest.Session) -> list[pytest.TestReport]:
    """Tests that were skipped although everything is required here; those that need a GPU may be."""
    if not os.environ.get(REQUIRE_ALL):
        return []
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:
        # One of several processes that share the work; the one that gathers their reports sees to it.
        return []
    return [report for report in terminal.stats.get("skipped", []) if "gpu" not in getattr(report, "keywords", ())]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unwanted_skips(session) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skips := _unwanted_skips(terminalreporter._session):
        terminalreporter.section(f"{REQUIRE_ALL} is set: these must not be skipped", red=True)
        for report in skips:
            terminalreporter.write_line(f"{report.nodeid}: {report.longrepr[2] if report.longrepr else ''}")
