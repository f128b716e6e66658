"""The store that conversations outlive the process in: the port, its entries, and what stores nothing.

Saving is a hand-over that never waits; what must be known before work goes on (`claim`, `load`, `delete`) is awaited.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from service_kit.errors import NotReady

from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import Message


class StoreUnavailable(NotReady):
    """The store does not answer; retry soon."""


def conversation_key(ticket: str) -> str:
    """The name of a conversation in the store and in exports: it does not open the conversation, as its ticket does."""
    return hashlib.sha256(ticket.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to save a conversation. Each new owner gets a higher `epoch`, which invalidates all lower ones."""

    ticket: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ConversationEntry:
    """What is stored of a conversation beside its turns. The fields are those of `Preferences`."""

    created_unix_s: float
    language: str
    voice: str
    persona: str
    patience: float
    heard_language: str
    first_language: str
    style: Style
    # Empty for nobody's.
    person_id: str = ""
    # Whether the conversation begins with this entry; others change one that is stored.
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session of the conversation, opened at `opened_unix_s`, in seconds since 1970."""

    session_id: str
    opened_unix_s: float


@dataclass(frozen=True, slots=True)
class TurnEntry:
    """One turn as it is now; replaces what was saved of it before."""

    turn_id: int
    session_id: str
    # Empty while the user still speaks.
    messages: tuple[Message, ...]
    # Heard length of the reply; None before one was heard.
    heard_ms: int | None = None
    # Whether the turn needs nothing more: its reply ended.
    is_over: bool = False
    # What is to be heard next: (playback position in ms, the heard text once playback is there), of a few seconds.
    upcoming: tuple[tuple[int, str], ...] = ()
    # Whether the entry before had the end of `upcoming`: no more words are on their way since then.
    is_covered: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class TurnRemoval:
    """A turn that the user reopened, or that was asked again."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class WaterfallEntry:
    """The latency waterfall of a turn: the fields of `latency_waterfall`."""

    turn_id: int
    stages: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class EventEntry:
    """Something that happened, at `at_unix_s` in seconds since 1970. `turn_id` is None outside turns."""

    session_id: str
    kind: str
    at_unix_s: float
    turn_id: int | None = None
    fields: Mapping[str, object] = field(default_factory=dict[str, object])


Entry = ConversationEntry | SessionEntry | TurnEntry | TurnRemoval | WaterfallEntry | EventEntry


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation as the store has it: `turns` are its newest, oldest first."""

    epoch: int
    entry: ConversationEntry
    turns: tuple[TurnEntry, ...]
    used_unix_s: float


@dataclass(frozen=True, slots=True)
class Selection:
    """Stored conversations: the one of a ticket, the one that a session belonged to, or all of a person."""

    by: Literal["ticket", "session", "person"]
    value: str


class ConversationStore(Protocol):
    """Keeps conversations. One per process, shared by all sessions."""

    @property
    def retention_days(self) -> int | None:
        """How long a conversation is kept after its last use; None where nothing is stored."""
        ...

    def set_on_lost(self, on_lost: Callable[[str], None]) -> None:
        """Call `on_lost` with a ticket when its conversation turns out to be owned elsewhere, or deleted."""
        ...

    def record(self, claim: Claim, entry: Entry, on_saved: Callable[[], None] | None = None) -> None:
        """Queue `entry` and return at once; `on_saved` is called on the loop when it is committed.

        An entry of a turn that a newer one replaces first counts as committed with that one; a newer `on_saved`
        replaces the older one. Not called for a turn that is removed, or not stored at all.
        """
        ...

    async def load(self, ticket: str) -> StoredConversation | None:
        """Read a conversation; None for an unknown ticket. Raises `StoreUnavailable`. Cancelling is safe."""
        ...

    async def claim(self, ticket: str) -> StoredConversation | None:
        """Become the owner of a conversation: saves what is queued of it, then returns it with the new epoch.

        None for an unknown ticket. Raises `StoreUnavailable`. A cancelled claim may still take effect: claim again.
        """
        ...

    async def export(self, selection: Selection) -> tuple[Mapping[str, object], ...]:
        """Everything stored of the selected conversations, as JSON values. Raises `StoreUnavailable`."""
        ...

    async def delete(self, selection: Selection) -> frozenset[str]:
        """Delete the selected conversations; returns their keys once that is committed. Raises `StoreUnavailable`."""
        ...


class NoStore:
    """Stores nothing: what is said is forgotten with the process."""

    @property
    def retention_days(self) -> int | None:
        """None: nothing is stored."""
        return None

    def set_on_lost(self, on_lost: Callable[[str], None]) -> None:
        """Accept the callback: nothing is ever owned elsewhere."""

    def record(self, claim: Claim, entry: Entry, on_saved: Callable[[], None] | None = None) -> None:
        """Forget `entry`; it is never saved."""

    async def load(self, ticket: str) -> StoredConversation | None:
        """Return None: no ticket is known."""
        return None

    async def claim(self, ticket: str) -> StoredConversation | None:
        """Return None: no ticket is known."""
        return None

    async def export(self, selection: Selection) -> tuple[Mapping[str, object], ...]:
        """Return nothing."""
        return ()

    async def delete(self, selection: Selection) -> frozenset[str]:
        """Delete nothing."""
        return frozenset()
