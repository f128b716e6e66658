"""`/interact` and `/conversation`: the door for one-shot use."""

from __future__ import annotations

import base64
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from service_kit.audio import SPEECH

from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.disconnect import run_unless_disconnected, wait_disconnected
from orchestrator.api.http.answer_format import describe, to_headers
from orchestrator.api.http.interact_request import read_interact_request
from orchestrator.api.limits import ApiLimits
from orchestrator.api.ports import ConversationView, Sessions
from orchestrator.api.streaming import websocket
from orchestrator.api.streaming.one_shot import Answer, ask
from orchestrator.conversation.messages.client import SessionStart

INTERACT = "/interact"


class ConversationStart(BaseModel):
    """The body of `POST /conversation/start`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    language: str = Field(default="", max_length=256)
    voice_profile: str = Field(default="", max_length=256)
    persona: str = Field(default="", max_length=256)
    patience: float | None = None


def routes(sessions: Sessions, uploads: Uploads, limits: ApiLimits) -> APIRouter:
    """The REST door."""
    router = APIRouter(tags=["conversation"])

    @router.post(INTERACT, summary="A recording or a text in, the spoken answer out")
    async def interact(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        with uploads.slot():
            inquiry = await read_interact_request(request, limits)
            question = inquiry.question
            if isinstance(question, bytes):
                question = await uploads.decode(question)
            asking = ask(sessions, inquiry.start, question, limits)
            answer = await run_unless_disconnected(partial(wait_disconnected, request), asking)
        wants_json = "application/json" in request.headers.get("accept", "")
        return JSONResponse(_in_full(answer)) if wants_json else _audio(answer)

    @router.post("/conversation/start", summary="Begin a conversation", status_code=201)
    async def start(wishes: ConversationStart, request: Request) -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]
        wanted = SessionStart(wishes.language, wishes.voice_profile, wishes.persona, patience=wishes.patience)
        return _ticket(sessions.start_conversation(wanted), request)

    @router.get("/conversation/{ticket}", summary="What was said")
    async def history(ticket: str, request: Request) -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]
        conversation = sessions.conversation(ticket)
        said = [
            {"role": message.role, "text": message.text, "interrupted": message.interrupted}
            for message in conversation.messages
        ]
        return {**_ticket(conversation, request), "messages": said}

    @router.delete("/conversation/{ticket}", summary="End a conversation, and forget it", status_code=204)
    async def end(ticket: str) -> None:  # pyright: ignore[reportUnusedFunction]
        sessions.end_conversation(ticket)

    return router


def _ticket(conversation: ConversationView, request: Request) -> dict[str, object]:
    preferences = conversation.preferences
    scheme = "wss" if request.url.scheme == "https" else "ws"
    return {
        "conversation_id": conversation.ticket,
        "ticket": conversation.ticket,
        "websocket": f"{scheme}://{request.url.netloc}{websocket.PATH}",
        "language": preferences.language,
        "voice": preferences.voice,
        "persona": preferences.persona,
        "patience": preferences.patience,
        "created_unix_s": conversation.created_unix_s,
        "open": conversation.open,
    }


def _audio(answer: Answer) -> Response:
    return Response(answer.wav(), media_type="audio/wav", headers=to_headers(answer))


def _in_full(answer: Answer) -> dict[str, object]:
    speech = {
        "format": "wav",
        "sample_rate_hz": SPEECH.rate_hz,
        "base64": base64.b64encode(answer.wav()).decode(),
    }
    return {**describe(answer), "audio": speech}
