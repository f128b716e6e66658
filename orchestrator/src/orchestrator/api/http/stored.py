"""`/stored`: exports and deletes what is stored of a person, of a session's conversation, or of a ticket's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from service_kit.errors import InvalidRequest

from orchestrator.api.ports import Sessions
from orchestrator.conversation.model.store import Selection

PATH = "/stored"

_Name = Annotated[str, Query(max_length=256)]


def routes(sessions: Sessions) -> APIRouter:
    """Return the router of `/stored`."""
    router = APIRouter(prefix=PATH, tags=["stored data"])

    @router.get("", summary="Export everything stored of a person, a session's conversation, or a ticket's")
    async def export(  # pyright: ignore[reportUnusedFunction]
        ticket: _Name = "", session_id: _Name = "", person_id: _Name = ""
    ) -> dict[str, object]:
        return {"conversations": await sessions.export_stored(_selection(ticket, session_id, person_id))}

    @router.delete("", summary="Delete everything stored of a person, a session's conversation, or a ticket's")
    async def delete(  # pyright: ignore[reportUnusedFunction]
        ticket: _Name = "", session_id: _Name = "", person_id: _Name = ""
    ) -> dict[str, int]:
        return {"deleted_conversations": await sessions.delete_stored(_selection(ticket, session_id, person_id))}

    return router


def _selection(ticket: str, session_id: str, person_id: str) -> Selection:
    """The one thing that is named. Raises `InvalidRequest` for none, or several."""
    named = [
        selection
        for selection in (Selection("ticket", ticket), Selection("session", session_id), Selection("person", person_id))
        if selection.value
    ]
    if len(named) != 1:
        raise InvalidRequest("session.bad_message", "name exactly one of ticket, session_id and person_id")
    return named[0]
