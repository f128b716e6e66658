"""What comes with `POST /interact`: a form with a recording or a text, or JSON with a text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from service_kit.errors import InvalidRequest, Unsupported
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from orchestrator.api.disconnect import ClientDisconnected
from orchestrator.api.http.errors import BodyAbandoned, first_fault
from orchestrator.api.limits import ApiLimits
from orchestrator.api.streaming.one_shot import one_shot_start
from orchestrator.conversation.messages.client import SessionStart

Result = TypeVar("Result")

# Room in the body for what surrounds the recording.
_FORM_BYTES = 65_536


class InteractForm(BaseModel):
    """The fields of the form, and of the JSON object."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = None
    language: str = Field(default="", max_length=256)
    voice: str = Field(default="", max_length=256)
    persona: str = Field(default="", max_length=256)
    ticket: str = Field(default="", max_length=256)
    format: str = Field(default="wav", max_length=256)


@dataclass(frozen=True, slots=True)
class InteractRequest:
    """A question, spoken (a recording in any container) or in writing, and whom it is for."""

    question: bytes | str
    start: SessionStart


async def read_interact_request(request: Request, limits: ApiLimits) -> InteractRequest:
    """Read the body of `request`, of bounded size. Raises `InvalidRequest`."""
    return await read_body(request, limits, partial(_read, limits=limits))


async def read_body(
    request: Request, limits: ApiLimits, read: Callable[[Request, str], Coroutine[Any, Any, Result]]
) -> Result:
    """What `read` makes of a body with a recording, of bounded size and time; it gets its content type too.

    Raises `InvalidRequest`.
    """
    most_bytes = limits.upload_bytes + _FORM_BYTES
    declared_bytes = int(request.headers.get("content-length", "0"))
    if declared_bytes > most_bytes:
        raise _too_large(limits, BodyAbandoned if declared_bytes > 4 * most_bytes else InvalidRequest)
    bounded = Request(request.scope, _bounded(request.receive, most_bytes, limits))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(limits.upload_s):
            return await read(bounded, kind)
    except TimeoutError as error:
        raise BodyAbandoned("session.upload_stalled", f"not all came within {limits.upload_s:g} s") from error
    except ClientDisconnect as error:
        raise ClientDisconnected from error


async def _read(bounded: Request, kind: str, limits: ApiLimits) -> InteractRequest:
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        async with bounded.form(max_files=1, max_fields=8, max_part_size=_FORM_BYTES) as form:
            return await _from_form(form, limits)
    if kind == "application/json":
        return _interact_request(_parse_form(await bounded.body()), None, limits)
    raise Unsupported("session.unknown_content_type", f"{kind[:80]!r}: send a form with a file, or JSON with a text")


async def _from_form(form: FormData, limits: ApiLimits) -> InteractRequest:
    fields = dict(form.items())
    file = fields.pop("file", None)
    if isinstance(file, str):
        raise InvalidRequest("session.bad_message", "file: must be a file")
    if any(isinstance(value, UploadFile) for value in fields.values()):
        raise InvalidRequest("session.bad_message", "the recording must be called file")
    recording = None if file is None else await file.read()
    if recording is not None and len(recording) > limits.upload_bytes:
        raise _too_large(limits, InvalidRequest)
    return _interact_request(_parse_form(cast(dict[str, Any], fields)), recording, limits)


def _parse_form(fields: dict[str, Any] | bytes) -> InteractForm:
    try:
        return (
            InteractForm.model_validate_json(fields)
            if isinstance(fields, bytes)
            else InteractForm.model_validate(fields)
        )
    except ValidationError as error:
        raise InvalidRequest("session.bad_message", first_fault(error)) from error


def _interact_request(wishes: InteractForm, recording: bytes | None, limits: ApiLimits) -> InteractRequest:
    if wishes.format != "wav":
        raise Unsupported("session.unknown_format", f"format: {wishes.format[:40]!r}; there is wav")
    if (recording is None) == (wishes.text is None):
        raise InvalidRequest("session.bad_message", "send either file or text")
    if wishes.text is not None and not 0 < len(wishes.text.strip()) <= len(wishes.text) <= limits.text_chars:
        raise InvalidRequest("session.bad_message", f"text: must be 1 to {limits.text_chars} characters long")
    question = recording if recording is not None else wishes.text
    start = one_shot_start(language=wishes.language, voice=wishes.voice, persona=wishes.persona, ticket=wishes.ticket)
    return InteractRequest(question or b"", start)


def _bounded(receive: Receive, most_bytes: int, limits: ApiLimits) -> Receive:
    """`receive`, until more than `most_bytes` have come: a declared length may be missing or wrong."""
    taken = 0

    async def receive_bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most_bytes:
            raise _too_large(limits, BodyAbandoned)
        return message

    return receive_bounded


def _too_large(limits: ApiLimits, kind: type[InvalidRequest]) -> InvalidRequest:
    return kind("session.upload_too_large", f"the recording is larger than {limits.upload_bytes} bytes")
