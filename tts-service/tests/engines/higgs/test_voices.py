"""Cloned voices of higgs in a folder, and multi-speaker voices."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from service_kit.errors import InvalidRequest, NotFound, Unsupported
from tts_service.engine import Voice
from tts_service.engines.higgs.voices import HiggsVoices, check_multi_speaker_id, multi_speaker_voices, speaker_ids
from tts_service.voices.voice_folder import MAX_VOICES

FRAMES = np.random.default_rng(1).integers(0, 1024, (75, 8))
ANA, BOB = Voice("ana-1", "Ana", ("es",), cloned=True), Voice("bob-2", "Bob", ("en",), cloned=True)


def test_cloned_voice_survives_a_restart(tmp_path: Path) -> None:
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


def test_same_recording_is_the_same_voice(tmp_path: Path) -> None:
    folder = HiggsVoices(tmp_path)
    assert folder.add_voice("Ana", "es", "hola", FRAMES) == folder.add_voice("Ana", "es", "hola", FRAMES)
    other = folder.add_voice("Ana", "es", "hola a todos", FRAMES)
    assert len(folder.voices()) == 2
    assert [path.name for path in sorted(tmp_path.iterdir())] == sorted(voice.id for voice in folder.voices())
    assert other.id.startswith("ana-")


def test_number_of_cloned_voices_is_limited(tmp_path: Path) -> None:
    folder = HiggsVoices(tmp_path)
    voices = [folder.add_voice(f"Ana {number}", "en", "hello", FRAMES) for number in range(MAX_VOICES)]
    with pytest.raises(InvalidRequest, match="voices_full"):
        folder.add_voice("Bob", "en", "hello", FRAMES)
    assert len(list(tmp_path.iterdir())) == MAX_VOICES
    # Its time of addition is the later one.
    assert folder.add_voice("Ana 0", "en", "hello", FRAMES).id == voices[0].id
    folder.delete_voice(voices[0].id)
    folder.add_voice("Bob", "en", "hello", FRAMES)


def test_deleted_voice_leaves_no_files(tmp_path: Path) -> None:
    folder = HiggsVoices(tmp_path)
    voice = folder.add_voice("../../etc", "en", "hello", FRAMES)
    assert "/" not in voice.id
    folder.delete_voice(voice.id)
    assert folder.find_reference(voice.id) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFound, match="unknown_voice"):
        folder.delete_voice("../..")


def test_adding_without_a_folder_names_the_setting() -> None:
    folder = HiggsVoices(None)
    folder.load()
    assert folder.voices() == []
    with pytest.raises(Unsupported, match="TTS_HIGGS_VOICES"):
        folder.add_voice("Ana", "es", "hola", FRAMES)


def test_invalid_folders_are_skipped_and_left_alone(tmp_path: Path) -> None:
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


def test_name_without_latin_letters_has_an_id(tmp_path: Path) -> None:
    assert HiggsVoices(tmp_path).add_voice("你好", "zh", "你好", FRAMES).id.startswith("voice-")
    assert "你好" in json.loads(next(tmp_path.glob("*/voice.json")).read_text("utf-8"))["name"]


def test_multi_speaker_voice_has_the_languages_of_its_speakers() -> None:
    assert multi_speaker_voices(["ana-1+bob-2"], [ANA, BOB]) == [
        Voice("ana-1+bob-2", "Ana + Bob", ("es", "en"), cloned=True)
    ]
    assert speaker_ids("ana-1+bob-2") == ("ana-1", "bob-2")
    assert speaker_ids("ana-1") == ("ana-1",)


def test_multi_speaker_voice_without_a_speaker_is_omitted() -> None:
    assert multi_speaker_voices(["ana-1+bob-2", "bob-2+bob-2"], [BOB]) == [
        Voice("bob-2+bob-2", "Bob + Bob", ("en",), True)
    ]


@pytest.mark.parametrize("voice_id", ["", "ana-1", "ana-1+", "+", "a+b+c+d+e"])
def test_invalid_multi_speaker_ids_are_refused(voice_id: str) -> None:
    with pytest.raises(InvalidRequest, match="TTS_HIGGS_CASTS"):
        check_multi_speaker_id(voice_id)
    check_multi_speaker_id("a+b")
    check_multi_speaker_id("a+b+c+d")
