"""The bulletin: what all sessions are done without for now, and are told of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from orchestrator.conversation.messages.server import ServerMessage, ServiceNotice
from orchestrator.conversation.messages.system_status import Degradation, SystemStatus
from orchestrator.conversation.model.observable import Latest


class Bulletin:
    """Holds the latest of every source, and what that comes to."""

    def __init__(self) -> None:
        self._posted: dict[str, tuple[Degradation, ...]] = {}
        self._degraded = Latest[tuple[Degradation, ...]](())

    @property
    def degraded(self) -> tuple[Degradation, ...]:
        """What is done without now."""
        return self._degraded.value

    def post(self, source: str, entries: tuple[Degradation, ...]) -> None:
        """Replace what `source` had posted."""
        self._posted[source] = entries
        self._degraded.post(tuple(entry for entries in self._posted.values() for entry in entries))

    async def other_than(self, known: tuple[Degradation, ...]) -> tuple[Degradation, ...]:
        """What is done without, as soon as that is something else than `known`."""
        return await self._degraded.other_than(known)


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
                send(ServiceNotice(entry.code, active=False, message=f"over: {entry.message}"))
        for entry in now:
            if entry not in known:
                send(ServiceNotice(entry.code, active=True, message=entry.message))
        known = now
        send(await system_status())
