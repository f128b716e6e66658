"""With `ANCHOR_REQUIRE_ALL` set, a skipped test fails the run, except those that need a GPU, IPv6 or a pulled model."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["service_kit.testing.plugin"]

REQUIRE_ALL = "ANCHOR_REQUIRE_ALL"


def _unwanted_skips(session: pytest.Session) -> list[pytest.TestReport]:
    """Skipped tests, without those of the marks that allow it; empty when `ANCHOR_REQUIRE_ALL` is not set."""
    if not os.environ.get(REQUIRE_ALL):
        return []
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:
        # A worker of pytest-xdist; the controller has the reports.
        return []
    skipped = terminal.stats.get("skipped", [])
    return [report for report in skipped if not {"gpu", "ipv6", "pulled"} & set(getattr(report, "keywords", ()))]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unwanted_skips(session) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skips := _unwanted_skips(terminalreporter._session):
        terminalreporter.section(f"{REQUIRE_ALL} is set: these tests must not be skipped", red=True)
        for report in skips:
            terminalreporter.write_line(f"{report.nodeid}: {report.longrepr[2] if report.longrepr else ''}")
