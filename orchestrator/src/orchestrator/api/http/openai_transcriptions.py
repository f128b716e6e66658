"""`/v1/audio/transcriptions`, compatible with OpenAI clients: transcribes a recording, without a conversation."""

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
from orchestrator.api.errors import first_validation_error
from orchestrator.api.http.captions import make_captions, to_srt, to_vtt
from orchestrator.api.http.interact_request import read_body
from orchestrator.api.limits import ApiLimits
from orchestrator.conversation.messages.server import Word
from orchestrator.conversation.model.ports import FinalTranscript, SpeechToText
from orchestrator.conversation.model.services import chosen_language

PATH = "/v1/audio/transcriptions"
CHUNK_MS = 100
SEGMENT_ID = 1


class TranscriptionForm(BaseModel):
    """The supported fields of the form; `prompt`, `temperature` and others are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    language: str = Field(default="", max_length=64)
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] = "json"
    stream: Literal["", "false", "False", "0"] = ""
    granularities: tuple[Literal["segment", "word"], ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A recording, and the options of its transcription."""

    recording: bytes
    form: TranscriptionForm


def routes(stt: SpeechToText, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """Return the router of `/v1/audio/transcriptions`."""
    router = APIRouter(tags=["transcription"])

    @router.post(PATH, summary="Transcribe a recording")
    async def transcriptions(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        with uploads.reserve_slot():
            transcription = await read_body(request, limits, partial(_read_transcription_body, limits=limits))
            pcm = await uploads.decode(transcription.recording)
            work = transcribe(stt, pcm, chosen_language(transcription.form.language), limits.answer_timeout_s)
            final = await run_unless_disconnected(partial(wait_disconnected, request), work)
        return _to_response(final, transcription.form, round(MICROPHONE.ms_of(len(pcm))))

    return router


async def transcribe(stt: SpeechToText, pcm: bytes, language: str, timeout_s: float) -> FinalTranscript:
    """Return the transcript of `pcm`. Raises `AnchorError`; `PeerFailed` when it takes longer than `timeout_s`."""
    chunk_bytes = MICROPHONE.bytes_for(CHUNK_MS)
    duration_ms = round(MICROPHONE.ms_of(len(pcm)))
    try:
        async with asyncio.timeout(timeout_s), stt.open(language) as stream:
            for number, at in enumerate(range(0, len(pcm), chunk_bytes)):
                await stream.push_audio(AudioChunk(number * CHUNK_MS, pcm[at : at + chunk_bytes]))
            await stream.flush_segment(SEGMENT_ID)
            async for transcript in stream.transcripts():
                # An engine may send a final transcript before it has processed all audio.
                if isinstance(transcript, FinalTranscript) and transcript.end_ms >= duration_ms - 1:
                    return transcript
    except TimeoutError as error:
        raise PeerFailed("stt.slow", f"the recording was not transcribed within {timeout_s:g} s") from error
    raise PeerFailed("stt.ended", "the speech service ended without a transcript")


async def _read_transcription_body(request: Request, content_type: str, limits: ApiLimits) -> TranscriptionRequest:
    if content_type != "multipart/form-data":
        raise Unsupported("session.unknown_content_type", f"{content_type[:80]!r}: send a form with a file")
    async with request.form(max_files=1, max_fields=16) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequest("session.bad_message", "file: a recording is missing")
        granularities = tuple(form.getlist("timestamp_granularities[]"))
        fields = {name: value for name, value in form.items() if name in TranscriptionForm.model_fields}
        options = _parse_form({**fields, "granularities": granularities})
        return TranscriptionRequest(await file.read(), options)


def _parse_form(fields: dict[str, Any]) -> TranscriptionForm:
    try:
        form = TranscriptionForm.model_validate(fields)
    except ValidationError as error:
        raise InvalidRequest("session.bad_message", first_validation_error(error)) from error
    if form.granularities and form.response_format != "verbose_json":
        raise InvalidRequest("session.bad_message", "timestamp_granularities: only with response_format=verbose_json")
    return form


def _to_response(final: FinalTranscript, form: TranscriptionForm, duration_ms: int) -> Response:
    if "word" in form.granularities and final.text and not final.words:
        raise Unsupported("session.no_word_times", "this speech-to-text engine does not provide word times")
    captions = make_captions(final.text, final.words, duration_ms)
    match form.response_format:
        case "json":
            return JSONResponse({"text": final.text})
        case "text":
            return PlainTextResponse(final.text + "\n")
        case "srt":
            return PlainTextResponse(to_srt(captions), media_type="application/x-subrip")
        case "vtt":
            return PlainTextResponse(to_vtt(captions), media_type="text/vtt")
        case "verbose_json":
            answer: dict[str, object] = {
                "task": "transcribe",
                "language": final.language,
                "duration": duration_ms / 1000,
                "text": final.text,
            }
            if not form.granularities or "segment" in form.granularities:
                answer["segments"] = [
                    {"id": number, **_time_fields(caption.start_ms, caption.end_ms), "text": caption.text}
                    for number, caption in enumerate(captions)
                ]
            if "word" in form.granularities:
                answer["words"] = [_word_fields(word) for word in final.words]
            return JSONResponse(answer)


def _word_fields(word: Word) -> dict[str, object]:
    return {"word": word.text, **_time_fields(word.start_ms, word.end_ms)}


def _time_fields(start_ms: int, end_ms: int) -> dict[str, float]:
    return {"start": start_ms / 1000, "end": end_ms / 1000}
