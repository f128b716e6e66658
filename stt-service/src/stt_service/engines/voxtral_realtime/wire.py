"""The messages of vLLM's `/v1/realtime`, as JSON text."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, cast

from service_kit.errors import PeerFailed
from service_kit.parsing.documents import parse_json

from stt_service.engines.voxtral.client import ModelMissing

# The model makes 12.5 steps for a second of audio.
STEP_MS = 80


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """The server has created the session."""


@dataclass(frozen=True, slots=True)
class TranscriptDelta:
    """The new text of the next `STEP_MS` of audio; often empty."""

    text: str


@dataclass(frozen=True, slots=True)
class TranscriptDone:
    """The whole transcript, after the end of the audio."""

    text: str


ServerEvent = SessionCreated | TranscriptDelta | TranscriptDone


def select_model(model: str) -> str:
    """The message that selects the model; must be sent first."""
    return json.dumps({"type": "session.update", "model": model})


def start_transcript() -> str:
    """The message that starts a transcript of the audio appended before and after it."""
    return json.dumps({"type": "input_audio_buffer.commit"})


def append_audio(pcm: bytes) -> str:
    """The message that appends samples, 16 kHz mono PCM16."""
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})


def end_audio() -> str:
    """The message that ends the audio and requests the rest of the transcript."""
    return json.dumps({"type": "input_audio_buffer.commit", "final": True})


def parse_event(message: str | bytes) -> ServerEvent | None:
    """Parse a server message; None for kinds of a later version.

    Raises `PeerFailed` for the server's errors and for malformed messages, `ModelMissing` for an unknown model.
    """
    try:
        event = parse_json(message)
        match event["type"]:
            case "session.created":
                return SessionCreated()
            case "transcription.delta":
                return TranscriptDelta(_text(event, "delta"))
            case "transcription.done":
                return TranscriptDone(_text(event, "text"))
            case "error":
                raise _failure(cast("dict[str, Any]", event))
            case _:
                return None
    except (ValueError, TypeError, KeyError) as error:
        raise malformed(f"a malformed event: {message[:80]!r}") from error


def malformed(content: str) -> PeerFailed:
    """Return the error for a server that violates the protocol."""
    return PeerFailed("stt.server_garbled", f"the transcription server sent {content}")


def _text(event: dict[str, Any], name: str) -> str:
    text = event[name]
    if not isinstance(text, str):
        raise TypeError(f"{name} is not a string")
    return text


def _failure(event: dict[str, Any]) -> PeerFailed:
    message = f"the transcription server failed: {event.get('error')}"
    if event.get("code") == "model_not_found":
        return ModelMissing("stt.model_missing", message)
    return PeerFailed("stt.server_failed", message)
