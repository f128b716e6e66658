"""The pipe protocol between the service and a transcription process: kinds of frames, and their payloads as JSON.

A frame is that of `service_kit.engines.worker_frames`; its number is the clip's.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, BinaryIO

from service_kit.engines.worker_frames import WorkerFrame

from stt_service.engine import Word
from stt_service.engines.whisper.decoding import ClipOptions
from stt_service.retranscribing.recogniser import ClipTranscript

_OPTIONS_SIZE = struct.Struct("<H")
# Texts of a process: 30 s of speech have 224 tokens at most.
MAX_TEXT = 8192


class ClipFrameKind(IntEnum):
    """The kind of a frame."""

    # To the process: a clip, its options and its PCM; answered by TRANSCRIPT or FAILED, cancelled or not.
    CLIP = 1
    # To the process: the clip's transcript is not wanted any more; not answered.
    CANCEL = 2
    # From the process: the model is loaded; the payload describes it.
    READY = 3
    # From the process: the transcript of a clip.
    TRANSCRIPT = 4
    # From the process: why a clip has no transcript; as the first frame, why the model cannot be loaded.
    FAILED = 5


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What a process says of its loaded model."""

    languages: tuple[str, ...]


def clip_payload(pcm: bytes, options: ClipOptions) -> bytes:
    """Return the payload of a CLIP frame."""
    encoded = json.dumps(asdict(options)).encode()
    return _OPTIONS_SIZE.pack(len(encoded)) + encoded + pcm


def read_clip(payload: bytes) -> tuple[bytes, ClipOptions]:
    """Return the PCM and the options of a CLIP frame."""
    (size,) = _OPTIONS_SIZE.unpack_from(payload)
    begin = _OPTIONS_SIZE.size + size
    return payload[begin:], ClipOptions(**json.loads(payload[_OPTIONS_SIZE.size : begin]))


def transcript_payload(clip: ClipTranscript) -> bytes:
    """Return the payload of a TRANSCRIPT frame."""
    return json.dumps(asdict(clip), ensure_ascii=False).encode()


def read_transcript(payload: bytes) -> ClipTranscript:
    """Return the transcript of a TRANSCRIPT frame. Raises `ValueError` when it is malformed."""
    try:
        fields: dict[str, Any] = json.loads(payload)
        text, language = _string(fields["text"]), _string(fields["language"])
        words = tuple(_word(entry) for entry in fields["words"])
        probability = _probability(fields["language_probability"])
        return ClipTranscript(text, language, _probability(fields["confidence"]), words, probability)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"malformed transcript: {error!r}") from error


def read_description(payload: bytes) -> ModelDescription:
    """Return the description in a READY frame. Raises `ValueError` when it is malformed."""
    try:
        return ModelDescription(tuple(_string(language) for language in json.loads(payload)["languages"]))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"malformed description: {error!r}") from error


def write_frame(sink: BinaryIO, kind: ClipFrameKind, number: int = 0, payload: bytes = b"") -> None:
    """Write a frame to `sink`, which is unbuffered."""
    frame = memoryview(WorkerFrame(kind, number, payload).encode())
    while frame:
        frame = frame[sink.write(frame) :]


def _word(fields: dict[str, Any]) -> Word:
    start_ms, end_ms = int(fields["start_ms"]), int(fields["end_ms"])
    if not 0 <= start_ms <= end_ms:
        raise ValueError(f"a word from {start_ms} to {end_ms} ms")
    return Word(_string(fields["text"]), start_ms, end_ms, _probability(fields["confidence"]))


def _string(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"expected a text of up to {MAX_TEXT} letters, not {type(value).__name__}")
    return value


def _probability(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not a probability")
    return float(value)
