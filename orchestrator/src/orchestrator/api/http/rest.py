"""The REST API: `/interact` answers one question, `/conversation` manages conversations."""

from __future__ import annotations

import base64
import re
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from service_kit.audio import SPEECH

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.disconnect import run_unless_disconnected, wait_disconnected
from orchestrator.api.http.answer_format import to_headers, to_json_fields
from orchestrator.api.http.interact_request import read_interact_request
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import ConversationView, Sessions
from orchestrator.api.streaming import websocket
from orchestrator.api.streaming.one_shot import OneShotAnswer, ask_question
from orchestrator.conversation.messages.client import SessionStart

INTERACT_PATH = "/interact"
# A proxy that removes a path from its requests names the path in this header.
_PREFIX_HEADER = "X-Forwarded-Prefix"
_PREFIX = re.compile(r"(/[\w.~-]+)+")


class ConversationStart(BaseModel):
    """The body of `POST /conversation/start`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    language: str = Field(default="", max_length=256)
    voice_profile: str = Field(default="", max_length=256)
    persona: str = Field(default="", max_length=256)
    patience: float | None = None
    person_id: str = Field(default="", max_length=256)


def routes(sessions: Sessions, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """Return the router of `/interact` and `/conversation`."""
    router = APIRouter(tags=["conversation"])

    @router.post(INTERACT_PATH, summary="Answer a recording or a text in speech")
    async def interact(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        with uploads.reserve_slot():
            interaction = await read_interact_request(request, limits)
            question = interaction.question
            # Nobody waits for the decoding of a recording that is then refused.
            sessions.require_room()
            if isinstance(question, bytes):
                question = await uploads.decode(question)
            work = ask_question(sessions, interaction.start, question, limits)
            answer = await run_unless_disconnected(partial(wait_disconnected, request), work)
        wants_json = "application/json" in request.headers.get("accept", "")
        return JSONResponse(_answer_fields(answer)) if wants_json else _wav_response(answer)

    @router.post("/conversation/start", summary="Start a conversation", status_code=201)
    async def start(body: ConversationStart, request: Request) -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]
        session_start = SessionStart(
            body.language, body.voice_profile, body.persona, patience=body.patience, person_id=body.person_id
        )
        return _conversation_fields(sessions.start_conversation(session_start), request)

    @router.get("/conversation/{ticket}", summary="Return a conversation's messages")
    async def history(ticket: str, request: Request) -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]
        conversation = await sessions.find_conversation(ticket)
        messages = [
            {"role": message.role, "text": message.text, "interrupted": message.interrupted}
            for message in conversation.messages
        ]
        return {**_conversation_fields(conversation, request), "messages": messages}

    @router.post("/conversation/{ticket}/watch", summary="Return the key that lets others read the captions")
    async def watch(ticket: str, response: Response) -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]
        response.headers["Cache-Control"] = "no-store"
        return {"watch_key": await sessions.find_watch_key(ticket)}

    @router.delete("/conversation/{ticket}", summary="End and delete a conversation", status_code=204)
    async def end(ticket: str) -> None:  # pyright: ignore[reportUnusedFunction]
        await sessions.end_conversation(ticket)

    return router


def _conversation_fields(conversation: ConversationView, request: Request) -> dict[str, object]:
    preferences = conversation.preferences
    scheme = "wss" if request.url.scheme == "https" else "ws"
    given = request.headers.get(_PREFIX_HEADER, "").rstrip("/")
    prefix = given if _PREFIX.fullmatch(given) else ""
    return {
        "conversation_id": conversation.ticket,
        "ticket": conversation.ticket,
        "websocket": f"{scheme}://{request.url.netloc}{prefix}{websocket.PATH}",
        "language": preferences.language,
        "voice": preferences.voice,
        "persona": preferences.persona,
        "patience": preferences.patience,
        "created_unix_s": conversation.created_unix_s,
        "open": conversation.open,
    }


def _wav_response(answer: OneShotAnswer) -> Response:
    return Response(answer.wav(), media_type="audio/wav", headers=to_headers(answer))


def _answer_fields(answer: OneShotAnswer) -> dict[str, object]:
    speech = {
        "format": "wav",
        "sample_rate_hz": SPEECH.rate_hz,
        "base64": base64.b64encode(answer.wav()).decode(),
    }
    return {**to_json_fields(answer), "audio": speech}
