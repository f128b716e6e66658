"""Presence: whether the client is there. Its connection may drop and be mended; then it is told again what it may lack.

Doors call `attach`, `lose` and `end` at any time; the session's one task follows in its turn: `connected`, `lost`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from service_kit.tasks import run_together

from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.messages.server import ServerMessage, SessionEnded
from orchestrator.conversation.model.conversation import Conversation
from orchestrator.conversation.model.degradation import notify_degradation_changes
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import Connected, Disconnected
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.notifications import greeting_messages, notify_choices

log = logging.getLogger(__name__)

_TAKEN_OVER = SessionEnded("session.taken_over", "the conversation goes on elsewhere")


# A page that is loaded anew has its connection in a second or two, a slow one in less than this.
_RELOADED_WITHIN_S = 5.0


class SessionClosed(Exception):
    """The client has hung up, or did not come back."""


class Presence:
    """One session's client. `resume_s` is how long one whose connection dropped is waited for."""

    def __init__(
        self,
        session_id: str,
        *,
        conversation: Conversation,
        services: Services,
        event_queue: EventQueue,
        outbox: Outbox,
        resume_s: float,
    ) -> None:
        self._session_id = session_id
        self._conversation = conversation
        self._services = services
        self._event_queue = event_queue
        self._outbox = outbox
        self._resume_s = resume_s
        # How long whoever left last is waited for.
        self._waits_s = resume_s
        self._loop = asyncio.get_running_loop()
        # The connection as the doors see it; the outbox follows.
        self.connection: Connection | None = None
        # Since when there is none, on the loop's clock.
        self.disconnected_since_s = self._loop.time()
        self._was_greeted = False
        self._told_voices = services.voices.value
        self._forsaken: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_over(self) -> bool:
        """Whether the session ends, or has ended."""
        return self._over.done()

    # What the doors do ----------------------------------------------------------------------------------------------

    def attach(self, connection: Connection) -> None:
        """A client comes in, or comes back; whoever was there has to go."""
        self._stop_waiting()
        self._dismiss()
        self.connection = connection
        self._event_queue.put_nowait(Connected(connection))

    def on_connection_lost(self, connection: Connection, *, page_left: bool = False) -> None:
        """A connection has dropped, or its page was closed or loaded anew."""
        if self.connection is connection:
            self.connection = None
            self._waits_s = min(self._resume_s, _RELOADED_WITHIN_S) if page_left else self._resume_s
            self.disconnected_since_s = self._loop.time()
            self._event_queue.put_nowait(Disconnected())

    def end(self, error: BaseException | None = None) -> None:
        """The client has hung up, or `error` makes going on impossible."""
        if not self._over.done():
            self._over.set_exception(error or SessionClosed())

    def close_when_disconnected(self) -> None:
        """Nobody can come back any more: the session ends with its connection, or now."""
        self._resume_s = self._waits_s = 0
        if self.connection is None:
            self.end()

    def evict_client(self) -> None:
        """The session ends because the conversation goes on in another one."""
        self._dismiss()
        self.end()

    async def send_notifications(self, send: Callable[[ServerMessage], None]) -> None:
        """Tell a client that has been greeted what is done without and what there is to choose, until cancelled."""
        await run_together(
            notify_degradation_changes(self._services.degradation_board, self._services.system_status, send),
            notify_choices(self._services, self._told_voices, send),
        )

    # What the session does ------------------------------------------------------------------------------------------

    def on_connected(self, connection: Connection) -> bool:
        """Greet whoever came in; return whether they are still there."""
        if connection is not self.connection:
            return False
        self._stop_waiting()
        self._told_voices = self._services.voices.value
        resumed = self._was_greeted or bool(self._conversation.messages)
        self._was_greeted = True
        self._outbox.connect(
            connection, greeting_messages(self._session_id, self._conversation, self._services, resumed=resumed)
        )
        return True

    def on_disconnected(self, *, begun: bool) -> bool:
        """Wait for a client whose connection dropped, if anything has `begun`; return whether one was in use.

        That may be an older one: of a client that came and went at once, nothing was seen.
        """
        if self.connection is None:
            self._stop_waiting()
            waits_s = self._waits_s if begun else 0
            log.info("connection lost", extra={"waits_s": waits_s})
            self._forsaken = self._loop.call_later(waits_s, self.end)
        if self._outbox.connection is None:
            return False
        self._outbox.disconnect()
        return True

    async def closed(self) -> None:
        """Raise `Over`, or the error that `end` was called with, when it was."""
        await self._over

    def close(self, last: SessionEnded | None) -> None:
        """The session is over; whoever is there is told `last`."""
        self._stop_waiting()
        self._over.cancel()
        if self.connection is not None:
            self.connection.close(last)

    def _dismiss(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close(_TAKEN_OVER)

    def _stop_waiting(self) -> None:
        if self._forsaken is not None:
            self._forsaken.cancel()
            self._forsaken = None
