"""The references of higgs's built-in voice: stored, verified on load, and tied to the weights they were made with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tts_service.engines.higgs.default_voice import (
    REFERENCE_TEXTS,
    DefaultVoice,
    identify_voice,
    is_long_enough,
    max_reference_frames,
    reference_transcript,
)
from tts_service.engines.higgs.engine import LANGUAGES
from tts_service.text.phrases import has_letters

FRAMES = np.random.default_rng(1).integers(0, 1024, (250, 8))


def test_every_language_has_a_text_of_eight_to_ten_seconds() -> None:
    assert tuple(REFERENCE_TEXTS) == LANGUAGES
    for language in LANGUAGES:
        # Neither a number nor an abbreviation, whose reading is a guess.
        assert not any(sign.isdigit() for sign in REFERENCE_TEXTS[language])
        assert has_letters(reference_transcript(language))
        # Expected for a calm speaker, with pauses.
        assert 11 < max_reference_frames(language) * 0.04 < 16.5
        assert is_long_enough(language, 200)
        assert not is_long_enough(language, 75)


def stored_voice(folder: Path, identity: str = "a") -> DefaultVoice:
    voice = DefaultVoice(folder)
    voice.load(identity)
    for language in REFERENCE_TEXTS:
        voice.save_reference(language, FRAMES)
    return voice


def loaded_voice(folder: Path, identity: str = "a") -> DefaultVoice:
    voice = DefaultVoice(folder)
    voice.load(identity)
    return voice


def test_stored_references_are_loaded_again(tmp_path: Path) -> None:
    stored_voice(tmp_path)
    voice = loaded_voice(tmp_path)
    assert voice.missing_languages == []
    reference = voice.find_reference("de")
    assert reference is not None
    assert reference.transcript == reference_transcript("de")
    assert np.array_equal(reference.frames, FRAMES)
    assert reference.frames.dtype == np.int64


def test_references_of_other_weights_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored_voice(tmp_path)
    voice = loaded_voice(tmp_path, "b")
    assert voice.missing_languages == list(REFERENCE_TEXTS)
    assert voice.find_reference("en") is None
    assert "other weights" in caplog.records[0].__dict__["reason"]


def spoil(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / ".default-voice/en.json"
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(frames=[[1024] * 8] * 250),
        lambda content: content.update(frames=[[-1] * 8] * 250),
        lambda content: content.update(frames=[[1] * 7] * 250),
        lambda content: content.update(frames=[[1.5] * 8] * 250),
        lambda content: content.update(frames=[[1] * 8] * 50),
        lambda content: content.update(frames=[[1] * 8] * 1000),
        lambda content: content.update(frames=[[1] * 8, [1]]),
        lambda content: content.update(frames="noise"),
        lambda content: content.update(transcript="Hello."),
        lambda content: content.pop("frames"),
        lambda content: content.update(more="x" * (1 << 20)),
    ],
    ids=["code", "negative", "books", "fraction", "short", "long", "ragged", "text", "transcript", "none", "large"],
)
def test_spoilt_reference_is_left_out(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    stored_voice(tmp_path)
    spoil(tmp_path, change)
    assert loaded_voice(tmp_path).missing_languages == ["en"]


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b"null"])
def test_unreadable_reference_is_left_out(tmp_path: Path, content: bytes) -> None:
    stored_voice(tmp_path)
    (tmp_path / ".default-voice/ko.json").write_bytes(content)
    assert loaded_voice(tmp_path).missing_languages == ["ko"]


def test_voice_without_a_folder_lasts_as_long_as_the_process() -> None:
    voice = DefaultVoice(None)
    voice.load("a")
    voice.save_reference("en", FRAMES)
    voice.load("a")
    assert voice.find_reference("en") is not None
    voice.load("b")
    assert voice.find_reference("en") is None


def test_folder_that_cannot_be_written_costs_only_the_storage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "voices").write_text("a file in the folder's place")
    voice = DefaultVoice(tmp_path / "voices")
    voice.load("a")
    voice.save_reference("en", FRAMES)
    assert voice.find_reference("en") is not None
    assert "not stored" in caplog.messages[-1]


def test_identity_follows_weights_and_seed(tmp_path: Path) -> None:
    model, codec = tmp_path / "model", tmp_path / "codec"
    for folder in (model, codec):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(bytes(3_000_000))
    folders = (model, codec)
    first = identify_voice(folders, 1)
    assert identify_voice(folders, 1) == first
    assert identify_voice(folders, 2) != first
    # Fine-tuned weights differ everywhere.
    (codec / "model.safetensors").write_bytes(bytes([1]) * 3_000_000)
    assert identify_voice(folders, 1) != first
    (codec / "model.safetensors").write_bytes(bytes(3_000_000))
    (model / "tokenizer.json").write_text("{}")
    assert identify_voice(folders, 1) != first
