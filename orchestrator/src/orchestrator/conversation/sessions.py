"""The sessions under way, the conversations they belong to, and who may come in."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from prometheus_client import Gauge
from service_kit.errors import AtCapacity, InvalidRequest, NotFound, NotReady

from orchestrator.conversation.conversation import Conversation, Preferences
from orchestrator.conversation.messages import SessionStart
from orchestrator.conversation.peers import Peers, check_patience
from orchestrator.conversation.ports import Client
from orchestrator.conversation.session import Session
from orchestrator.conversation.turn import TurnRules

# How often conversations that were kept long enough are looked for.
_SWEEP_S = 60.0

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
    ) -> None:
        """`attended` is told how many sessions are open, whenever that changes."""
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
        self._conversations: dict[str, Conversation] = {}
        self._open = 0
        self._swept_s = time.monotonic()

    def start_conversation(self, start: SessionStart) -> Conversation:
        """A new conversation with these preferences. Raises `InvalidRequest` for choices there are not."""
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
        self._forget_old()
        if len(self._conversations) >= self._max_conversations:
            self._make_room()
        conversation = Conversation(secrets.token_urlsafe(16), preferences)
        self._conversations[conversation.ticket] = conversation
        return conversation

    def conversation(self, ticket: str) -> Conversation:
        """The conversation of a ticket. Raises `NotFound`."""
        conversation = self._conversations.get(ticket)
        if conversation is None or self._is_over(conversation):
            raise NotFound("session.unknown_ticket", "no conversation has this ticket, or not any more")
        return conversation

    def end_conversation(self, ticket: str) -> None:
        """Forget a conversation. Raises `NotFound`; a session that has it open goes on without a past."""
        del self._conversations[self.conversation(ticket).ticket]

    @asynccontextmanager
    async def open(self, start: SessionStart, client: Client) -> AsyncGenerator[Session]:
        """Admit a client. Raises `AtCapacity` when all places are taken, `InvalidRequest` and `NotFound` as above.

        Raises `NotReady` while the orchestrator starts or ends.
        """
        if not self._ready():
            raise NotReady("session.not_ready", "the anchor is starting or going away; try again soon")
        if self._open >= self._capacity:
            raise AtCapacity("session.at_capacity", f"all {self._capacity} places are taken; try again soon")
        conversation = self.conversation(start.ticket) if start.ticket else self.start_conversation(start)
        if conversation.open:
            raise InvalidRequest("session.already_open", "another client has this conversation open")
        conversation.open = True
        self._count(1)
        try:
            yield Session(peers=self._peers, rules=self._rules, conversation=conversation, start=start, client=client)
        finally:
            conversation.open = False
            conversation.last_used_s = time.monotonic()
            self._count(-1)

    def _count(self, more: int) -> None:
        self._open += more
        SESSIONS_OPEN.set(self._open)
        self._attended(self._open)

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
