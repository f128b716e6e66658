"""Registry of running sessions and stored conversations; enforces the capacity for both."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from service_kit.errors import AtCapacity, InvalidRequest, NotFound, NotReady

from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.model.conversation import AUTOMATIC, Conversation, Preferences, chosen_voice
from orchestrator.conversation.model.ports import Client
from orchestrator.conversation.model.services import Services, check_patience, primary_language
from orchestrator.conversation.session.client_connection import ClientConnection, RunningSession
from orchestrator.conversation.session.session import Session
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.metrics import SESSIONS_OPEN

# Interval between deletions of expired conversations.
_SWEEP_S = 60.0

log = logging.getLogger(__name__)


class SessionRegistry:
    """Opens sessions for clients: `capacity` at most.

    Conversations stay in memory for `retention_s` after their last use, `max_conversations` at most.
    """

    def __init__(
        self,
        *,
        services: Services,
        rules: TurnRules,
        language: str,
        persona: str,
        capacity: int,
        is_ready: Callable[[], bool] = lambda: True,
        on_session_count: Callable[[int], None] = lambda sessions: None,
        max_conversations: int = 10_000,
        retention_s: float = 3600.0,
        resume_s: float = 30.0,
    ) -> None:
        """`on_session_count` is called with the number of open sessions whenever it changes.

        `resume_s` is how long a session waits for a client that disconnected.
        """
        language = primary_language(language)
        services.check_language(language)
        services.check_persona(persona)
        self._on_session_count = on_session_count
        self._services = services
        self._rules = rules
        self._language = language
        self._persona = persona
        self._capacity = capacity
        self._is_ready = is_ready
        self._max_conversations = max_conversations
        self._retention_s = retention_s
        self._resume_s = resume_s
        self._conversations: dict[str, Conversation] = {}
        self._running: dict[str, RunningSession] = {}
        self._swept_s = time.monotonic()

    @property
    def default_language(self) -> str:
        """The language of conversations whose client names none: ISO 639-1, or `AUTOMATIC`."""
        return self._language

    def start_conversation(self, start: SessionStart) -> Conversation:
        """Store a new conversation with these preferences; `InvalidRequest` for unavailable choices, `AtCapacity`."""
        conversation = self._new_conversation(start)
        self._store(conversation)
        return conversation

    def conversation(self, ticket: str) -> Conversation:
        """The conversation of a ticket. Raises `NotFound` for an unknown or expired one."""
        conversation = self._conversations.get(ticket)
        if conversation is None or self._is_expired(conversation):
            raise NotFound("session.unknown_ticket", "no conversation has this ticket, or it has expired")
        return conversation

    def end_conversation(self, ticket: str) -> None:
        """Delete a conversation. Raises `NotFound`. A session that has it open runs until its client disconnects."""
        del self._conversations[self.conversation(ticket).ticket]
        running = self._running.get(ticket)
        if running is not None:
            running.session.presence.close_when_disconnected()

    @asynccontextmanager
    async def open(
        self, start: SessionStart, client: Client, *, resumable: bool = False
    ) -> AsyncGenerator[ClientConnection]:
        """Connect a client to the running session of its conversation, if that can be resumed, or else to a new one.

        With `resumable`, the session waits for a reconnect when the connection drops. Raises `AtCapacity` when the
        capacity is reached, `InvalidRequest` for unavailable choices or a conversation that another client has open,
        `NotFound` for an unknown ticket, `NotReady` while the orchestrator starts or stops.
        """
        if not self._is_ready():
            raise NotReady("session.not_ready", "the anchor is starting or stopping; try again soon")
        running = (
            await self._resumable_session(self.conversation(start.ticket), start, resumable) if start.ticket else None
        )
        client_connection = ClientConnection(
            running or self._start_session(start), Connection(client, start.received), resumable=resumable
        )
        try:
            yield client_connection
        finally:
            await client_connection.disconnect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel all sessions; clients may reconnect after a restart."""
        for running in self._running.values():
            running.task.cancel()
        if tasks := [running.task for running in self._running.values()]:
            await asyncio.wait(tasks)

    # Sessions -------------------------------------------------------------------------------------------------------

    async def _resumable_session(
        self, conversation: Conversation, start: SessionStart, resumable: bool
    ) -> RunningSession | None:
        """The session that the client resumes; one that it cannot resume is ended. Raises `InvalidRequest`."""
        while running := self._running.get(conversation.ticket):
            if running.is_ending:
                await asyncio.wait((running.task,))
                continue
            connection = running.session.presence.connection
            known = start.take_over or start.session_id == running.session.session_id
            if connection is not None and not known and not await connection.has_gone_silent():
                raise InvalidRequest("session.already_open", "another client has this conversation open")
            if running.is_ending or running.session.presence.connection is not connection:
                # The session changed during the check: start over.
                continue
            if resumable and running.session.matches(start):
                return running
            await self._end_session(running)
        return None

    def _start_session(self, start: SessionStart) -> RunningSession:
        conversation = self.conversation(start.ticket) if start.ticket else self._new_conversation(start)
        self._ensure_capacity()
        if not start.ticket:
            self._store(conversation)
        session = Session(
            services=self._services, rules=self._rules, conversation=conversation, start=start, resume_s=self._resume_s
        )
        task = asyncio.create_task(session.run(), name=f"session-{session.session_id}")
        running = RunningSession(session, task)
        self._running[conversation.ticket] = running
        conversation.open = True
        task.add_done_callback(lambda _: self._on_session_over(conversation, running))
        self._report_session_count()
        return running

    def _on_session_over(self, conversation: Conversation, running: RunningSession) -> None:
        del self._running[conversation.ticket]
        conversation.open = False
        conversation.last_used_s = time.monotonic()
        self._report_session_count()
        error = None if running.task.cancelled() else running.task.exception()
        if error is not None and running.session.presence.connection is None:
            # No connection reports the error.
            log.error("session failed while disconnected", exc_info=error)

    def _ensure_capacity(self) -> None:
        """Make room for a session: at capacity, end the one that has been disconnected the longest.

        Raises `AtCapacity` when all are connected. Sessions that are ending do not count.
        """
        presences = [running.session.presence for running in self._running.values() if not running.is_ending]
        if len(presences) < self._capacity:
            return
        disconnected = [presence for presence in presences if presence.connection is None]
        if not disconnected:
            message = f"the capacity of {self._capacity} sessions is reached; try again soon"
            raise AtCapacity("session.at_capacity", message)
        min(disconnected, key=lambda presence: presence.disconnected_since_s).end()

    async def _end_session(self, running: RunningSession) -> None:
        running.session.presence.evict_client()
        await asyncio.wait((running.task,))

    def _report_session_count(self) -> None:
        SESSIONS_OPEN.set(len(self._running))
        self._on_session_count(len(self._running))

    # Conversations --------------------------------------------------------------------------------------------------

    def _new_conversation(self, start: SessionStart) -> Conversation:
        preferences = Preferences(
            primary_language(start.language) or self._language,
            chosen_voice(start.voice),
            start.persona or self._persona,
            patience=self._rules.patience if start.patience is None else start.patience,
        )
        if self._language != AUTOMATIC:
            preferences.first_language = self._language
        self._services.check_language(preferences.language)
        self._services.check_voice(preferences.voice)
        self._services.check_persona(preferences.persona)
        check_patience(preferences.patience)
        return Conversation(secrets.token_urlsafe(16), preferences)

    def _store(self, conversation: Conversation) -> None:
        """Store a conversation. Raises `AtCapacity` when too many are stored."""
        self._delete_expired()
        if len(self._conversations) >= self._max_conversations:
            self._delete_oldest_unused()
        self._conversations[conversation.ticket] = conversation

    def _delete_expired(self) -> None:
        now_s = time.monotonic()
        if now_s < self._swept_s + _SWEEP_S:
            return
        self._swept_s = now_s
        for ticket, conversation in list(self._conversations.items()):
            if self._is_expired(conversation):
                del self._conversations[ticket]

    def _is_expired(self, conversation: Conversation) -> bool:
        return not conversation.open and conversation.last_used_s < time.monotonic() - self._retention_s

    def _delete_oldest_unused(self) -> None:
        """Delete the oldest closed conversation without messages: unused tickets must not exhaust the capacity."""
        for ticket, conversation in self._conversations.items():
            if not conversation.open and not conversation.messages:
                del self._conversations[ticket]
                return
        raise AtCapacity("session.too_many_conversations", "too many conversations are stored; try again later")
