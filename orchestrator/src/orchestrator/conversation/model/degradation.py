"""Degradations: what the system does without for now, and the notices that sessions get of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestrator.conversation.messages.server import ServerMessage, ServiceNotice
from orchestrator.conversation.messages.system_status import Degradation, SystemStatus
from orchestrator.conversation.model.observable import Observable

# How much of its usual past a model is shown when contexts are short.
SHORT_HISTORY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class DegradedMode:
    """What is saved. Looked at when a reply begins: one that is under way is finished as it was begun."""

    short_contexts: bool = False
    # The main voice is left in peace: another one speaks.
    small_voice: bool = False
    # No voice speaks: replies are shown.
    text_only: bool = False

    @property
    def history_share(self) -> float:
        """How much of its usual past the model is shown, 0 to 1."""
        return SHORT_HISTORY_SHARE if self.short_contexts else 1.0


class DegradationBoard:
    """Holds the latest of every source, and what that comes to."""

    def __init__(self) -> None:
        self._posted: dict[str, tuple[Degradation, ...]] = {}
        self._degraded = Observable[tuple[Degradation, ...]](())

    @property
    def degraded(self) -> tuple[Degradation, ...]:
        """What is done without now."""
        return self._degraded.value

    def publish(self, source: str, entries: tuple[Degradation, ...]) -> None:
        """Replace what `source` had posted."""
        self._posted[source] = entries
        self._degraded.set(tuple(entry for entries in self._posted.values() for entry in entries))

    async def wait_for_change(self, known: tuple[Degradation, ...]) -> tuple[Degradation, ...]:
        """What is done without, as soon as that is something else than `known`."""
        return await self._degraded.wait_for_change(known)


async def notify_degradation_changes(
    degradation_board: DegradationBoard,
    system_status: Callable[[], Awaitable[SystemStatus]],
    send: Callable[[ServerMessage], None],
) -> None:
    """Tell one session what is on the degradation_board, and every change of it, until cancelled."""
    known: tuple[Degradation, ...] = ()
    while True:
        now = await degradation_board.wait_for_change(known)
        codes = {entry.code for entry in now}
        for entry in known:
            if entry.code not in codes:
                send(ServiceNotice(entry.code, active=False, message=f"over: {entry.message}"))
        for entry in now:
            if entry not in known:
                send(ServiceNotice(entry.code, active=True, message=entry.message))
        known = now
        send(await system_status())
