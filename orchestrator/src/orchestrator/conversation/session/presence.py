"""Tracks whether a session's client is connected, and ends the session when it ends the session or does not return.

The APIs call `attach`, `on_connection_lost` and `end` at any time. Each queues an event; the session's task then calls
`on_connected` or `on_disconnected`.
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
from orchestrator.conversation.model.degradation import send_degradation_notices
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import Connected, Disconnected
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.notifications import greeting_messages, send_choices_on_change

log = logging.getLogger(__name__)

_TAKEN_OVER = SessionEnded("session.taken_over", "the conversation goes on elsewhere")


# A reloaded page reconnects within a second or two, a slow one within this time.
_RELOADED_WITHIN_S = 5.0


class SessionClosed(Exception):
    """The client ended the session, or did not reconnect in time."""


class Presence:
    """The client of one session. `resume_s` is how long the session waits for a reconnect."""

    def __init__(
        self,
        session_id: str,
        *,
        conversation: Conversation,
        services: Services,
        event_queue: EventQueue,
        outbox: Outbox,
        resume_s: float,
        retention_days: int | None,
    ) -> None:
        self._session_id = session_id
        self._conversation = conversation
        self._services = services
        self._event_queue = event_queue
        self._outbox = outbox
        self._resume_s = resume_s
        self._retention_days = retention_days
        # How long the session waits for the client that left last.
        self._waits_s = resume_s
        self._loop = asyncio.get_running_loop()
        # The connection as the APIs see it; the outbox follows.
        self.connection: Connection | None = None
        self._connection_number = 0
        # Start of the time without a connection, on the loop's clock.
        self.disconnected_since_s = self._loop.time()
        self._was_greeted = False
        self._known_voices = services.voices.value
        self._reconnect_timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_ending(self) -> bool:
        """Whether the session is ending or has ended."""
        return self._closed.done()

    # Called by the APIs -----------------------------------------------------------------------------------------------

    def attach(self, connection: Connection) -> None:
        """Attach a connection; the previous one, if any, is closed as taken over."""
        self._cancel_reconnect_timer()
        self._close_connection()
        self.connection = connection
        self._connection_number += 1
        self._event_queue.put_nowait(Connected(self._connection_number))

    def on_connection_lost(self, connection: Connection, *, page_closed: bool = False) -> None:
        """Record that a connection dropped, or that its page was closed or reloaded."""
        if self.connection is connection:
            self.connection = None
            self._waits_s = min(self._resume_s, _RELOADED_WITHIN_S) if page_closed else self._resume_s
            self.disconnected_since_s = self._loop.time()
            self._event_queue.put_nowait(Disconnected())

    def end(self, error: BaseException | None = None) -> None:
        """End the session: the client ended it, or `error` occurred."""
        if not self._closed.done():
            self._closed.set_exception(error or SessionClosed())

    def close_when_disconnected(self) -> None:
        """Allow no further reconnect: the session ends with its connection, or now."""
        self._resume_s = self._waits_s = 0
        if self.connection is None:
            self.end()

    def evict_client(self) -> None:
        """End the session because another one takes the conversation over."""
        self._close_connection()
        self.end()

    async def send_notifications(self, send: Callable[[ServerMessage], None]) -> None:
        """Send a greeted client every change of degradations and voices, until cancelled."""
        await run_together(
            send_degradation_notices(self._services.degradation_board, self._services.system_status, send),
            send_choices_on_change(self._services, self._known_voices, send),
        )

    # Called by the session's task -------------------------------------------------------------------------------------

    def on_connected(self, number: int) -> Connection | None:
        """Greet the client of connection `number`; return the connection, or None when it is gone already."""
        connection = self.connection
        if connection is None or number != self._connection_number:
            return None
        self._cancel_reconnect_timer()
        self._known_voices = self._services.voices.value
        resumed = self._was_greeted or bool(self._conversation.messages)
        self._was_greeted = True
        self._outbox.connect(
            connection,
            greeting_messages(
                self._session_id,
                self._conversation,
                self._services,
                resumed=resumed,
                retention_days=self._retention_days,
            ),
        )
        return connection

    def on_disconnected(self, *, begun: bool) -> bool:
        """Start waiting for a reconnect if the conversation has `begun`; return whether a connection was in use.

        It may be an older connection: one that opened and dropped before its event was handled was never in use.
        """
        if self.connection is None:
            self._cancel_reconnect_timer()
            waits_s = self._waits_s if begun else 0
            log.info("connection lost", extra={"waits_s": waits_s})
            self._reconnect_timer = self._loop.call_later(waits_s, self.end)
        if self._outbox.connection is None:
            return False
        self._outbox.disconnect()
        return True

    async def closed(self) -> None:
        """Wait for `end`. Raises the error it was called with, or `SessionClosed`."""
        await self._closed

    def close(self, last: SessionEnded | None) -> None:
        """Close the connection, if there is one, with `last` as its last message."""
        self._cancel_reconnect_timer()
        # The traceback of the error that ended the session refers to this object.
        self._closed = self._loop.create_future()
        self._closed.cancel()
        if self.connection is not None:
            self.connection.close(last)

    def _close_connection(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close(_TAKEN_OVER)

    def _cancel_reconnect_timer(self) -> None:
        if self._reconnect_timer is not None:
            self._reconnect_timer.cancel()
            self._reconnect_timer = None
