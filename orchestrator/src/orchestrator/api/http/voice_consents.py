"""`/v1/audio/voice_consents`, in the shape of OpenAI's API: recorded consents that a voice is cloned.

A consent waits in memory until a voice names it, and for `ApiLimits.pending_consent_s` at most; then tts-service keeps
it in the voice's folder, and deletes it with the voice. A consent serves one voice.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from service_kit.audio import MICROPHONE, to_wav
from service_kit.errors import AtCapacity, InvalidRequest, NotFound, Unsupported
from service_kit.token_bucket import TokenBucket
from starlette.datastructures import FormData, UploadFile

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.disconnect import run_unless_disconnected, wait_disconnected
from orchestrator.api.errors import first_validation_error
from orchestrator.api.http.interact_request import read_body
from orchestrator.api.http.openai_transcriptions import transcribe
from orchestrator.api.limits import ApiLimits
from orchestrator.conversation.model.ports import SpeechToText
from orchestrator.conversation.model.services import chosen_language, primary_language
from orchestrator.conversation.model.voice_store import VoiceConsent, VoiceListing, VoiceStore

FormT = TypeVar("FormT", bound=BaseModel)

PATH = "/v1/audio/voice_consents"
PREFIX = "cons_"
MAX_NAME_CHARS = 60
_MIN_STATEMENT_CHARS = 10
_OBJECT = "audio.voice_consent"


class ConsentForm(BaseModel):
    """The fields of a consent's form, beside its recording."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    language: str = Field(default="", max_length=64)


class Consents:
    """Makes consents from recorded and written statements, and keeps those that no voice has named yet."""

    def __init__(self, stt: SpeechToText, uploads: Uploads, limits: ApiLimits) -> None:
        self._stt = stt
        self._uploads = uploads
        self._limits = limits
        self._pending: dict[str, VoiceConsent] = {}
        self._additions = TokenBucket(limits.voice_additions_per_min / 60, limits.voice_addition_burst)

    def spend_addition(self) -> None:
        """Count one voice or consent that is added. Raises `AtCapacity` when they come too fast."""
        now_s = asyncio.get_running_loop().time()
        if (wait_s := self._additions.spend(0, now_s)) > 0:
            raise AtCapacity(
                "voices.too_fast",
                f"at most {self._limits.voice_additions_per_min:g} voices and consents are added a minute;"
                f" try again in {wait_s:.0f} s",
            )
        self._additions.spend(1, now_s)

    def write_down(self, name: str, statement: str, language: str) -> VoiceConsent:
        """The consent of a written statement."""
        return VoiceConsent(_new_id(), name, language, int(time.time()), statement)

    async def record(self, request: Request, name: str, recording: bytes, language: str) -> VoiceConsent:
        """The consent of a recorded statement, transcribed. Raises `InvalidRequest` where it cannot be understood."""
        pcm = await self._uploads.decode(recording)
        if MICROPHONE.ms_of(len(pcm)) > 1000 * self._limits.max_consent_audio_s:
            raise InvalidRequest(
                "voices.consent_too_long",
                f"the recording of the consent lasts longer than {self._limits.max_consent_audio_s:g} s",
            )
        work = transcribe(self._stt, pcm, language, self._limits.answer_timeout_s)
        heard = await run_unless_disconnected(partial(wait_disconnected, request), work)
        if len(heard.text.strip()) < _MIN_STATEMENT_CHARS:
            raise InvalidRequest(
                "voices.consent_not_heard",
                f"{heard.text.strip()[:40]!r} was heard in the recording of the consent; say a whole sentence,"
                ' such as "I consent that this voice anchor speaks with my voice"',
            )
        language = language or primary_language(heard.language)
        return VoiceConsent(_new_id(), name, language, int(time.time()), heard.text.strip(), to_wav(pcm, MICROPHONE))

    def keep(self, consent: VoiceConsent) -> None:
        """Keep a consent for a voice to come. Raises `AtCapacity` when too many wait."""
        self._forget_old()
        if len(self._pending) >= self._limits.max_pending_consents:
            raise AtCapacity("voices.too_many_consents", f"{len(self._pending)} consents wait for their voice")
        self._pending[consent.id] = consent

    def pending(self) -> tuple[VoiceConsent, ...]:
        """The consents that no voice has named yet, oldest first."""
        self._forget_old()
        return tuple(self._pending.values())

    @contextmanager
    def use(self, consent_id: str, listing: VoiceListing) -> Generator[VoiceConsent]:
        """Take a kept consent for a voice; it is put back when the work within fails. Raises `InvalidRequest`."""
        self._forget_old()
        consent = self._pending.pop(consent_id, None)
        if consent is None:
            _refuse_used(consent_id, listing, "a consent serves one voice; record another")
            raise InvalidRequest(
                "voices.unknown_consent", f"no consent {consent_id[:80]!r}; one that no voice names is kept for an hour"
            )
        try:
            yield consent
        except BaseException:
            self._pending[consent_id] = consent
            raise

    def delete(self, consent_id: str, listing: VoiceListing) -> None:
        """Delete a kept consent. Raises `NotFound`, and `InvalidRequest` for the consent of a voice."""
        self._forget_old()
        if self._pending.pop(consent_id, None) is None:
            _refuse_used(consent_id, listing, "delete that voice, and its consent goes with it")
            raise NotFound("voices.unknown_consent", f"no consent {consent_id[:80]!r}")

    def _forget_old(self) -> None:
        oldest_s = time.time() - self._limits.pending_consent_s
        self._pending = {each.id: each for each in self._pending.values() if each.given_unix_s >= oldest_s}


def routes(consents: Consents, store: VoiceStore, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """Return the router of `/v1/audio/voice_consents`."""
    router = APIRouter(prefix=PATH, tags=["voices"])

    @router.post("", summary="Record a person's consent that their voice is cloned")
    async def create(request: Request) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        with uploads.reserve_slot():
            form, recording = await read_body(request, limits, _read_consent_form)
            consents.spend_addition()
            consent = await consents.record(request, form.name, recording, chosen_language(form.language))
        consents.keep(consent)
        return to_fields(consent)

    @router.get("", summary="List the consents: those of voices, and those that wait for one")
    async def list_consents(  # pyright: ignore[reportUnusedFunction]
        after: str = "", limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> Mapping[str, object]:
        known = [to_fields(each) for each in _all_consents(consents, await store.list_voices())]
        starts = next((index + 1 for index, each in enumerate(known) if each["id"] == after), 0)
        page = known[starts : starts + limit]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": starts + limit < len(known),
        }

    @router.get("/{consent_id}", summary="Return a consent")
    async def get(consent_id: str) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        for each in _all_consents(consents, await store.list_voices()):
            if each.id == consent_id:
                return to_fields(each)
        raise NotFound("voices.unknown_consent", f"no consent {consent_id[:80]!r}")

    @router.delete("/{consent_id}", summary="Delete a consent that no voice names")
    async def delete(consent_id: str) -> Mapping[str, object]:  # pyright: ignore[reportUnusedFunction]
        consents.delete(consent_id, await store.list_voices())
        return {"object": _OBJECT, "id": consent_id, "deleted": True}

    return router


def to_fields(consent: VoiceConsent) -> dict[str, object]:
    """The JSON of a consent, as OpenAI names its fields."""
    return {
        "object": _OBJECT,
        "id": consent.id,
        "name": consent.name,
        "language": consent.language,
        "created_at": consent.given_unix_s,
    }


def parse_form(kind: type[FormT], form: FormData) -> FormT:
    """The fields of `kind` in a form. Raises `InvalidRequest`."""
    try:
        return kind.model_validate({name: form[name] for name in kind.model_fields if name in form})
    except ValidationError as error:
        raise InvalidRequest("session.bad_message", first_validation_error(error)) from error


async def read_file(form: FormData, field: str, what: str) -> bytes:
    """The content of a form's file. Raises `InvalidRequest` when it is missing; `what` says what it holds."""
    file = form.get(field)
    if not isinstance(file, UploadFile):
        raise InvalidRequest("session.bad_message", f"{field}: {what} is missing")
    return await file.read()


def require_form(content_type: str) -> None:
    """Raises `Unsupported` for a body that is no form with files."""
    if content_type != "multipart/form-data":
        raise Unsupported("session.unknown_content_type", f"{content_type[:80]!r}: send a form with a recording")


async def _read_consent_form(request: Request, content_type: str) -> tuple[ConsentForm, bytes]:
    require_form(content_type)
    async with request.form(max_files=1, max_fields=8) as form:
        recording = await read_file(form, "recording", "the recorded consent")
        return parse_form(ConsentForm, form), recording


def _all_consents(consents: Consents, listing: VoiceListing) -> list[VoiceConsent]:
    of_voices = [voice.consent for voice in listing.voices if voice.consent is not None]
    return [*of_voices, *consents.pending()]


def _refuse_used(consent_id: str, listing: VoiceListing, advice: str) -> None:
    for voice in listing.voices:
        if voice.consent is not None and voice.consent.id == consent_id:
            raise InvalidRequest("voices.consent_in_use", f"the voice {voice.choice.id!r} has this consent: {advice}")


def _new_id() -> str:
    return f"{PREFIX}{secrets.token_hex(12)}"
