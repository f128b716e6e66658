"""The measured speeds: real engines where they are, and a line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tts_service.measure import SENTENCES, installed_engines, measure, measure_engine
from tts_service.routing.kokoro_use import KOKORO_LANGUAGES
from tts_service.settings import TtsSettings


def test_the_sentences_have_twelve_words_and_a_first_clause() -> None:
    for sentences in SENTENCES.values():
        for sentence in sentences.values():
            assert len(sentence.split()) in (12, 13)
            assert sentence.index(",") < 25


def test_kokoro_is_measured_in_each_language_that_it_may_speak() -> None:
    assert tuple(SENTENCES["kokoro"]) == KOKORO_LANGUAGES


async def test_espeak_is_faster_than_real_time() -> None:
    ((row, speed),) = [each async for each in measure_engine("espeak", TtsSettings())]
    assert row == "espeak"
    assert 0 < speed.first_result_s < 5
    assert 0 < speed.real_time_factor < 1


async def test_an_engine_that_cannot_load_is_left_out(tmp_path) -> None:
    *_, speeds = [each async for each in measure(TtsSettings(models_dir=tmp_path))]
    assert "espeak" in speeds
    assert not any(row.startswith("kokoro") for row in speeds)


async def test_a_language_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """eSpeak in place of an engine of two languages, of which it speaks one."""
    monkeypatch.setattr("tts_service.measure.SENTENCES", {"espeak": {"zz": "Uno, dos.", "es": "Uno, dos."}})
    assert [row async for row, _ in measure_engine("espeak", TtsSettings())] == ["espeak:es"]


def test_kokoro_counts_as_installed_with_its_model(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHOR_MODELS_DIR", str(tmp_path))
    assert installed_engines() == ["espeak", "hibari"]
    (tmp_path / "kokoro").mkdir()
    assert installed_engines() == ["espeak", "hibari", *(f"kokoro:{language}" for language in KOKORO_LANGUAGES)]


def test_the_command_prints_an_object_after_each_engine(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tts_service.measure"],
        capture_output=True, text=True, timeout=120, check=True, env={"ANCHOR_MODELS_DIR": str(tmp_path)},
    )  # fmt: skip
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(speeds) for speeds in printed] == [[], ["espeak"], ["espeak", "hibari"]]
    assert set(printed[-1]["hibari"]) == {"first_result_s", "real_time_factor"}
