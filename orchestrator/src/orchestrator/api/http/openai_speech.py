"""`/v1/audio/speech`, compatible with OpenAI clients: speaks a text in a voice, without a conversation."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from service_kit.audio import SPEECH, to_wav
from service_kit.errors import InvalidRequest, PeerFailed

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.disconnect import run_unless_disconnected, wait_disconnected
from orchestrator.api.limits import ApiLimits
from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.conversation import chosen_voice
from orchestrator.conversation.model.ports import SpeechAudio, TextToSpeech
from orchestrator.conversation.model.services import chosen_language
from orchestrator.conversation.output.normalisation.normaliser import normalise_text

PATH = "/v1/audio/speech"


class VoiceName(BaseModel):
    """A voice as an object, as OpenAI names custom voices."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str = Field(max_length=256)


class SpeechRequest(BaseModel):
    """The body of the request; `model`, `instructions` and others are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    input: str = Field(min_length=1)
    voice: str | VoiceName = Field(default="")
    # A language tag; empty or `auto` for the voice's own. Not of OpenAI's API.
    language: str = Field(default="", max_length=64)
    response_format: Literal["wav", "pcm"] = "wav"
    speed: float = Field(default=1.0, ge=0.5, le=2)
    stream_format: Literal["audio"] = "audio"


def routes(tts: TextToSpeech, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """Return the router of `/v1/audio/speech`."""
    router = APIRouter(tags=["speech"])

    @router.post(PATH, summary="Speak a text: WAV, or PCM16 mono 24 kHz")
    async def speech(body: SpeechRequest, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        if len(body.input) > limits.max_speech_chars or not body.input.strip():
            raise InvalidRequest("session.bad_message", f"input: must be 1 to {limits.max_speech_chars} characters")
        with uploads.reserve_slot():
            work = speak(tts, body, limits)
            pcm = await run_unless_disconnected(partial(wait_disconnected, request), work)
        if body.response_format == "pcm":
            return Response(pcm, media_type="audio/pcm")
        return Response(to_wav(pcm, SPEECH), media_type="audio/wav")

    return router


async def speak(tts: TextToSpeech, body: SpeechRequest, limits: ApiLimits) -> bytes:
    """Return the speech: PCM16 mono 24 kHz, cut off at `max_answer_audio_s`. Raises `AnchorError`."""
    voice = chosen_voice(body.voice if isinstance(body.voice, str) else body.voice.id)
    language = chosen_language(body.language) or ("" if voice else "en")
    text = normalise_text(body.input, language or "en")
    if not text:
        raise InvalidRequest("session.nothing_to_speak", "input: holds nothing that can be spoken")
    pcm, max_bytes = bytearray(), SPEECH.bytes_for(1000 * limits.max_answer_audio_s)
    try:
        async with (
            asyncio.timeout(limits.answer_timeout_s),
            tts.open(voice, language, Style(pace=body.speed)) as stream,
            aclosing(stream.speech()) as pieces,
        ):
            await stream.send_text(text)
            await stream.end_text()
            async for piece in pieces:
                if isinstance(piece, SpeechAudio):
                    pcm += piece.pcm
                if len(pcm) >= max_bytes:
                    break
    except TimeoutError as error:
        raise PeerFailed("tts.slow", f"the text was not spoken within {limits.answer_timeout_s:g} s") from error
    if not pcm:
        raise PeerFailed("tts.ended", "the voice service ended without speech")
    return bytes(pcm[:max_bytes])
