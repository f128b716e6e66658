"""`/v1/audio/transcriptions`, as OpenAI's clients ask: a recording in, its words out. It begins no conversation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.errors import InvalidRequest, PeerFailed, Unsupported
from starlette.datastructures import UploadFile

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.disconnect import run_unless_disconnected, wait_disconnected
from orchestrator.api.http.captions import captions, srt, vtt
from orchestrator.api.http.errors import first_fault
from orchestrator.api.http.interact_request import read_body
from orchestrator.api.limits import ApiLimits
from orchestrator.conversation.messages.server import Word
from orchestrator.conversation.model.ports import FinalTranscript, SpeechToText

PATH = "/v1/audio/transcriptions"
CHUNK_MS = 100
SEGMENT = 1


class TranscriptionForm(BaseModel):
    """The fields of the form that count here; `prompt`, `temperature` and others change nothing."""

    model_config = ConfigDict(extra="ignore", strict=True)

    language: str = Field(default="", max_length=16)
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] = "json"
    stream: Literal["", "false", "False", "0"] = ""
    granularities: tuple[Literal["segment", "word"], ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A recording, and how its words are wanted."""

    recording: bytes
    wishes: TranscriptionForm


def routes(stt: SpeechToText, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """The door."""
    router = APIRouter(tags=["transcription"])

    @router.post(PATH, summary="A recording in, its words out")
    async def transcriptions(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        with uploads.slot():
            order = await read_body(request, limits, partial(_read, limits=limits))
            pcm = await uploads.decode(order.recording)
            hearing = transcribe(stt, pcm, order.wishes.language, limits.answer_s)
            final = await run_unless_disconnected(partial(wait_disconnected, request), hearing)
        return _answer(final, order.wishes, round(MICROPHONE.ms_of(len(pcm))))

    return router


async def transcribe(stt: SpeechToText, pcm: bytes, language: str, within_s: float) -> FinalTranscript:
    """What is said in `pcm`. Raises `AnchorError`, `PeerFailed` when it takes longer than `within_s`."""
    chunk_bytes = MICROPHONE.bytes_for(CHUNK_MS)
    length_ms = round(MICROPHONE.ms_of(len(pcm)))
    try:
        async with asyncio.timeout(within_s), stt.open(language) as stream:
            for number, at in enumerate(range(0, len(pcm), chunk_bytes)):
                await stream.push_audio(AudioChunk(number * CHUNK_MS, pcm[at : at + chunk_bytes]))
            await stream.flush_segment(SEGMENT)
            async for transcript in stream.transcripts():
                # An engine may tell earlier what it has, before it has heard all.
                if isinstance(transcript, FinalTranscript) and transcript.end_ms >= length_ms - 1:
                    return transcript
    except TimeoutError as error:
        raise PeerFailed("stt.slow", f"the recording was not transcribed within {within_s:g} s") from error
    raise PeerFailed("stt.ended", "the speech service ended without a transcript")


async def _read(request: Request, kind: str, limits: ApiLimits) -> TranscriptionRequest:
    if kind != "multipart/form-data":
        raise Unsupported("session.unknown_content_type", f"{kind[:80]!r}: send a form with a file")
    async with request.form(max_files=1, max_fields=16) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequest("session.bad_message", "file: a recording is missing")
        granularities = tuple(form.getlist("timestamp_granularities[]"))
        fields = {name: value for name, value in form.items() if name in TranscriptionForm.model_fields}
        wishes = _parse_form({**fields, "granularities": granularities})
        return TranscriptionRequest(await file.read(), wishes)


def _parse_form(fields: dict[str, Any]) -> TranscriptionForm:
    try:
        wishes = TranscriptionForm.model_validate(fields)
    except ValidationError as error:
        raise InvalidRequest("session.bad_message", first_fault(error)) from error
    if wishes.granularities and wishes.response_format != "verbose_json":
        raise InvalidRequest("session.bad_message", "timestamp_granularities: only with response_format=verbose_json")
    return wishes


def _answer(final: FinalTranscript, wishes: TranscriptionForm, length_ms: int) -> Response:
    if "word" in wishes.granularities and final.text and not final.words:
        raise Unsupported("session.no_word_times", "this speech engine does not say when words were said")
    shown = captions(final.text, final.words, length_ms)
    match wishes.response_format:
        case "json":
            return JSONResponse({"text": final.text})
        case "text":
            return PlainTextResponse(final.text + "\n")
        case "srt":
            return PlainTextResponse(srt(shown), media_type="application/x-subrip")
        case "vtt":
            return PlainTextResponse(vtt(shown), media_type="text/vtt")
        case "verbose_json":
            answer: dict[str, object] = {
                "task": "transcribe",
                "language": final.language,
                "duration": length_ms / 1000,
                "text": final.text,
            }
            if not wishes.granularities or "segment" in wishes.granularities:
                answer["segments"] = [
                    {"id": number, **_span(caption.start_ms, caption.end_ms), "text": caption.text}
                    for number, caption in enumerate(shown)
                ]
            if "word" in wishes.granularities:
                answer["words"] = [_word(word) for word in final.words]
            return JSONResponse(answer)


def _word(word: Word) -> dict[str, object]:
    return {"word": word.text, **_span(word.start_ms, word.end_ms)}


def _span(start_ms: int, end_ms: int) -> dict[str, float]:
    return {"start": start_ms / 1000, "end": end_ms / 1000}
