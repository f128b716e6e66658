"""The messages of vLLM's `/v1/realtime`, as JSON text."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, cast

from service_kit.errors import PeerFailed

from stt_service.engines.voxtral.client import ModelMissing

# The model makes 12.5 steps for a second of audio.
STEP_MS = 80


@dataclass(frozen=True, slots=True)
class Created:
    """The server is listening."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What was understood of the next `STEP_MS`: often nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """All that was understood, once the audio has ended."""

    text: str


Event = Created | Delta | Done


def choose(model: str) -> str:
    """Name the model; nothing can begin before."""
    return json.dumps({"type": "session.update", "model": model})


def begin() -> str:
    """Begin a transcript: of what was appended, and of what will be."""
    return json.dumps({"type": "input_audio_buffer.commit"})


def append(pcm: bytes) -> str:
    """Samples, 16 kHz mono PCM16."""
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})


def end() -> str:
    """The audio is over: the rest of the transcript is wanted."""
    return json.dumps({"type": "input_audio_buffer.commit", "final": True})


def parse(message: str | bytes) -> Event | None:
    """What the server says; None for kinds of a later version. Raises `PeerFailed` for errors, and for what is none."""
    try:
        event = json.loads(message)
        match event["type"]:
            case "session.created":
                return Created()
            case "transcription.delta":
                return Delta(_text(event, "delta"))
            case "transcription.done":
                return Done(_text(event, "text"))
            case "error":
                raise _failure(cast("dict[str, Any]", event))
            case _:
                return None
    except (ValueError, TypeError, KeyError) as error:
        raise garbled(f"what is no event: {message[:80]!r}") from error


def garbled(what: str) -> PeerFailed:
    """The server does not speak as agreed."""
    return PeerFailed("stt.server_garbled", f"the transcription server sent {what}")


def _text(event: dict[str, Any], name: str) -> str:
    text = event[name]
    if not isinstance(text, str):
        raise TypeError(f"{name} is no text")
    return text


def _failure(event: dict[str, Any]) -> PeerFailed:
    message = f"the transcription server failed: {event.get('error')}"
    if event.get("code") == "model_not_found":
        return ModelMissing("stt.model_missing", message)
    return PeerFailed("stt.server_failed", message)
