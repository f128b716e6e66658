"""The bulletin: what all sessions are done without for now, and are told of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from orchestrator.conversation.messages import Degradation, Error, ServerMessage, SystemStatus

# Ends a degradation's code when it is over, as with services that are back.
OVER = "back"


class Bulletin:
    """Holds the latest state and no past, so that a slow reader misses only what is no longer so."""

    def __init__(self) -> None:
        self._posted: dict[str, tuple[Degradation, ...]] = {}
        self._changed = asyncio.Event()

    @property
    def degraded(self) -> tuple[Degradation, ...]:
        """What is done without now."""
        return tuple(entry for entries in self._posted.values() for entry in entries)

    def post(self, source: str, entries: tuple[Degradation, ...]) -> None:
        """Replace what `source` had posted."""
        before = self.degraded
        self._posted[source] = entries
        if self.degraded != before:
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def other_than(self, known: tuple[Degradation, ...]) -> tuple[Degradation, ...]:
        """What is done without, as soon as that is something else than `known`."""
        while (now := self.degraded) == known:
            await self._changed.wait()
        return now


async def tell_changes(
    bulletin: Bulletin, system_status: Callable[[], Awaitable[SystemStatus]], send: Callable[[ServerMessage], None]
) -> None:
    """Tell one session what is on the bulletin, and every change of it, until cancelled."""
    known: tuple[Degradation, ...] = ()
    while True:
        now = await bulletin.other_than(known)
        codes = {entry.code for entry in now}
        for entry in known:
            if entry.code not in codes:
                send(Error(f"{entry.code}.{OVER}", f"over: {entry.message}", retryable=False))
        for entry in now:
            if entry not in known:
                send(Error(entry.code, entry.message, retryable=True))
        known = now
        send(await system_status())
