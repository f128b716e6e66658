"""Settings of other voice servers: those without a counterpart are answered, each by one line."""

from __future__ import annotations

import pytest
from service_kit.familiar_settings import FamiliarSettings, answer_familiar_settings

UNUSED = ("AUDIO_CHUNK_SIZE", "BUFFER_SIZE_MS", "STT_BATCH_SIZE", "TTS_STREAM_CHUNK_SIZE", "ENABLE_MEMORY_POOL")


def test_nothing_is_said_of_what_is_not_set() -> None:
    assert list(answer_familiar_settings(FamiliarSettings())) == []


@pytest.mark.parametrize("name", UNUSED)
def test_a_setting_without_a_counterpart_is_answered_by_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "4096")
    (line,) = answer_familiar_settings(FamiliarSettings())
    assert line.startswith(f"{name} is not used: ")


@pytest.mark.parametrize(("value", "lines"), [("true", 0), ("1", 0), ("false", 1), ("0", 1)])
def test_voice_activity_detection_cannot_be_switched_off(
    value: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAD_FILTER", value)
    assert len(list(answer_familiar_settings(FamiliarSettings()))) == lines
