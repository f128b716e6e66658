"""Presence: whether the client is there. Its line may drop and be mended; then it is told again what it may lack.

Doors call `attach`, `lose` and `end` at any time; the session's one task follows in its turn: `connected`, `lost`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from service_kit.tasks import run_together

from orchestrator.conversation.connection.connection import Line
from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.messages.server import ServerMessage, SessionEnded
from orchestrator.conversation.model.bulletin import tell_changes
from orchestrator.conversation.model.conversation import Conversation
from orchestrator.conversation.model.event_queue import Inbox
from orchestrator.conversation.model.events import LineConnected, LineLost
from orchestrator.conversation.model.services import Peers
from orchestrator.conversation.session.choices import tell_choices
from orchestrator.conversation.session.welcome import welcome

log = logging.getLogger(__name__)

_TAKEN_OVER = SessionEnded("session.taken_over", "the conversation goes on elsewhere")


# A page that is loaded anew has its line in a second or two, a slow one in less than this.
_RELOADED_WITHIN_S = 5.0


class Over(Exception):
    """The client has hung up, or did not come back."""


class Presence:
    """One session's client. `resume_s` is how long one whose line dropped is waited for."""

    def __init__(
        self,
        session_id: str,
        *,
        conversation: Conversation,
        peers: Peers,
        inbox: Inbox,
        outbox: Outbox,
        resume_s: float,
    ) -> None:
        self._session_id = session_id
        self._conversation = conversation
        self._peers = peers
        self._inbox = inbox
        self._outbox = outbox
        self._resume_s = resume_s
        # How long whoever left last is waited for.
        self._waits_s = resume_s
        self._loop = asyncio.get_running_loop()
        # The line as the doors see it; the outbox follows.
        self.line: Line | None = None
        # Since when there is none, on the loop's clock.
        self.alone_since_s = self._loop.time()
        self._was_greeted = False
        self._told_voices = peers.voices.value
        self._forsaken: asyncio.TimerHandle | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_over(self) -> bool:
        """Whether the session ends, or has ended."""
        return self._over.done()

    # What the doors do ----------------------------------------------------------------------------------------------

    def attach(self, line: Line) -> None:
        """A client comes in, or comes back; whoever was there has to go."""
        self._stop_waiting()
        self._dismiss()
        self.line = line
        self._inbox.tell_now(LineConnected(line))

    def lose(self, line: Line, *, page_left: bool = False) -> None:
        """A line has dropped, or its page was closed or loaded anew."""
        if self.line is line:
            self.line = None
            self._waits_s = min(self._resume_s, _RELOADED_WITHIN_S) if page_left else self._resume_s
            self.alone_since_s = self._loop.time()
            self._inbox.tell_now(LineLost())

    def end(self, error: BaseException | None = None) -> None:
        """The client has hung up, or `error` makes going on impossible."""
        if not self._over.done():
            self._over.set_exception(error or Over())

    def wait_for_nobody(self) -> None:
        """Nobody can come back any more: the session ends with its line, or now."""
        self._resume_s = self._waits_s = 0
        if self.line is None:
            self.end()

    def take_away(self) -> None:
        """The session ends because the conversation goes on in another one."""
        self._dismiss()
        self.end()

    async def tell_news(self, send: Callable[[ServerMessage], None]) -> None:
        """Tell a client that has been greeted what is done without and what there is to choose, until cancelled."""
        await run_together(
            tell_changes(self._peers.bulletin, self._peers.system_status, send),
            tell_choices(self._peers, self._told_voices, send),
        )

    # What the session does ------------------------------------------------------------------------------------------

    def connected(self, line: Line) -> bool:
        """Greet whoever came in; return whether they are still there."""
        if line is not self.line:
            return False
        self._stop_waiting()
        self._told_voices = self._peers.voices.value
        resumed = self._was_greeted or bool(self._conversation.messages)
        self._was_greeted = True
        self._outbox.connect(line, welcome(self._session_id, self._conversation, self._peers, resumed=resumed))
        return True

    def lost(self, *, begun: bool) -> bool:
        """Wait for a client whose line dropped, if anything has `begun`; return whether one was in use.

        That may be an older one: of a client that came and went at once, nothing was seen.
        """
        if self.line is None:
            self._stop_waiting()
            waits_s = self._waits_s if begun else 0
            log.info("line lost", extra={"waits_s": waits_s})
            self._forsaken = self._loop.call_later(waits_s, self.end)
        if self._outbox.line is None:
            return False
        self._outbox.disconnect()
        return True

    async def until_over(self) -> None:
        """Raise `Over`, or the error that `end` was called with, when it was."""
        await self._over

    def close(self, last: SessionEnded | None) -> None:
        """The session is over; whoever is there is told `last`."""
        self._stop_waiting()
        self._over.cancel()
        if self.line is not None:
            self.line.hang_up(last)

    def _dismiss(self) -> None:
        line, self.line = self.line, None
        if line is not None:
            line.hang_up(_TAKEN_OVER)

    def _stop_waiting(self) -> None:
        if self._forsaken is not None:
            self._forsaken.cancel()
            self._forsaken = None
