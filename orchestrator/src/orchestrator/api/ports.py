"""What the doors need of the conversation, as Protocols; `orchestrator.conversation.session.registry` fulfils them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orchestrator.conversation.messages.client import Command, SessionStart
from orchestrator.conversation.model.ports import Client, Message


class PreferencesView(Protocol):
    """What a conversation was begun with, empty names replaced by the server's own."""

    @property
    def language(self) -> str: ...

    @property
    def voice(self) -> str: ...

    @property
    def persona(self) -> str: ...

    @property
    def patience(self) -> float: ...


class ConversationView(Protocol):
    """What was said so far; outlives its sessions."""

    @property
    def ticket(self) -> str: ...

    @property
    def preferences(self) -> PreferencesView: ...

    @property
    def messages(self) -> tuple[Message, ...]: ...

    @property
    def created_unix_s(self) -> float: ...

    @property
    def open(self) -> bool:
        """Whether a session holds it."""
        ...


class SessionHandle(Protocol):
    """One client being served."""

    async def run(self, source: AsyncIterator[bytes | Command]) -> None:
        """Serve until `source` (PCM16 mono 16 kHz, and commands) ends. Raises `AnchorError` when it cannot go on.

        Sends `SessionStarted` first and `SessionEnded` last, the latter unless the server goes away.
        """
        ...


class Sessions(Protocol):
    """All conversations of this process."""

    def start_conversation(self, start: SessionStart) -> ConversationView:
        """Raises `InvalidRequest` and `AtCapacity`."""
        ...

    def conversation(self, ticket: str) -> ConversationView:
        """Raises `NotFound`."""
        ...

    def end_conversation(self, ticket: str) -> None:
        """Raises `NotFound`."""
        ...

    def open(
        self, start: SessionStart, client: Client, *, resumable: bool = False
    ) -> AbstractAsyncContextManager[SessionHandle]:
        """Admit a client. Raises `InvalidRequest` (also for a conversation that is open), `AtCapacity`, `NotFound`.

        With `resumable`, a session whose `source` raises `LineDropped`, or whose `run` is cancelled, waits for the
        client to come back.
        """
        ...
