"""The event queue of a session: all its events, in the order in which they happened."""

from __future__ import annotations

import asyncio

from orchestrator.conversation.model.events import Event

# Services and the client have to wait beyond this many events.
_MAX_EVENTS = 500


class EventQueue:
    """A queue of events with many producers and one consumer, the session's task."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._event_taken = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether no event waits."""
        return self._events.empty()

    async def put(self, event: Event) -> None:
        """Put an event of a service or the client; waits while the queue is full."""
        while self._events.qsize() >= _MAX_EVENTS:
            self._event_taken.clear()
            await self._event_taken.wait()
        self._events.put_nowait(event)

    def put_nowait(self, event: Event) -> None:
        """Put one of the session's own events, from a timer or a reply; these are few and have no limit."""
        self._events.put_nowait(event)

    async def get(self) -> Event:
        """Remove and return the next event; waits while there is none."""
        event = await self._events.get()
        self._event_taken.set()
        return event
