"""What a Kokoro worker does with phonemes and voices before the model runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tts_service.engines.kokoro.voices import STYLE_BYTES, list_voices
from tts_service.engines.kokoro.worker import read_style, split_runs


def test_runs_end_at_clauses_and_keep_every_phoneme() -> None:
    phonemes = ", ".join(["bwˈenas nˈoʧes a tˈoðos"] * 20) + "."
    runs = split_runs(phonemes)
    assert len(runs) > 2
    assert all(run.endswith((",", ".")) and len(run) <= 160 for run in runs)
    assert "".join(runs).replace(" ", "") == phonemes.replace(" ", "")


@pytest.mark.parametrize("phonemes", ["a" * 2000, "abc " * 500])
def test_a_run_never_exceeds_the_model(phonemes: str) -> None:
    runs = split_runs(phonemes)
    assert max(map(len, runs)) <= 510
    assert "".join(runs).replace(" ", "") == phonemes.replace(" ", "")


def test_no_phonemes_make_no_run() -> None:
    assert split_runs("") == []


def test_voice_file_of_another_size_is_not_listed_and_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / "ef_dora.bin").write_bytes(bytes(STYLE_BYTES))
    (folder / "em_alex.bin").write_bytes(bytes(STYLE_BYTES - 4))
    (folder / "jf_alpha.bin").write_bytes(bytes(STYLE_BYTES))
    assert [voice.id for voice in list_voices(tmp_path)] == ["ef_dora"]
    assert read_style(folder / "ef_dora.bin").shape == (510, 256)
    with pytest.raises(ValueError, match="does not hold a voice"):
        read_style(folder / "em_alex.bin")


@pytest.mark.parametrize("name", ["../../etc/passwd", "ef_dora/x", ""])
def test_voice_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)):
        read_style(tmp_path / f"{name}.bin")


def test_defaults_come_first(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    folder.mkdir()
    for name in ("am_adam", "af_heart", "em_alex", "ef_dora"):
        np.zeros(STYLE_BYTES // 4, np.float32).tofile(folder / f"{name}.bin")
    assert [voice.id for voice in list_voices(tmp_path)] == ["af_heart", "ef_dora", "am_adam", "em_alex"]
    assert {voice.languages for voice in list_voices(tmp_path)} == {("en",), ("es",)}
