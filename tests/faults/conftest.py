"""The meshes of the suite, and the table at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mesh_pool import MeshPool
from trial_table import HEADER, PROPERTY


@pytest.fixture(scope="session")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshPool]:
    """The meshes of all trials."""
    pool = MeshPool(tmp_path_factory)
    yield pool
    pool.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of all trials."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    rows = [row for report in reports for name, row in getattr(report, "user_properties", ()) if name == PROPERTY]
    if rows:
        terminalreporter.section("faults")
        for line in (*HEADER, *sorted(set(rows))):
            terminalreporter.write_line(line)
