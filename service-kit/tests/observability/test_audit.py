"""The file of the audit log: private, bounded, one line of JSON for each event."""

from __future__ import annotations

import errno
import io
import json
import logging
from contextlib import closing
from pathlib import Path

import pytest
from service_kit.observability import audit
from service_kit.observability.audit import AuditFile, SecurityEvent, audit_record


def fail(error: BaseException | None) -> None:
    pytest.fail(f"not written: {error}")


def test_an_event_is_one_private_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "log" / "audit.log"
    with closing(AuditFile(path, "orchestrator", fail)) as file:
        file.handle(audit_record(SecurityEvent.REFUSED, logging.WARNING, code="a\nb", address="192.0.2.7"))
    (line,) = path.read_text().splitlines()
    found = json.loads(line)
    assert found.pop("time").startswith("20")
    assert found == {
        "level": "warning",
        "service": "orchestrator",
        "logger": "audit",
        "message": "refused",
        "event": "refused",
        "code": "a\nb",
        "address": "192.0.2.7",
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_is_bounded_and_keeps_some_older_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_FILE_BYTES", 1_000)
    path = tmp_path / "audit.log"
    with closing(AuditFile(path, "orchestrator", fail)) as file:
        for number in range(100):
            file.handle(audit_record(SecurityEvent.TOKEN_USED, number=number))
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["audit.log", *(f"audit.log.{number}" for number in range(1, 5))]
    assert all(each.stat().st_size <= 1_000 and each.stat().st_mode & 0o777 == 0o600 for each in files)
    assert '"number": 99' in path.read_text()


def test_a_program_that_adds_a_line_leaves_the_rotation_to_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_FILE_BYTES", 100)
    path = tmp_path / "audit.log"
    for name in ("kitchen", "studio"):
        with closing(AuditFile(path, "anchor", fail, rotates=False)) as file:
            file.handle(audit_record(SecurityEvent.KEY_ADDED, key=name))
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["kitchen", "studio"]
    assert list(tmp_path.iterdir()) == [path]


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    errors: list[BaseException | None] = []
    with closing(AuditFile(tmp_path / "audit.log", "orchestrator", errors.append)) as file:
        file.stream.close()
        file.stream = FullDisk()  # type: ignore[assignment]
        file.handle(audit_record(SecurityEvent.REFUSED))
    assert ["No space left" in str(error) for error in errors] == [True]
