"""The frames between the service and a transcription process; what comes out of the process is checked."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from service_kit.engines.worker_frames import FRAME_HEADER
from stt_service.engine import Word
from stt_service.engines.whisper.decoding import ClipOptions
from stt_service.engines.whisper.frames import (
    ClipFrameKind,
    clip_payload,
    read_clip,
    read_description,
    read_transcript,
    transcript_payload,
    write_frame,
)
from stt_service.retranscribing.recogniser import ClipTranscript

CLIP = ClipTranscript("¿Qué hora es?", "es", 0.7, (Word("¿Qué", 0, 200, 0.9), Word("hora", 200, 300)), 0.98)


def test_a_clip_arrives_with_its_options() -> None:
    options = ClipOptions("de", 3, word_times=True)
    assert read_clip(clip_payload(b"\1\2\3\4", options)) == (b"\1\2\3\4", options)


@pytest.mark.parametrize("clip", [CLIP, ClipTranscript("")])
def test_a_transcript_arrives_as_it_was_sent(clip: ClipTranscript) -> None:
    assert read_transcript(transcript_payload(clip)) == clip


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(transcript_payload(CLIP)) | fields).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff",
        changed(text=7),
        changed(text="a" * 10_000),
        changed(language=None),
        changed(confidence="high"),
        changed(confidence=1.5),
        changed(language_probability=-0.1),
        changed(words=None),
        changed(words=[{"text": "a"}]),
        changed(words=[{"text": "a", "start_ms": 200, "end_ms": 100, "confidence": None}]),
        changed(words=[{"text": "a", "start_ms": -5, "end_ms": 100, "confidence": None}]),
        changed(words=[{"text": "a", "start_ms": 0, "end_ms": float("inf"), "confidence": None}]),
        b"[" * 500_000,
    ],
)
def test_a_malformed_transcript_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_transcript(payload)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[" * 500_000, b'{"languages": [1]}', b'{"languages": 1}', b"null"])
def test_a_malformed_description_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_description(payload)


class SlowPipe(io.BytesIO):
    """Takes three bytes at a time."""

    def write(self, data: Any, /) -> int:
        return super().write(bytes(data[:3]))


def test_a_frame_is_written_whole_to_a_pipe_that_takes_parts() -> None:
    pipe = SlowPipe()
    write_frame(pipe, ClipFrameKind.TRANSCRIPT, 5, b"payload")
    assert pipe.getvalue() == FRAME_HEADER.pack(ClipFrameKind.TRANSCRIPT, 5, 7) + b"payload"
