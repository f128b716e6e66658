"""Degradations: features that are switched off under memory pressure, and the notices that clients get of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orchestrator.conversation.messages.server import ServerMessage, ServiceNotice
from orchestrator.conversation.messages.system_status import Degradation, SystemStatus
from orchestrator.conversation.model.observable import Observable

# Share of the usual history in a prompt while contexts are short.
SHORT_HISTORY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class DegradedMode:
    """The features switched off now. Read when a reply starts; a running reply is not affected by changes."""

    short_contexts: bool = False
    # The fallback TTS speaks instead of the main one.
    small_voice: bool = False
    # No TTS speaks: replies are captions only.
    text_only: bool = False

    @property
    def history_share(self) -> float:
        """Share of the usual history in a prompt, 0 to 1."""
        return SHORT_HISTORY_SHARE if self.short_contexts else 1.0


class DegradationBoard:
    """The current degradations of all sources, with change notification."""

    def __init__(self) -> None:
        self._published: dict[str, tuple[Degradation, ...]] = {}
        self._degraded = Observable[tuple[Degradation, ...]](())

    @property
    def degraded(self) -> tuple[Degradation, ...]:
        """The current degradations."""
        return self._degraded.value

    def publish(self, source: str, entries: tuple[Degradation, ...]) -> None:
        """Replace the degradations that `source` published before."""
        self._published[source] = entries
        self._degraded.set(tuple(entry for entries in self._published.values() for entry in entries))

    async def wait_for_change(self, known: tuple[Degradation, ...]) -> tuple[Degradation, ...]:
        """Wait until the degradations differ from `known`; return them. Cancelling is safe."""
        return await self._degraded.wait_for_change(known)


async def send_degradation_notices(
    degradation_board: DegradationBoard,
    system_status: Callable[[], Awaitable[SystemStatus]],
    send: Callable[[ServerMessage], None],
) -> None:
    """Send one client a notice of each current degradation and of every change, until cancelled.

    A new status follows each change.
    """
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
