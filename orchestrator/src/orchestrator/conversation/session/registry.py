"""Registry of running sessions and of conversations in memory; enforces the capacity for both.

A conversation that is not in memory comes from the store, with its ticket. Its session claims it there first, so that
of several processes with one store only the last one to claim it can save it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from service_kit.errors import AtCapacity, Denied, InvalidRequest, NotFound, NotReady, Stopping

from orchestrator.conversation.connection.caption_feed import CaptionFeed
from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.messages.server import BargeIn
from orchestrator.conversation.model.conversation import AUTOMATIC, Conversation, Preferences, chosen_voice
from orchestrator.conversation.model.journal import FIRST_EPOCH, Journal
from orchestrator.conversation.model.ports import CallPlaces, Client
from orchestrator.conversation.model.services import Services, check_barge_in, check_patience, primary_language
from orchestrator.conversation.model.store import (
    Claim,
    ConversationStore,
    NoStore,
    Selection,
    StoredConversation,
    StoreUnavailable,
    conversation_key,
)
from orchestrator.conversation.session.call_place import UnlimitedPlaces
from orchestrator.conversation.session.client_connection import ClientConnection, RunningSession
from orchestrator.conversation.session.session import MOVING, Session
from orchestrator.conversation.session.watch_keys import is_watch_key, watch_key
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.metrics import SESSIONS_OPEN

# Interval between deletions of expired conversations.
_SWEEP_S = 60.0
_MAX_PERSON_ID_CHARS = 128
# How long sessions may take to end once the grace of `drain` is over, in seconds.
_END_WITHIN_S = 3.0

log = logging.getLogger(__name__)


class SessionRegistry:
    """Opens sessions for clients: `capacity` at most.

    Conversations stay in memory for `memory_s` after their last use, `max_conversations` at most; how long they stay in
    the store is the store's.
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
        memory_s: float = 3600.0,
        resume_s: float = 30.0,
        store: ConversationStore | None = None,
        places: CallPlaces | None = None,
    ) -> None:
        """`on_session_count` is called with the number of open sessions whenever it changes.

        `resume_s` is how long a session waits for a client that disconnected. `places` are held by the sessions whose
        users speak; None for a place for everybody.
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
        self._memory_s = memory_s
        self._resume_s = resume_s
        self._places = places or UnlimitedPlaces()
        self._conversations: dict[str, Conversation] = {}
        self._running: dict[str, RunningSession] = {}
        self._store: ConversationStore = store or NoStore()
        self._store.set_on_lost(self._on_conversation_lost)
        # The process stops: nothing new begins.
        self._is_draining = False
        # Held while a conversation is claimed, so that one client at a time starts its session.
        self._claim_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._swept_s = time.monotonic()

    @property
    def default_language(self) -> str:
        """The language of conversations whose client names none: ISO 639-1, or `AUTOMATIC`."""
        return self._language

    def start_conversation(self, start: SessionStart) -> Conversation:
        """Begin a conversation with these preferences.

        Raises `InvalidRequest` for unavailable choices, `AtCapacity`, and `Stopping` once draining.
        """
        self._refuse_while_draining()
        conversation = self._new_conversation(start)
        self._add(conversation)
        return conversation

    def require_room(self) -> None:
        """Raise `AtCapacity` when a caller that does not wait would be refused now."""
        self._places.require_room()

    async def find_conversation(self, ticket: str) -> Conversation:
        """The conversation of a ticket, from memory or else from the store.

        Raises `NotFound` for an unknown or expired one, `StoreUnavailable`. Cancelling is safe.
        """
        conversation = self._in_memory(ticket)
        if conversation is None:
            stored = await self._store.load(ticket)
            # It may have been opened meanwhile.
            conversation = self._in_memory(ticket)
            if conversation is None:
                conversation = self._restored(ticket, stored)
        return conversation

    async def find_watch_key(self, ticket: str) -> str:
        """The key with which others may read the captions of a conversation. Raises as `find_conversation`."""
        return watch_key((await self.find_conversation(ticket)).ticket)

    def find_captions(self, key: str) -> CaptionFeed:
        """The captions of the running session that a watch key belongs to. Raises `Denied` without one."""
        for ticket, running in self._running.items():
            if not running.is_ending and is_watch_key(key, ticket):
                return running.session.caption_feed
        raise Denied("watch.unknown_key", "no conversation that runs has this watch key")

    async def end_conversation(self, ticket: str) -> None:
        """Delete a conversation, here and in the store; returns when that is committed.

        Raises `NotFound`, `StoreUnavailable`. A session that has it open runs until its client disconnects.
        """
        await self.find_conversation(ticket)
        await self.delete_stored(Selection("ticket", ticket))

    async def export_stored(self, selection: Selection) -> tuple[Mapping[str, object], ...]:
        """Everything stored of the selected conversations, as JSON values. Raises `StoreUnavailable`."""
        return await self._store.export(selection)

    async def delete_stored(self, selection: Selection) -> int:
        """Delete the selected conversations, in memory and in the store; returns how many, once that is committed.

        Raises `StoreUnavailable`; then they are deleted in memory only, and saved no more.
        """
        keys = {conversation_key(ticket): ticket for ticket in self._conversations}
        found = {key for key, ticket in keys.items() if _is_selected(self._conversations[ticket], selection)}
        for key in found:
            self._forget(keys[key])
        deleted = await self._store.delete(selection)
        for key in (deleted - found) & keys.keys():
            self._forget(keys[key])
        return len(found | deleted)

    @asynccontextmanager
    async def open(
        self, start: SessionStart, client: Client, *, resumable: bool = False
    ) -> AsyncGenerator[ClientConnection]:
        """Connect a client to the running session of its conversation, if that can be resumed, or else to a new one.

        With `resumable`, the session waits for a reconnect when the connection drops. Raises `AtCapacity` when the
        capacity is reached, `InvalidRequest` for unavailable choices or a conversation that another client has open,
        `NotFound` for an unknown ticket, `NotReady` while the orchestrator starts or cannot read the conversation, and
        `Stopping` once draining.
        """
        self._refuse_while_draining()
        if not self._is_ready():
            raise NotReady("session.not_ready", "the anchor is starting; try again soon")
        running = await self._continued_session(start, resumable) if start.ticket else self._new_session(start)
        client_connection = ClientConnection(running, Connection(client, start.received), resumable=resumable)
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

    async def drain(self, grace_s: float) -> None:
        """End every session after its turn in progress, after `grace_s` seconds in mid-turn; new ones are refused.

        A client that disconnected is not waited for. Its session, and one that ends in mid-turn, is continued by the
        next process.
        """
        self._is_draining = True
        if not (running := list(self._running.values())):
            return
        log.info("draining sessions", extra={"sessions": len(running), "grace_s": grace_s})
        for each in running:
            each.session.end_after_turn()
        tasks = [each.task for each in running]
        _, in_turn = await asyncio.wait(tasks, timeout=grace_s)
        for each in running:
            each.session.end_now()
        if in_turn:
            log.warning("sessions ended in mid-turn", extra={"sessions": len(in_turn)})
            await asyncio.wait(in_turn, timeout=_END_WITHIN_S)

    # Sessions -------------------------------------------------------------------------------------------------------

    def _new_session(self, start: SessionStart) -> RunningSession:
        conversation = self._new_conversation(start)
        self._ensure_capacity()
        self._add(conversation)
        return self._start_session(conversation, start)

    async def _continued_session(self, start: SessionStart, resumable: bool) -> RunningSession:
        """The running session of a ticket's conversation, if the client can resume it, or else a new one on it."""
        ticket = start.ticket
        _check_person(await self.find_conversation(ticket), start)
        while True:
            if running := await self._resumable_session(ticket, start, resumable):
                return running
            lock = self._claim_locks.setdefault(ticket, asyncio.Lock())
            async with lock:
                if ticket in self._running:
                    # Another client was faster.
                    continue
                conversation = await self._claim(ticket)
                if start.played is not None:
                    conversation.add_played(start.played.turn_id, start.played.played_ms)
                self._ensure_capacity()
                return self._start_session(conversation, start)

    async def _claim(self, ticket: str) -> Conversation:
        """The conversation, owned by this process and as new as the store has it.

        Raises `NotFound`, and `StoreUnavailable` for one that is not in memory; one that is goes on unsaved.
        """
        try:
            stored = await self._store.claim(ticket)
        except StoreUnavailable:
            if conversation := self._in_memory(ticket):
                return conversation
            raise
        conversation = self._in_memory(ticket)
        if conversation is None or stored is None:
            if conversation is not None and self._store.retention_days is None:
                return conversation
            self._conversations.pop(ticket, None)
            conversation = self._restored(ticket, stored)
            self._make_room()
            self._conversations[ticket] = conversation
        elif stored.epoch != conversation.journal.claim.epoch + 1:
            # Another process owned it in the meantime.
            conversation.restore(stored)
        if stored is not None:
            conversation.journal.with_epoch(stored.epoch)
        return conversation

    async def _resumable_session(self, ticket: str, start: SessionStart, resumable: bool) -> RunningSession | None:
        """The session that the client resumes; one that it cannot resume is ended. Raises `InvalidRequest`."""
        while running := self._running.get(ticket):
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

    def _start_session(self, conversation: Conversation, start: SessionStart) -> RunningSession:
        # It may have begun to drain while the conversation was read.
        self._refuse_while_draining()
        session = Session(
            services=self._services,
            rules=self._rules,
            conversation=conversation,
            start=start,
            places=self._places,
            resume_s=self._resume_s,
            retention_days=self._store.retention_days,
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
        if error is not None and not isinstance(error, Stopping) and running.session.presence.connection is None:
            # No connection reports the error.
            log.error("session failed while disconnected", exc_info=error)

    def _refuse_while_draining(self) -> None:
        if self._is_draining:
            raise Stopping(*MOVING)

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
            barge_in=BargeIn(start.barge_in_stop_ms, start.barge_in_min_words),
        )
        if self._language != AUTOMATIC:
            preferences.first_language = self._language
        self._services.check_language(preferences.language)
        self._services.check_voice(preferences.voice)
        self._services.check_persona(preferences.persona)
        check_patience(preferences.patience)
        check_barge_in(start.barge_in_stop_ms, start.barge_in_min_words)
        if len(start.person_id) > _MAX_PERSON_ID_CHARS or not start.person_id.isprintable():
            message = f"person_id must be at most {_MAX_PERSON_ID_CHARS} printable characters"
            raise InvalidRequest("session.bad_person", message)
        ticket = secrets.token_urlsafe(16)
        journal = Journal(self._store, Claim(ticket, FIRST_EPOCH))
        return Conversation(ticket, preferences, person_id=start.person_id, journal=journal)

    def _restored(self, ticket: str, stored: StoredConversation | None) -> Conversation:
        if stored is None:
            raise NotFound("session.unknown_ticket", "no conversation has this ticket, or it has expired")
        journal = Journal(self._store, Claim(ticket, stored.epoch))
        conversation = Conversation(ticket, Preferences(self._language, "", self._persona), journal=journal)
        conversation.restore(stored)
        preferences = conversation.preferences
        if preferences.persona not in self._services.personas:
            preferences.persona = self._persona
        return conversation

    def _in_memory(self, ticket: str) -> Conversation | None:
        conversation = self._conversations.get(ticket)
        return None if conversation is None or self._is_expired(conversation) else conversation

    def _on_conversation_lost(self, ticket: str) -> None:
        """Another process owns the conversation, or it was deleted: its session ends, and nothing more is saved."""
        log.warning("conversation is owned elsewhere or deleted")
        self._forget(ticket)
        if running := self._running.get(ticket):
            running.session.presence.evict_client()

    def _forget(self, ticket: str) -> None:
        """Drop a conversation from memory and save nothing more of it. Its session runs until its client leaves."""
        conversation = self._conversations.pop(ticket, None)
        if conversation is not None:
            conversation.journal.close()
        if running := self._running.get(ticket):
            running.session.presence.close_when_disconnected()

    def _add(self, conversation: Conversation) -> None:
        """Keep a new conversation. Raises `AtCapacity` when there are too many."""
        self._make_room()
        self._conversations[conversation.ticket] = conversation
        conversation.save_preferences()

    def _make_room(self) -> None:
        self._delete_expired()
        if len(self._conversations) >= self._max_conversations:
            self._delete_oldest_unused()

    def _delete_expired(self) -> None:
        now_s = time.monotonic()
        if now_s < self._swept_s + _SWEEP_S:
            return
        self._swept_s = now_s
        for ticket, conversation in list(self._conversations.items()):
            if self._is_expired(conversation):
                del self._conversations[ticket]

    def _is_expired(self, conversation: Conversation) -> bool:
        return not conversation.open and conversation.last_used_s < time.monotonic() - self._memory_s

    def _delete_oldest_unused(self) -> None:
        """Delete the oldest closed conversation that is stored, or has no messages.

        Unused tickets must not exhaust the capacity.
        """
        for ticket, conversation in self._conversations.items():
            if not conversation.open and (self._store.retention_days is not None or not conversation.messages):
                del self._conversations[ticket]
                return
        raise AtCapacity("session.too_many_conversations", "too many conversations are stored; try again later")


def _check_person(conversation: Conversation, start: SessionStart) -> None:
    """Refuse a conversation to a person other than the one it was begun for. Raises `InvalidRequest`."""
    if start.person_id and start.person_id != conversation.person_id:
        raise InvalidRequest("session.other_person", "the conversation was begun for another person, or for nobody")


def _is_selected(conversation: Conversation, selection: Selection) -> bool:
    match selection.by:
        case "ticket":
            return conversation.ticket == selection.value
        case "session":
            return selection.value in conversation.journal.session_ids
        case "person":
            return bool(selection.value) and conversation.person_id == selection.value
