"""`/v1/audio/voices`: lists, adds and deletes voices; adding follows OpenAI's API, with a few fields more."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from service_kit.audio import MICROPHONE, SPEECH, to_float, to_pcm, to_wav
from service_kit.errors import InvalidRequest, Unsupported
from soxr import resample
from starlette.datastructures import UploadFile

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.disconnect import run_unless_disconnected, wait_disconnected
from orchestrator.api.http.interact_request import read_body
from orchestrator.api.http.openai_transcriptions import transcribe
from orchestrator.api.http.voice_consents import (
    MAX_NAME_CHARS,
    PREFIX,
    Consents,
    parse_form,
    read_file,
    require_form,
)
from orchestrator.api.http.voice_consents import to_fields as to_consent_fields
from orchestrator.api.limits import ApiLimits
from orchestrator.conversation.model.ports import SpeechToText
from orchestrator.conversation.model.services import chosen_language, primary_language
from orchestrator.conversation.model.voice_store import StoredVoice, VoiceConsent, VoiceListing, VoiceStore

PATH = "/v1/audio/voices"
_OBJECT = "audio.voice"
_MAX_TRANSCRIPT_CHARS = 600
_MAX_STATEMENT_CHARS = 2_000


class CloningUnavailable(Unsupported):
    """No engine of this installation can learn a voice."""

    http_status = 501


class VoiceForm(BaseModel):
    """The fields of a voice's form, beside its files."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    # Empty to detect it, and to transcribe the recording.
    language: str = Field(default="", max_length=64)
    transcript: str = Field(default="", max_length=_MAX_TRANSCRIPT_CHARS)
    # The person who consents; empty for the voice's name.
    consent_name: str = Field(default="", max_length=MAX_NAME_CHARS)


@dataclass(frozen=True, slots=True)
class VoiceRequest:
    """A voice to add: `consent` is the id of a recorded consent, a written statement, or a recording of one."""

    form: VoiceForm
    recording: bytes
    consent: str | bytes


class VoiceAdding:
    """Adds a voice: checks, decodes and transcribes what the client sent, and has tts-service learn it."""

    def __init__(
        self, store: VoiceStore, consents: Consents, stt: SpeechToText, uploads: Uploads, limits: ApiLimits
    ) -> None:
        self._store = store
        self._consents = consents
        self._stt = stt
        self._uploads = uploads
        self._limits = limits

    async def add(self, request: Request, voice: VoiceRequest) -> tuple[StoredVoice, str]:
        """Add the voice; returns it with the transcript of its recording. Raises `AnchorError`."""
        listing = await self._store.list_voices()
        if not listing.cloning_languages:
            raise CloningUnavailable("tts.cloning_unsupported", listing.unavailable_reason)
        self._consents.spend_addition()
        with await self._consent(request, voice, listing) as consent:
            speech = await self._uploads.decode_reference(voice.recording)
            language, transcript = await self._language_and_transcript(request, voice.form, speech)
            added = await self._store.add_voice(
                voice.form.name.strip(), to_wav(speech, SPEECH), transcript, language, consent
            )
        return added, transcript

    async def _language_and_transcript(self, request: Request, form: VoiceForm, speech: bytes) -> tuple[str, str]:
        language, transcript = chosen_language(form.language), form.transcript.strip()
        if language and transcript:
            return language, transcript
        pcm = to_pcm(resample(to_float(speech), SPEECH.rate_hz, MICROPHONE.rate_hz))
        work = transcribe(self._stt, pcm, language, self._limits.answer_timeout_s)
        heard = await run_unless_disconnected(partial(wait_disconnected, request), work)
        language, transcript = language or primary_language(heard.language), transcript or heard.text.strip()
        if not language:
            raise InvalidRequest("voices.language_unknown", "the language was not recognised; send `language`")
        if not transcript:
            raise InvalidRequest(
                "voices.no_words", "no words were heard in the recording; speak clearly, or send `transcript`"
            )
        return language, transcript

    async def _consent(
        self, request: Request, voice: VoiceRequest, listing: VoiceListing
    ) -> AbstractContextManager[VoiceConsent]:
        name = voice.form.consent_name.strip() or voice.form.name.strip()
        language = chosen_language(voice.form.language)
        if isinstance(voice.consent, bytes):
            return nullcontext(await self._consents.record(request, name, voice.consent, language))
        if voice.consent.startswith(PREFIX):
            return self._consents.use(voice.consent, listing)
        return nullcontext(self._consents.write_down(name, voice.consent, language))


def routes(adding: VoiceAdding, store: VoiceStore, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """Return the router of `/v1/audio/voices`."""
    router = APIRouter(prefix=PATH, tags=["voices"])

    @router.post("", summary="Clone a voice from a recording, with its owner's consent")
    async def create(request: Request) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        with uploads.reserve_slot():
            voice, transcript = await adding.add(request, await read_body(request, limits, _read_voice_form))
        return {**_to_fields(voice), "transcript": transcript}

    @router.get("", summary="List the voices, and say whether one can be added")
    async def list_voices() -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        listing = await store.list_voices()
        return {
            "object": "list",
            "data": [_to_fields(voice) for voice in listing.voices],
            "cloning": {
                "available": bool(listing.cloning_languages),
                "languages": listing.cloning_languages,
                "reason": listing.unavailable_reason,
            },
        }

    @router.delete("/{voice_id}", summary="Delete a cloned voice, and everything that was stored for it")
    async def delete(voice_id: str) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        await store.delete_voice(voice_id)
        return {"object": _OBJECT, "id": voice_id, "deleted": True}

    return router


def _to_fields(voice: StoredVoice) -> dict[str, object]:
    choice = voice.choice
    return {
        "object": _OBJECT,
        "id": choice.id,
        "name": choice.name,
        "languages": choice.languages,
        "engine": choice.engine,
        "cloned": choice.cloned,
        "created_at": voice.created_unix_s or None,
        "consent": None if voice.consent is None else to_consent_fields(voice.consent),
    }


async def _read_voice_form(request: Request, content_type: str) -> VoiceRequest:
    require_form(content_type)
    async with request.form(max_files=2, max_fields=8) as form:
        recording = await read_file(form, "audio_sample", "the recording of the voice")
        consent = form.get("consent")
        given = await consent.read() if isinstance(consent, UploadFile) else (consent or "").strip()
        if not given:
            raise InvalidRequest(
                "voices.consent_missing",
                "consent: a voice is cloned only with the consent of the person that it belongs to; send their"
                f" statement, written or recorded, or the id ({PREFIX}...) of a recorded one",
            )
        if len(given) > _MAX_STATEMENT_CHARS and isinstance(given, str):
            raise InvalidRequest("session.bad_message", f"consent: longer than {_MAX_STATEMENT_CHARS} characters")
        return VoiceRequest(parse_form(VoiceForm, form), recording, given)
