"""Voices learned from recordings, kept in a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from service_kit.errors import InvalidRequest, NotFound, Unsupported
from tts_service.engines.higgs.voices import HiggsVoices
from tts_service.voices.voice_folder import MAX_VOICES

FRAMES = np.random.default_rng(1).integers(0, 1024, (75, 8))


def test_an_added_voice_is_there_after_a_restart(tmp_path: Path) -> None:
    folder = HiggsVoices(tmp_path / "voices")
    folder.load()
    voice = folder.add_voice("Ana María", "es", "hola a todos", FRAMES)
    again = HiggsVoices(tmp_path / "voices")
    again.load()
    assert again.voices() == [voice]
    assert voice.cloned
    assert voice.languages == ("es",)
    reference = again.find_reference(voice.id)
    assert reference is not None
    assert reference.transcript == "hola a todos"
    assert np.array_equal(reference.frames, FRAMES)


def test_the_same_recording_is_the_same_voice(tmp_path: Path) -> None:
    folder = HiggsVoices(tmp_path)
    assert folder.add_voice("Ana", "es", "hola", FRAMES) == folder.add_voice("Ana", "es", "hola", FRAMES)
    other = folder.add_voice("Ana", "es", "hola a todos", FRAMES)
    assert len(folder.voices()) == 2
    assert [path.name for path in sorted(tmp_path.iterdir())] == sorted(voice.id for voice in folder.voices())
    assert other.id.startswith("ana-")


def test_no_more_voices_are_kept_than_there_is_room_for(tmp_path: Path) -> None:
    folder = HiggsVoices(tmp_path)
    voices = [folder.add_voice(f"Ana {number}", "en", "hello", FRAMES) for number in range(MAX_VOICES)]
    with pytest.raises(InvalidRequest, match="voices_full"):
        folder.add_voice("Bob", "en", "hello", FRAMES)
    assert len(list(tmp_path.iterdir())) == MAX_VOICES
    assert folder.add_voice("Ana 0", "en", "hello", FRAMES) == voices[0]
    folder.delete_voice(voices[0].id)
    folder.add_voice("Bob", "en", "hello", FRAMES)


def test_a_deleted_voice_is_gone_for_good(tmp_path: Path) -> None:
    folder = HiggsVoices(tmp_path)
    voice = folder.add_voice("../../etc", "en", "hello", FRAMES)
    assert "/" not in voice.id
    folder.delete_voice(voice.id)
    assert folder.find_reference(voice.id) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFound, match="unknown_voice"):
        folder.delete_voice("../..")


def test_without_a_folder_there_are_no_voices_to_add() -> None:
    folder = HiggsVoices(None)
    folder.load()
    assert folder.voices() == []
    with pytest.raises(Unsupported, match="TTS_HIGGS_VOICES"):
        folder.add_voice("Ana", "es", "hola", FRAMES)


def test_what_is_no_voice_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    folder = HiggsVoices(tmp_path)
    kept = folder.add_voice("Ana", "en", "hello", FRAMES)
    for name, frames in (("too-high", FRAMES + 1000), ("too-narrow", FRAMES[:, :4])):
        with pytest.raises(ValueError, match="frames of this codec"):
            folder.add_voice(name, "en", "hello", frames)
        shutil.copytree(tmp_path / kept.id, tmp_path / name)
        np.save(tmp_path / name / "frames.npy", frames)
    (tmp_path / ".adding-half").mkdir()
    (tmp_path / ".adding-half" / "voice.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "voice.json").write_text("{")
    again = HiggsVoices(tmp_path)
    again.load()
    assert again.voices() == [kept]


def test_a_name_of_signs_alone_still_has_an_id(tmp_path: Path) -> None:
    assert HiggsVoices(tmp_path).add_voice("你好", "zh", "你好", FRAMES).id.startswith("voice-")
    assert "你好" in json.loads(next(tmp_path.glob("*/voice.json")).read_text("utf-8"))["name"]
