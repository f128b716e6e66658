"""The sessions under way, the conversations they belong to, and who may come in."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from prometheus_client import Gauge
from service_kit.errors import AtCapacity, InvalidRequest, NotFound, NotReady

from orchestrator.conversation.connection.connection import Line
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.model.conversation import Conversation, Preferences
from orchestrator.conversation.model.ports import Client
from orchestrator.conversation.model.services import Peers, check_patience
from orchestrator.conversation.session.client_connection import Attendance, Living
from orchestrator.conversation.session.session import Session
from orchestrator.conversation.turns.turn import TurnRules

# How often conversations that were kept long enough are looked for.
_SWEEP_S = 60.0

log = logging.getLogger(__name__)

SESSIONS_OPEN = Gauge("anchor_sessions_open", "Sessions under way.")


class Sessions:
    """The way in. Conversations are kept in memory, for `keep_s` after their last use, `max_conversations` at most."""

    def __init__(
        self,
        *,
        peers: Peers,
        rules: TurnRules,
        language: str,
        persona: str,
        capacity: int,
        ready: Callable[[], bool] = lambda: True,
        attended: Callable[[int], None] = lambda sessions: None,
        max_conversations: int = 10_000,
        keep_s: float = 3600.0,
        resume_s: float = 30.0,
    ) -> None:
        """`attended` is told how many sessions are open, whenever that changes.

        `resume_s` is how long a session waits for a client whose line dropped.
        """
        peers.check_language(language)
        peers.check_persona(persona)
        self._attended = attended
        self._peers = peers
        self._rules = rules
        self._language = language
        self._persona = persona
        self._capacity = capacity
        self._ready = ready
        self._max_conversations = max_conversations
        self._keep_s = keep_s
        self._resume_s = resume_s
        self._conversations: dict[str, Conversation] = {}
        self._living: dict[str, Living] = {}
        self._swept_s = time.monotonic()

    def start_conversation(self, start: SessionStart) -> Conversation:
        """A new conversation with these preferences. Raises `InvalidRequest` for choices there are not."""
        conversation = self._new_conversation(start)
        self._keep(conversation)
        return conversation

    def conversation(self, ticket: str) -> Conversation:
        """The conversation of a ticket. Raises `NotFound`."""
        conversation = self._conversations.get(ticket)
        if conversation is None or self._is_over(conversation):
            raise NotFound("session.unknown_ticket", "no conversation has this ticket, or not any more")
        return conversation

    def end_conversation(self, ticket: str) -> None:
        """Forget a conversation. Raises `NotFound`; a session that has it open goes on while its client is there."""
        del self._conversations[self.conversation(ticket).ticket]
        living = self._living.get(ticket)
        if living is not None:
            living.session.presence.wait_for_nobody()

    @asynccontextmanager
    async def open(self, start: SessionStart, client: Client, *, resumable: bool = False) -> AsyncGenerator[Attendance]:
        """Let a client in: to the live session of its conversation, if that suits it, or else to a new one.

        With `resumable`, the session waits for a client whose line drops. Raises `AtCapacity` when all places are
        taken, `InvalidRequest` and `NotFound` as above, `NotReady` while the orchestrator starts or ends.
        """
        if not self._ready():
            raise NotReady("session.not_ready", "the anchor is starting or going away; try again soon")
        living = await self._live(self.conversation(start.ticket), start, resumable) if start.ticket else None
        attendance = Attendance(living or self._begin(start), Line(client, start.received), resumable=resumable)
        try:
            yield attendance
        finally:
            await attendance.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Break off whatever is under way; clients may come back to a server that is up again."""
        for living in self._living.values():
            living.task.cancel()
        if tasks := [living.task for living in self._living.values()]:
            await asyncio.wait(tasks)

    # Sessions -------------------------------------------------------------------------------------------------------

    async def _live(self, conversation: Conversation, start: SessionStart, resumable: bool) -> Living | None:
        """The session that the client goes on with; any other of its conversation is ended. Raises `InvalidRequest`."""
        while living := self._living.get(conversation.ticket):
            if living.is_over:
                await asyncio.wait((living.task,))
                continue
            line = living.session.presence.line
            known = start.take_over or start.session_id == living.session.session_id
            if line is not None and not known and not await line.fell_silent():
                raise InvalidRequest("session.already_open", "another client has this conversation open")
            if living.is_over or living.session.presence.line is not line:
                # Much may have happened meanwhile.
                continue
            if resumable and living.session.suits(start):
                return living
            await self._oust(living)
        return None

    def _begin(self, start: SessionStart) -> Living:
        conversation = self.conversation(start.ticket) if start.ticket else self._new_conversation(start)
        self._make_place()
        if not start.ticket:
            self._keep(conversation)
        session = Session(
            peers=self._peers, rules=self._rules, conversation=conversation, start=start, resume_s=self._resume_s
        )
        task = asyncio.create_task(session.run(), name=f"session-{session.session_id}")
        living = Living(session, task)
        self._living[conversation.ticket] = living
        conversation.open = True
        task.add_done_callback(lambda _: self._over(conversation, living))
        self._count()
        return living

    def _over(self, conversation: Conversation, living: Living) -> None:
        del self._living[conversation.ticket]
        conversation.open = False
        conversation.last_used_s = time.monotonic()
        self._count()
        error = None if living.task.cancelled() else living.task.exception()
        if error is not None and living.session.presence.line is None:
            # Nobody is there to be told.
            log.error("session broke while nobody was there", exc_info=error)

    def _make_place(self) -> None:
        """End the session whose client has been gone the longest, if need be. Raises `AtCapacity` when all are there.

        Those that end already hold no place.
        """
        presences = [living.session.presence for living in self._living.values() if not living.is_over]
        if len(presences) < self._capacity:
            return
        alone = [presence for presence in presences if presence.line is None]
        if not alone:
            raise AtCapacity("session.at_capacity", f"all {self._capacity} places are taken; try again soon")
        min(alone, key=lambda presence: presence.alone_since_s).end()

    async def _oust(self, living: Living) -> None:
        living.session.presence.take_away()
        await asyncio.wait((living.task,))

    def _count(self) -> None:
        SESSIONS_OPEN.set(len(self._living))
        self._attended(len(self._living))

    # Conversations --------------------------------------------------------------------------------------------------

    def _new_conversation(self, start: SessionStart) -> Conversation:
        preferences = Preferences(
            start.language or self._language,
            start.voice,
            start.persona or self._persona,
            patience=self._rules.patience if start.patience is None else start.patience,
        )
        self._peers.check_language(preferences.language)
        self._peers.check_voice(preferences.voice)
        self._peers.check_persona(preferences.persona)
        check_patience(preferences.patience)
        return Conversation(secrets.token_urlsafe(16), preferences)

    def _keep(self, conversation: Conversation) -> None:
        """Raises `AtCapacity` when too many are kept."""
        self._forget_old()
        if len(self._conversations) >= self._max_conversations:
            self._make_room()
        self._conversations[conversation.ticket] = conversation

    def _forget_old(self) -> None:
        now_s = time.monotonic()
        if now_s < self._swept_s + _SWEEP_S:
            return
        self._swept_s = now_s
        for ticket, conversation in list(self._conversations.items()):
            if self._is_over(conversation):
                del self._conversations[ticket]

    def _is_over(self, conversation: Conversation) -> bool:
        return not conversation.open and conversation.last_used_s < time.monotonic() - self._keep_s

    def _make_room(self) -> None:
        """Forget the oldest conversation in which nothing was said yet, so that idle tickets lock nobody out."""
        for ticket, conversation in self._conversations.items():
            if not conversation.open and not conversation.messages:
                del self._conversations[ticket]
                return
        raise AtCapacity("session.too_many_conversations", "too many conversations are kept; try again later")
