"""The event_queue of a session: everything that happens, in the order it happened."""

from __future__ import annotations

import asyncio

from orchestrator.conversation.model.events import Event

# Peers and client wait beyond this many events.
_MAX_EVENTS = 500


class EventQueue:
    """Events in; one task takes them out."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._room = asyncio.Event()

    async def put(self, event: Event) -> None:
        """Put an event from outside; waits while there is no room."""
        while self._events.qsize() >= _MAX_EVENTS:
            self._room.clear()
            await self._room.wait()
        self._events.put_nowait(event)

    def put_nowait(self, event: Event) -> None:
        """Put one of the session's own events: a timer's or a reply's, of which there are few."""
        self._events.put_nowait(event)

    async def get(self) -> Event:
        """The next event."""
        event = await self._events.get()
        self._room.set()
        return event
