"""Protocols that the APIs use of the conversation; `orchestrator.conversation.session.registry` implements them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orchestrator.conversation.connection.caption_feed import CaptionFeed
from orchestrator.conversation.messages.client import Command, SessionStart
from orchestrator.conversation.model.ports import Client, Message
from orchestrator.conversation.model.store import Selection


class PreferencesView(Protocol):
    """A conversation's preferences, with empty names replaced by the server's defaults."""

    @property
    def language(self) -> str:
        """ISO 639-1 language."""
        ...

    @property
    def voice(self) -> str:
        """Voice id; empty for the language's default."""
        ...

    @property
    def persona(self) -> str:
        """Persona id."""
        ...

    @property
    def patience(self) -> float:
        """Factor on the end-of-turn wait, 0.5 to 2."""
        ...


class ConversationView(Protocol):
    """A conversation and its messages so far; it outlives its sessions."""

    @property
    def ticket(self) -> str:
        """The secret name of the conversation."""
        ...

    @property
    def preferences(self) -> PreferencesView:
        """The user's choices."""
        ...

    @property
    def messages(self) -> tuple[Message, ...]:
        """The history: what the user said, and what was heard of the replies."""
        ...

    @property
    def created_unix_s(self) -> float:
        """Creation time, in seconds since 1970."""
        ...

    @property
    def open(self) -> bool:
        """Whether a session has it open."""
        ...


class SessionHandle(Protocol):
    """One client's session."""

    async def run(self, source: AsyncIterator[bytes | Command]) -> None:
        """Serve until `source` (PCM16 mono 16 kHz, and commands) ends. Raises `AnchorError` when the session fails.

        Sends `SessionStarted` first and `SessionEnded` last. Raises `Stopping` when the server shuts down.
        """
        ...


class Sessions(Protocol):
    """All conversations of this process, and the sessions on them."""

    def start_conversation(self, start: SessionStart) -> ConversationView:
        """Create a conversation without a session. Raises `InvalidRequest`, `AtCapacity` and `Stopping`."""
        ...

    def require_room(self) -> None:
        """Raise `AtCapacity` when a new caller that does not wait would be refused now."""
        ...

    async def find_conversation(self, ticket: str) -> ConversationView:
        """Return the conversation with this ticket. Raises `NotFound`, `NotReady`. Cancelling is safe."""
        ...

    async def end_conversation(self, ticket: str) -> None:
        """End and delete the conversation with this ticket; returns when that is committed.

        Raises `NotFound`, `NotReady`. When cancelled, it may be deleted or not.
        """
        ...

    async def find_watch_key(self, ticket: str) -> str:
        """Return the key with which others may read the captions of a conversation. Raises as `find_conversation`."""
        ...

    def find_captions(self, key: str) -> CaptionFeed:
        """Return the captions of the running session that a watch key belongs to. Raises `Denied` without one."""
        ...

    async def export_stored(self, selection: Selection) -> tuple[Mapping[str, object], ...]:
        """Return everything stored of the selected conversations. Raises `NotReady`. Cancelling is safe."""
        ...

    async def delete_stored(self, selection: Selection) -> int:
        """Delete the selected conversations; returns how many, when that is committed.

        Raises `NotReady`. When cancelled, they may be deleted or not.
        """
        ...

    def open(
        self, start: SessionStart, client: Client, *, resumable: bool = False
    ) -> AbstractAsyncContextManager[SessionHandle]:
        """Open a session for a client; leaving the context closes it.

        With `resumable`, a session whose `source` raises `ConnectionDropped`, or whose `run` is cancelled, waits for
        the client to reconnect. Raises `InvalidRequest` (also when the conversation is already open), `AtCapacity`,
        `NotFound`, and `Stopping` while the server shuts down.
        """
        ...
