"""The measured speeds: real engines where they are, and a line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys

from tts_service.measure import SENTENCES, measure, measure_engine
from tts_service.settings import TtsSettings


def test_the_sentences_have_twelve_words_and_a_first_clause() -> None:
    for _, sentence in SENTENCES.values():
        assert len(sentence.split()) in (12, 13)
        assert sentence.index(",") < 25


async def test_espeak_is_faster_than_real_time() -> None:
    speed = await measure_engine("espeak", TtsSettings())
    assert 0 < speed.first_result_s < 5
    assert 0 < speed.real_time_factor < 1


async def test_an_engine_that_cannot_load_is_left_out(tmp_path) -> None:
    speeds = await measure(TtsSettings(models_dir=tmp_path))
    assert "espeak" in speeds
    assert "kokoro" not in speeds


def test_the_command_prints_one_object(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tts_service.measure"],
        capture_output=True, text=True, timeout=120, check=True, env={"ANCHOR_MODELS_DIR": str(tmp_path)},
    )  # fmt: skip
    measured = json.loads(done.stdout)
    assert set(measured["hibari"]) == {"first_result_s", "real_time_factor"}
    assert len(done.stdout.splitlines()) == 1
