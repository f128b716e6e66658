"""Reads the body of `POST /interact`: a form with a recording or a text, or JSON with a text."""

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
from orchestrator.api.errors import BodyAbandoned, first_validation_error
from orchestrator.api.limits import ApiLimits
from orchestrator.api.streaming.one_shot import one_shot_session_start
from orchestrator.conversation.messages.client import SessionStart

BodyT = TypeVar("BodyT")

# Allowance for the form fields and boundaries around the recording.
_FORM_BYTES = 65_536


class InteractForm(BaseModel):
    """The fields of the form or of the JSON object."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = None
    language: str = Field(default="", max_length=256)
    voice: str = Field(default="", max_length=256)
    persona: str = Field(default="", max_length=256)
    ticket: str = Field(default="", max_length=256)
    person_id: str = Field(default="", max_length=256)
    format: str = Field(default="wav", max_length=256)


@dataclass(frozen=True, slots=True)
class InteractRequest:
    """A question, spoken (a recording in any container) or written, and the session that answers it."""

    question: bytes | str
    start: SessionStart


async def read_interact_request(request: Request, limits: ApiLimits) -> InteractRequest:
    """Read and validate the body of `request`. Raises `InvalidRequest`."""
    return await read_body(request, limits, partial(_read_interact_body, limits=limits))


async def read_body(
    request: Request, limits: ApiLimits, read: Callable[[Request, str], Coroutine[Any, Any, BodyT]]
) -> BodyT:
    """Call `read` with the size-limited request and its content type, within the time limit, and return its result.

    Raises `InvalidRequest`, or `ClientDisconnected` when the client disconnects first.
    """
    max_bytes = limits.max_upload_bytes + _FORM_BYTES
    declared_bytes = int(request.headers.get("content-length", "0"))
    if declared_bytes > max_bytes:
        raise _too_large(limits, BodyAbandoned if declared_bytes > 4 * max_bytes else InvalidRequest)
    limited = Request(request.scope, _limit_body(request.receive, max_bytes, limits))
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(limits.upload_timeout_s):
            return await read(limited, content_type)
    except TimeoutError as error:
        raise BodyAbandoned(
            "session.upload_stalled", f"the upload did not complete within {limits.upload_timeout_s:g} s"
        ) from error
    except ClientDisconnect as error:
        raise ClientDisconnected from error


async def _read_interact_body(request: Request, content_type: str, limits: ApiLimits) -> InteractRequest:
    if content_type in ("multipart/form-data", "application/x-www-form-urlencoded"):
        async with request.form(max_files=1, max_fields=8, max_part_size=_FORM_BYTES) as form:
            return await _from_form(form, limits)
    if content_type == "application/json":
        return _validated_request(_parse_form(await request.body()), None, limits)
    raise Unsupported(
        "session.unknown_content_type", f"{content_type[:80]!r}: send a form with a file, or JSON with a text"
    )


async def _from_form(form: FormData, limits: ApiLimits) -> InteractRequest:
    fields = dict(form.items())
    file = fields.pop("file", None)
    if isinstance(file, str):
        raise InvalidRequest("session.bad_message", "file: must be a file")
    if any(isinstance(value, UploadFile) for value in fields.values()):
        raise InvalidRequest("session.bad_message", "the recording's field must be named file")
    recording = None if file is None else await file.read()
    if recording is not None and len(recording) > limits.max_upload_bytes:
        raise _too_large(limits, InvalidRequest)
    return _validated_request(_parse_form(cast(dict[str, Any], fields)), recording, limits)


def _parse_form(fields: dict[str, Any] | bytes) -> InteractForm:
    try:
        return (
            InteractForm.model_validate_json(fields)
            if isinstance(fields, bytes)
            else InteractForm.model_validate(fields)
        )
    except ValidationError as error:
        raise InvalidRequest("session.bad_message", first_validation_error(error)) from error


def _validated_request(form: InteractForm, recording: bytes | None, limits: ApiLimits) -> InteractRequest:
    if form.format != "wav":
        raise Unsupported("session.unknown_format", f"format: {form.format[:40]!r}; only wav is supported")
    if (recording is None) == (form.text is None):
        raise InvalidRequest("session.bad_message", "send either file or text, not both or neither")
    if form.text is not None and not 0 < len(form.text.strip()) <= len(form.text) <= limits.max_text_chars:
        raise InvalidRequest("session.bad_message", f"text: must be 1 to {limits.max_text_chars} characters long")
    question = recording if recording is not None else form.text
    start = one_shot_session_start(
        language=form.language,
        voice=form.voice,
        persona=form.persona,
        ticket=form.ticket,
        person_id=form.person_id,
    )
    return InteractRequest(question or b"", start)


def _limit_body(receive: Receive, max_bytes: int, limits: ApiLimits) -> Receive:
    """Wrap `receive` to raise `BodyAbandoned` beyond `max_bytes`; a declared length may be missing or wrong."""
    received_bytes = 0

    async def receive_limited() -> Message:
        nonlocal received_bytes
        message = await receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > max_bytes:
            raise _too_large(limits, BodyAbandoned)
        return message

    return receive_limited


def _too_large(limits: ApiLimits, error_type: type[InvalidRequest]) -> InvalidRequest:
    return error_type("session.upload_too_large", f"the recording is larger than {limits.max_upload_bytes} bytes")
