"""The machine profile: what is written is read, and an unusable file is ignored with a warning."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from service_kit.engines.machine_profile import EngineSpeed, MachineProfile, read_profile, write_profile


def test_written_profile_is_read(tmp_path: Path) -> None:
    profile = MachineProfile(2, 8 << 30, {"whisper-base": EngineSpeed(0.27, 0.09)})
    write_profile(tmp_path / "new" / "machine.json", profile)
    assert read_profile(tmp_path / "new" / "machine.json") == profile
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["machine.json"]


def test_missing_profile_is_none_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_profile(tmp_path / "machine.json") is None
    assert not caplog.records


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2}',
        '{"version": 1, "cores": "two"}',
        '{"version": 1, "cores": Infinity, "memory_bytes": 1, "engines": {}}',
        "\x00",
    ],
)
def test_unusable_profile_is_ignored_with_a_warning(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "machine.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert read_profile(tmp_path / "machine.json") is None
    assert [record.message for record in caplog.records] == ["machine profile ignored"]
